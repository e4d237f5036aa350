"""The kinds of the benchmark `search`."""

from collections.abc import Sequence

from benchmarks.kinds import Kinds, measure_kind
from benchmarks.report import Report
from benchmarks.search import bookkeeping, compare, kills, peers, ready

KINDS: Kinds = {
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
    return measure_kind("search", KINDS, words)
