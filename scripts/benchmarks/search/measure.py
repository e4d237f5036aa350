"""Which search benchmark is measured: `what=lockstep`, with the arguments of that one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.arguments import Reported
from benchmarks.report import Report
from benchmarks.search import bookkeeping, compare, kills, peers, ready
from mlplab.cli.arguments import read_arguments
from mlplab.errors import Fault, UserError, listed

BENCHMARKS: Mapping[str, tuple[type[Reported], Callable[[Any], Report]]] = {
    "lockstep": (compare.Searches, compare.lockstep),
    "widths": (compare.Searches, compare.widths),
    "pruning": (compare.Searches, compare.pruning),
    "peers": (peers.Peers, peers.measure),
    "kills": (kills.Kills, kills.measure),
    "bookkeeping": (bookkeeping.Bookkeeping, bookkeeping.measure),
    "ready": (ready.Ready, ready.measure),
}


def measure(words: Sequence[str]) -> Report:
    """Measures what `what=` names.

    Raises:
        UserError: if it names nothing, or an argument is wrong.
    """
    others = [word for word in words if not word.startswith("what=")]
    what = ",".join(word.partition("=")[2] for word in words if word not in others)
    if what not in BENCHMARKS:
        raise UserError(Fault("is missing or unknown", "what", what, f"one of {listed(BENCHMARKS, 10)}"))
    arguments, run = BENCHMARKS[what]
    if not any(word.startswith("output=") for word in others):
        others.append(f"output=outputs/benchmarks/search-{what}.json")
    return run(read_arguments(others, arguments))
