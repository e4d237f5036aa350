"""The axis of a key that varies between runs: its values are numbers, text, or both."""

from collections.abc import Collection, Iterable, Sequence

import altair as alt

from mlplab.figures.scales import FEW, in_order, is_geometric, scale_of_key
from mlplab.figures.style import WIDTH

Value = float | int | str

DIGITS = ".6~g"
"""How an axis writes numbers: for `~g`, Vega would choose too few digits for 64 and 128."""

SHARES = {"dropout", "label_smoothing", "momentum"}
"""Keys whose axes are linear even if some values are close to zero."""

CHARACTER = 7
"""Pixels of a character of a label."""


def comparable(values: Sequence[Value]) -> list[Value]:
    """The values of a key as numbers if all are, as text if few are; otherwise as they are."""
    numbers = numbers_of(values)
    if len(numbers) < len(values) and len(set(numbers)) <= FEW:
        return [label(value) for value in values]
    return list(values)


def numbers_of(values: Iterable[Value]) -> list[float]:
    """The numbers among some values."""
    return [float(value) for value in values if not isinstance(value, str)]


def with_place(values: Sequence[Value]) -> list[int]:
    """The positions of the values on one axis: of text beside numbers, none."""
    has_numbers = bool(numbers_of(values))
    return [place for place, value in enumerate(values) if not (has_numbers and isinstance(value, str))]


def label(value: Value) -> str:
    """A value as an axis names it: numbers with more digits than people type are rounded."""
    if isinstance(value, str):
        return value
    if float(value).is_integer():
        return f"{value:.0f}"
    return f"{value:.6g}" if is_typed(value) else f"{value:.3g}"


def is_typed(number: float | int) -> bool:
    """Whether a number has as few digits as people type."""
    return float(f"{number:.6g}") == number


def is_log(key: str, numbers: Collection[float]) -> bool:
    """Whether the axis of a key is logarithmic."""
    return key.rpartition(".")[2] not in SHARES and is_geometric(numbers)


def x_of_key(key: str, values: Sequence[Value]) -> alt.X:
    """The horizontal axis of the field `value`: of numbers if there are any, else of text."""
    numbers = sorted(set(numbers_of(values)))
    if not numbers:
        return x_of_text(key, in_order(map(str, values)))
    names_all = len(numbers) <= FEW and all(map(is_typed, numbers))
    axis = alt.Axis(format=DIGITS, values=numbers) if names_all else alt.Axis(format=DIGITS, tickCount=5)
    return alt.X("value:Q", title=key, axis=axis, scale=scale_of_key(is_log=is_log(key, numbers)))


def x_of_text(key: str, names: Sequence[str]) -> alt.X:
    """The horizontal axis of the field `value` with these texts, which are slanted if they are long."""
    slanted = CHARACTER * max(map(len, names)) * len(names) > WIDTH
    return alt.X("value:N", title=key, sort=list(names), axis=alt.Axis(labelAngle=-30 if slanted else 0))
