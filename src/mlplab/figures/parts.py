"""Parts of a table by the values of a column: in which of them is the network worst?"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import altair as alt
import numpy as np
from jaxtyping import Float64, Int64

from mlplab.figures.style import NETWORK, REFERENCE, WIDTH, Figure, row_count, rows_of

QUARTERS = 4
"""Parts of a column of numbers, with equally many rows."""

FEW_VALUES = 8
"""Numbers of which a column has at most this many are parts themselves."""

SMALLEST = 10
"""Rows of a part at least: the error of fewer says little."""

MOST_PARTS = 12
"""Parts that a figure shows."""

MISSING = "missing"


@dataclass(frozen=True)
class ColumnValues:
    """A feature of some rows.

    Args:
        values: numbers in the column's own units, or the codes of categories; NaN is missing.
        categories: the categories by their codes; empty for numbers.
    """

    name: str
    values: Float64[np.ndarray, " row"]
    categories: tuple[str, ...] = ()

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers with an order."""
        return not self.categories

    def shown(self, rows: Int64[np.ndarray, " shown"]) -> list[float | str | None]:
        """The values of some rows, with the names of categories; None if missing."""
        values: list[float] = self.values[rows].tolist()
        names = self.categories
        return [None if math.isnan(each) else names[int(each)] if names else each for each in values]


class Part(NamedTuple):
    """Rows with similar values of a column.

    Attributes:
        label: the values, such as `3 – 14` or `red`.
        rows: their positions.
        middle: the median of numbers; NaN otherwise.
    """

    label: str
    rows: Int64[np.ndarray, " part"]
    middle: float = np.nan


def parts_of(column: ColumnValues, count: int = QUARTERS) -> Iterator[Part]:
    """The parts of a column: ranges of numbers with equally many rows, or categories; and missing values."""
    values, missing = column.values, np.isnan(column.values)
    distinct = np.unique(values[~missing])
    if not column.numeric:
        for code in distinct.astype(int):
            yield Part(column.categories[code], np.flatnonzero(values == code))
    elif len(distinct) <= FEW_VALUES:
        for value in distinct:
            yield Part(f"{value:.6g}", np.flatnonzero(values == value), float(value))
    else:
        edges = np.unique(np.quantile(values[~missing], np.linspace(0, 1, count + 1)))
        place = np.searchsorted(edges[1:-1], values, side="left")
        for number, (low, high) in enumerate(pairwise(edges)):
            rows = np.flatnonzero(~missing & (place == number))
            if len(rows):
                yield Part(f"{low:.4g} – {high:.4g}", rows, float(np.median(values[rows])))
    if missing.any():
        yield Part(MISSING, np.flatnonzero(missing))


def error_by_part(
    columns: Sequence[ColumnValues],
    errors: Float64[np.ndarray, " row"],
    error: str,
    weight: Float64[np.ndarray, " row"],
    total: int,
) -> Figure | None:
    """The parts with the largest mean error, as bars beside the mean of all rows.

    Args:
        errors: of each row.
        error: the name of their mean, with its unit.
        weight: the weight of each row in the mean.
        total: the number of all test rows.

    Returns:
        None if no part has enough rows.
    """
    found: list[dict[str, Any]] = [
        {
            "part": f"{column.name}: {part.label}",
            "error": float(np.average(errors[part.rows], weights=weight[part.rows])),
            "rows": len(part.rows),
        }
        for column in columns
        for part in parts_of(column)
        if SMALLEST <= len(part.rows) < len(errors)
    ]
    if not found:
        return None
    worst = sorted(found, key=lambda each: each["error"], reverse=True)[:MOST_PARTS]
    base = alt.Chart(rows_of(worst)).encode(
        y=alt.Y("part:N", sort=None, title=None, axis=alt.Axis(labelLimit=340)),
        x=alt.X("error:Q", title=error),
        tooltip=[
            alt.Tooltip("part:N", title="part"),
            alt.Tooltip("error:Q", title=error, format=".4~g"),
            alt.Tooltip("rows:Q", title="test rows", format=","),
        ],
    )
    bars = base.mark_bar(color=NETWORK, opacity=0.85)
    counts = (
        base.mark_text(align="left", dx=4, fontSize=10, color=REFERENCE)
        .encode(text=alt.Text("label:N"))
        .transform_calculate(label="format(datum.rows, ',') + ' rows'")
    )
    mean = float(np.average(errors, weights=weight))
    rows = row_count(len(errors), total, weight)
    rule = (
        alt.Chart(rows_of([{"mean": mean, "label": f"mean of all: {mean:.4g}"}]))
        .mark_rule(color=REFERENCE, strokeDash=[4, 3], strokeWidth=1.5)
        .encode(x="mean:Q", tooltip="label:N")
    )
    return alt.layer(bars, counts, rule).properties(
        width=WIDTH,
        title=alt.Title(
            "Where the errors are largest",
            subtitle=f"{rows}; dashed: the mean of all, {mean:.4g}",
        ),
        description=f"Bars: the {len(worst)} parts of the test rows with the largest {error}",
    )
