"""Scales of axes: linear, or logarithmic for values that spread over orders of magnitude."""

import re
from collections.abc import Collection, Iterable

import altair as alt

GEOMETRIC_SPREAD = 30
"""The ratio of the largest to the smallest value from which an axis is logarithmic."""


def is_geometric(values: Collection[float]) -> bool:
    """Whether values are positive and spread so far that a linear axis would hide the small ones."""
    return bool(values) and min(values) > 0 and max(values) > GEOMETRIC_SPREAD * min(values)


def scale_of(values: Collection[float], padding: int = 0) -> alt.Scale:
    """The scale of an axis for these values, with pixels of padding. It does not start at zero."""
    if is_geometric(values):
        return alt.Scale(type="log", nice=False, padding=padding)
    return alt.Scale(zero=False, nice=not padding, padding=padding)


def rounded(value: float) -> float:
    """A value with the digits that a chart can show: specifications hold many of them."""
    return float(f"{value:.5g}")


def in_order(texts: Iterable[str]) -> list[str]:
    """Distinct texts, sorted by the numbers in them: `[8]`, `[8,8]`, `[16]`."""
    return sorted(set(texts), key=lambda text: ([int(each) for each in re.findall(r"\d+", text)], text))
