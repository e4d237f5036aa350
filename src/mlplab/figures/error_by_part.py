"""Parts of the test rows by the values of a column: in which of them is the network worst?"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import altair as alt
import numpy as np
import polars as pl
from jaxtyping import Float64, Int64

from mlplab.figures.scored_rows import ColumnValues, ScoredRows
from mlplab.figures.style import NETWORK, REFERENCE, WIDTH, Figure, chart_of

QUARTERS = 4
"""Parts of a column of numbers, with equally many rows."""

FEW_VALUES = 8
"""Numbers of which a column has at most this many are parts themselves."""

SMALLEST_PART = 10
"""Rows of a part at least: the error of fewer says little."""

MOST_PARTS = 12
"""Parts that the figure shows."""


def parts_of(column: ColumnValues) -> Iterator[tuple[str, Int64[np.ndarray, " part"]]]:
    """The names and rows of parts: ranges of numbers with equally many rows, categories, missing values."""
    values, missing = column.values, np.isnan(column.values)
    distinct = np.unique(values[~missing])
    if column.categories or len(distinct) <= FEW_VALUES:
        for value in distinct:
            name = column.categories[int(value)] if column.categories else f"{value:.6g}"
            yield name, np.flatnonzero(values == value)
    else:
        edges = np.unique(np.quantile(values[~missing], np.linspace(0, 1, QUARTERS + 1)))
        number = np.searchsorted(edges[1:-1], values, side="left")
        for k, (low, high) in enumerate(pairwise(edges)):
            yield f"{low:.4g} – {high:.4g}", np.flatnonzero(~missing & (number == k))
    yield "missing", np.flatnonzero(missing)


def error_by_part(
    scored: ScoredRows, columns: Sequence[ColumnValues], errors: Float64[np.ndarray, " row"], error: str
) -> Figure | None:
    """The parts with the largest mean error, as bars beside the mean of all rows.

    Args:
        errors: of each row.
        error: the name of their mean, with its unit.

    Returns:
        None if no part has enough rows.
    """
    weight = scored.weight
    parts = [
        (f"{column.name}: {name}", float(np.average(errors[rows], weights=weight[rows])), len(rows))
        for column in columns
        for name, rows in parts_of(column)
        if SMALLEST_PART <= len(rows) < len(errors)
    ]
    if not parts:
        return None
    worst = pl.DataFrame(parts, ["part", "error", "rows"], orient="row")
    worst = worst.sort("error", descending=True, maintain_order=True).head(MOST_PARTS)
    bars = chart_of(**worst.to_dict()).encode(
        y=alt.Y("part:N", sort=None, title=None, axis=alt.Axis(labelLimit=340)),
        x=alt.X("error:Q", title=error),
        tooltip=["part:N", "error:Q", "rows:N"],
    )
    counts = bars.transform_calculate(label="format(datum.rows, ',') + ' rows'")
    mean = float(np.average(errors, weights=weight))
    rule = chart_of(mean=[mean]).mark_rule(color=REFERENCE, strokeDash=[4, 3], strokeWidth=1.5)
    return alt.layer(
        bars.mark_bar(color=NETWORK, opacity=0.85),
        counts.mark_text(align="left", dx=4, fontSize=10, color=REFERENCE).encode(text="label:N"),
        rule.encode(x="mean:Q"),
        width=WIDTH,
        title=alt.Title(
            "Where the errors are largest",
            subtitle=f"{scored.count()}; dashed: the mean of all, {mean:.4g}",
        ),
        description=f"Bars: the {len(worst)} parts of the test rows with the largest {error}",
    )
