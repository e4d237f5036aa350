"""Test rows with the predictions of models for them, and the parts of them with the largest errors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import altair as alt
import numpy as np
from jaxtyping import Float64, Int64, Shaped

from mlplab.config.metrics import DEFAULT_THRESHOLD
from mlplab.console import in_digits, plural
from mlplab.data.splits.split import sample_rows
from mlplab.figures.style import MARKER, MOST_POINTS, Figure, bar_chart, row_count

PartRows = Int64[np.ndarray, " part"]
"""The positions of some rows."""

THIS = "this network"
"""The name of the network among the models."""

QUARTERS = 4
"""Parts of a column of numbers, with equally many rows."""

FEW_VALUES = 8
"""Numbers of which a column has at most this many are parts themselves."""

SMALLEST_PART = 10
"""Rows of a part at least: the error of fewer says little."""

MOST_PARTS = 12
"""Parts that the figure shows."""


@dataclass(frozen=True)
class ScoredRows:
    """Test rows, a target of theirs, and the predictions of models.

    Attributes:
        rows: numbers of the rows in the table, counted from 1.
        total: the number of all test rows.
        actual: the target, or the number of the class.
        predictions: by the name of the model, `THIS` first: of the target, or the probability of each class.
        classes: empty for regression.
        threshold: the probability from which the network predicts the second of two classes.
    """

    target: str
    rows: Int64[np.ndarray, " row"]
    total: int
    weight: Float64[np.ndarray, " row"]
    actual: Float64[np.ndarray, " row"] | Int64[np.ndarray, " row"]
    predictions: Mapping[str, Float64[np.ndarray, "row *class"]]
    classes: tuple[str, ...] = ()
    threshold: float = DEFAULT_THRESHOLD

    @property
    def predicted(self) -> Float64[np.ndarray, "row *class"]:
        """The predictions of the network."""
        return self.predictions[THIS]

    def shown(self) -> Int64[np.ndarray, " shown"]:
        """The positions of the rows that are shown as points."""
        return sample_rows(np.arange(len(self.rows)), MOST_POINTS)

    def count(self) -> str:
        """How many rows are shown in sums and means."""
        return row_count(len(self.rows), self.total, self.weight)

    def mean(self, values: Shaped[np.ndarray, " row"], rows: PartRows | slice = slice(None)) -> float:
        """The weighted mean of the values of all rows, or of some."""
        return float(np.average(values[rows], weights=self.weight[rows]))


class ColumnValues(NamedTuple):
    """A feature of some rows.

    Attributes:
        values: numbers in the column's own units, or the codes of categories; NaN is missing.
        categories: the categories by their codes; empty for numbers.
        is_date: whether the numbers are years with fractions.
    """

    name: str
    values: Float64[np.ndarray, " row"]
    categories: tuple[str, ...] = ()
    is_date: bool = False


def parts_of(column: ColumnValues) -> Iterator[tuple[str, PartRows]]:
    """The names and rows of parts: ranges of numbers with equally many rows, categories, missing values."""
    known = column.values[~np.isnan(column.values)]
    edges = np.unique(known)
    if is_range := not column.categories and len(edges) > FEW_VALUES:
        edges = np.unique(np.quantile(known, np.linspace(0, 1, QUARTERS + 1)))
    # Times of one day have one name, and become one edge.
    last = dict(zip(_names(column, edges, 4 if is_range else 7), edges, strict=True))
    names = [f"{low} – {high}" for low, high in pairwise(last)] if is_range else [*last]
    number = np.searchsorted([*last.values()][is_range:], column.values)
    yield from ((name, np.flatnonzero(number == k)) for k, name in enumerate(names))
    yield "missing", np.flatnonzero(np.isnan(column.values))


def _names(column: ColumnValues, numbers: Float64[np.ndarray, " number"], digits: int) -> list[str]:
    """Categories, days, or numbers with at least so many digits, and as many as make them differ."""
    if column.categories:
        return [column.categories[int(number)] for number in numbers]
    if column.is_date:
        return list(map(_day, numbers))
    names = list[str]()
    while len({*names}) < len(numbers):
        names = [in_digits(number, digits) for number in numbers]
        digits += 1
    return names


def _day(year: float) -> str:
    """The day of a year with its fraction."""
    first, after = (np.datetime64(f"{int(year) + later:04}-01-01") for later in (0, 1))
    return str(first + round(year % 1 * (after - first).astype(int)))


def error_by_part(
    scored: ScoredRows, columns: Sequence[ColumnValues], errors: Float64[np.ndarray, " row"], error: str
) -> Figure | None:
    """The parts with the largest mean error, as bars beside the mean of all rows; None if all are too small.

    `error` is the name of the mean of `errors`, with its unit.
    """
    parts: list[dict[str, Any]] = [
        {
            "name": f"{column.name}: {name}",
            "error": scored.mean(errors, rows),
            "note": plural(len(rows), "row"),
        }
        for column in columns
        for name, rows in parts_of(column)
        if SMALLEST_PART <= len(rows) < len(scored.rows)
    ]
    if not parts:
        return None
    bars = sorted(parts, key=lambda part: part["error"], reverse=True)[:MOST_PARTS]
    return bar_chart(
        bars,
        alt.X("error:Q", title=error, axis=alt.Axis(tickCount=6)),
        lambda bars: bars.mark_tick(**MARKER).encode(x=alt.datum(scored.mean(errors))),
        title="Where the errors are largest",
        subtitle=f"{scored.count()}; marked: the mean of all, {in_digits(scored.mean(errors))}",
        description=f"Bars: the {len(bars)} parts of the test rows with the largest {error}",
    )
