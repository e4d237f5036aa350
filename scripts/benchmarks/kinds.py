"""Benchmarks of several kinds: `what=lockstep`, with the arguments of that one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.arguments import Reported
from benchmarks.report import Report
from mlplab.cli.arguments import read_arguments
from mlplab.errors import Fault, UserError, listed

Kinds = Mapping[str, tuple[type[Reported], Callable[[Any], Report]]]
"""The arguments of each kind, and what measures it."""


def measure_kind(benchmark: str, kinds: Kinds, words: Sequence[str]) -> Report:
    """Measures what `what=` names.

    Args:
        benchmark: its name, for the file.

    Raises:
        UserError: if `what=` names nothing, or an argument is wrong.
    """
    others = [word for word in words if not word.startswith("what=")]
    what = ",".join(word.partition("=")[2] for word in words if word not in others)
    if what not in kinds:
        raise UserError(Fault("is missing or unknown", "what", what, f"one of {listed(kinds, 10)}"))
    arguments, measure = kinds[what]
    if not any(word.startswith("output=") for word in others):
        others.append(f"output=outputs/benchmarks/{benchmark}-{what}.json")
    return measure(read_arguments(others, arguments))
