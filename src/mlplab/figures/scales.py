"""Scales of axes: linear, or logarithmic for values that spread over orders of magnitude."""

import re
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from math import inf, log

import altair as alt

FAR = 30
"""The ratio of the largest to the smallest value from which an axis is logarithmic."""

PADDING = 15
"""Pixels beside the values of a key."""


def spreads_far(values: Collection[float]) -> bool:
    """Whether values are positive and spread so far that a linear axis would hide the small ones."""
    return bool(values) and min(values) > 0 and max(values) > FAR * min(values)


def is_geometric(values: Collection[float]) -> bool:
    """Whether the values of a key spread far, or are clearly more even as logarithms."""
    distinct = sorted(set(values))
    if spreads_far(distinct) or len(distinct) < 3 or distinct[0] <= 0:
        return spreads_far(distinct)
    return _unevenness([log(each) for each in distinct]) < 0.9 * _unevenness(distinct)


def _unevenness(ordered: Sequence[float]) -> float:
    """The largest gap between neighbours over the smallest."""
    gaps = [right - left for left, right in pairwise(ordered)]
    return max(gaps) / min(gaps) if min(gaps) > 0 else inf


def scale_of(values: Collection[float]) -> alt.Scale:
    """The scale of an axis for scores. It does not start at zero."""
    return alt.Scale(type="log", nice=False) if spreads_far(values) else alt.Scale(zero=False)


def scale_of_key(values: Collection[float]) -> alt.Scale:
    """The scale of an axis for the values of a key."""
    if is_geometric(values):
        return alt.Scale(type="log", nice=False, padding=PADDING)
    return alt.Scale(zero=False, nice=False, padding=PADDING)


def rounded(value: float) -> float:
    """A value with the digits that a chart can show: specifications hold many of them."""
    return float(f"{value:.5g}")


def in_order(texts: Iterable[str]) -> list[str]:
    """Distinct texts, sorted by the numbers in them: `[8]`, `[8,8]`, `[16]`."""
    return sorted(set(texts), key=lambda text: ([int(each) for each in re.findall(r"\d+", text)], text))
