"""The kinds of the benchmark `engines`."""

from collections.abc import Sequence

from benchmarks.engines import bookkeeping, overhead, speedup, start
from benchmarks.kinds import Kinds, measure_kind
from benchmarks.report import Report

KINDS: Kinds = {
    "speedup": (speedup.Speedup, speedup.measure),
    "overhead": (overhead.Overhead, overhead.measure),
    "start": (start.Start, start.measure),
    "bookkeeping": (bookkeeping.Bookkeeping, bookkeeping.measure),
}


def measure(words: Sequence[str]) -> Report:
    """Measures what `what=` names.

    Raises:
        UserError: if it names nothing, or an argument is wrong.
    """
    return measure_kind("engines", KINDS, words)
