"""Scales of axes: linear, or logarithmic for values that spread over orders of magnitude."""

from collections.abc import Collection, Sequence
from statistics import median
from typing import Any

import altair as alt

Value = float | int | str
"""A value of a key in a chart."""

FAR = 30
"""The ratio of the largest to the smallest value from which an axis is logarithmic."""

FEW = 8
"""Different values up to which an axis names each: they are likely to have been typed, not sampled."""

PADDING, LONG = 15, 50
"""Pixels beside the values of a key, and characters of names that do not fit below an axis unless slanted."""


def spreads_far(values: Collection[float]) -> bool:
    """Whether values are positive and spread so far that a linear axis would hide the small ones."""
    return bool(values) and min(values) > 0 and max(values) > FAR * min(values)


def scale_of(values: Collection[float]) -> alt.Scale:
    """The scale of an axis for scores. It does not start at zero."""
    return alt.Scale(type="log", nice=False) if spreads_far(values) else alt.Scale(zero=False)


def x_of_key(key: str, values: Sequence[Value]) -> alt.X:
    """The horizontal axis of the field `value`: numbers if there are many, else each value in order."""
    distinct = set(values)
    numbers = [float(value) for value in distinct if not isinstance(value, str)]
    if len(numbers) > FEW and len(numbers) == len(distinct):
        # The median of numbers from a linear scale is in the middle, even if the smallest is near zero.
        is_log = spreads_far(numbers) and median(numbers) < (min(numbers) + max(numbers)) / 4
        scale = alt.Scale(type="log" if is_log else "linear", zero=False, nice=False, padding=PADDING)
        return alt.X("value:Q", title=key, axis=alt.Axis(format=".6~g", tickCount=5), scale=scale)
    texts = sorted(
        (value for value in distinct if isinstance(value, str)), key=lambda text: (len(text), text)
    )
    order: list[Any] = [*sorted(numbers), *texts]
    angle = -30 if sum(len(str(value)) for value in order) > LONG else 0
    scale = alt.Scale(domain=order)  # sort= takes either numbers or text
    return alt.X("value:N", title=key, scale=scale, axis=alt.Axis(labelAngle=angle))


def rounded(value: float) -> float:
    """A value with the digits that a chart can show: specifications hold many of them."""
    return float(f"{value:.5g}")
