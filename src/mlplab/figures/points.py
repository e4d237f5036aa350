"""Predicted against actual numbers, and what is left."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
from jaxtyping import Float64, Int64

from mlplab.figures.parts import ColumnValues, Part, parts_of
from mlplab.figures.style import (
    BASELINE,
    HEIGHT,
    MOST_POINTS,
    NETWORK,
    REFERENCE,
    WIDTH,
    Figure,
    row_count,
    rows_of,
)

THIS = "this network"

PANELS = 4
"""Columns that are shown beside the residuals."""

TENTHS = 10

Numbers = Float64[np.ndarray, " row"]


@dataclass(frozen=True)
class Points:
    """Test rows with a target that is a number.

    Args:
        target: its name.
        rows: numbers of the rows in the table, counted from 1.
        total: the number of all test rows.
        weight: the weight of each row in means.
        baseline: the predictions of a baseline; None if there is none.
        baseline_name: its name.
    """

    target: str
    rows: Int64[np.ndarray, " row"]
    total: int
    weight: Numbers
    actual: Numbers
    predicted: Numbers
    baseline: Numbers | None = None
    baseline_name: str = ""

    @property
    def residuals(self) -> Numbers:
        """Actual minus predicted."""
        return self.actual - self.predicted

    def shown(self) -> Int64[np.ndarray, " shown"]:
        """The positions of a random part of the rows, if there are too many to show."""
        if len(self.rows) <= MOST_POINTS:
            return np.arange(len(self.rows))
        return np.sort(np.random.default_rng(0).choice(len(self.rows), MOST_POINTS, replace=False))

    def subtitle(self) -> str:
        """How many rows are shown."""
        return row_count(len(self.shown()), self.total)


def predicted_vs_actual(points: Points) -> Figure:
    """A point for each row; on the diagonal, predictions are right."""
    models = [(THIS, points.predicted)]
    if points.baseline is not None:
        models.insert(0, (points.baseline_name, points.baseline))  # behind
    values = [
        {
            "row": int(points.rows[i]),
            "actual": float(points.actual[i]),
            "predicted": float(of[i]),
            "model": name,
        }
        for name, of in models
        for i in points.shown()
    ]
    names = [THIS, *(name for name, _ in models if name != THIS)]
    several = len(names) > 1
    dots = (
        alt.Chart(rows_of(values))
        .mark_point(size=28)
        .encode(
            x=alt.X("actual:Q", title=f"actual {points.target}", scale=alt.Scale(zero=False)),
            y=alt.Y("predicted:Q", title=f"predicted {points.target}", scale=alt.Scale(zero=False)),
            color=_by_model("color", names, [NETWORK, BASELINE], several),
            shape=_by_model("shape", names, ["circle", "square"], several),
            opacity=_by_model("opacity", names, [0.8, 0.3], several),
            tooltip=[
                "model:N",
                "row:Q",
                alt.Tooltip("actual:Q", format=".5~g"),
                alt.Tooltip("predicted:Q", format=".5~g"),
            ],
        )
    )
    ends = [float(points.actual.min()), float(points.actual.max())]
    diagonal = (
        alt.Chart(rows_of([{"a": end} for end in ends]))
        .mark_line(color=REFERENCE, strokeDash=[5, 4])
        .encode(x="a:Q", y="a:Q")
    )
    return alt.layer(diagonal, dots).properties(
        width=WIDTH,
        height=HEIGHT,
        title=alt.Title(f"Predicted and actual {points.target}", subtitle=points.subtitle()),
        description=f"Scatter plot of predicted over actual {points.target}; on the diagonal, they are equal",
    )


def _by_model(channel: str, names: Sequence[str], range_: Sequence[Any], several: bool) -> Any:
    kinds = {"color": alt.Color, "shape": alt.Shape, "opacity": alt.Opacity}
    legend = alt.Legend(orient="top", title=None) if several else None
    return kinds[channel](
        "model:N", scale=alt.Scale(domain=list(names), range=list(range_)[: len(names)]), legend=legend
    )


def residuals(points: Points) -> Figure:
    """Residuals over the prediction."""
    shown = points.shown()
    values = [
        {"row": row, "predicted": predicted, "residual": residual}
        for row, predicted, residual in zip(
            points.rows[shown].tolist(),
            points.predicted[shown].tolist(),
            points.residuals[shown].tolist(),
            strict=True,
        )
    ]
    dots = (
        alt.Chart(rows_of(values))
        .mark_point(size=28, color=NETWORK, opacity=0.7)
        .encode(
            x=alt.X("predicted:Q", title=f"predicted {points.target}", scale=alt.Scale(zero=False)),
            y=alt.Y("residual:Q", title=f"actual − predicted {points.target}"),
            tooltip=[
                "row:Q",
                alt.Tooltip("predicted:Q", format=".5~g"),
                alt.Tooltip("residual:Q", format=".4~g"),
            ],
        )
    )
    return alt.layer(_zero(), dots).properties(
        width=WIDTH,
        height=HEIGHT,
        title=alt.Title(f"Residuals of {points.target}", subtitle=points.subtitle()),
        description=f"Scatter plot of actual minus predicted {points.target} over the prediction",
    )


def residuals_by_column(points: Points, columns: Sequence[ColumnValues]) -> Figure | None:
    """Residuals over the columns whose parts explain most of them; None if there is no such column."""
    explained = [(_explained(column, points.residuals), column) for column in columns]
    chosen = [column for share, column in sorted(explained, key=lambda each: -each[0]) if share > 0][:PANELS]
    if not chosen:
        return None
    panels = [_panel(points, column) for column in chosen]
    return alt.concat(*panels, columns=2).properties(
        title=alt.Title(
            f"Residuals of {points.target} by column",
            subtitle="line: mean of a tenth of the rows, or of a category",
        ),
        description=f"Scatter plots of actual minus predicted {points.target} over {len(chosen)} columns",
    )


def _explained(column: ColumnValues, residuals: Numbers) -> float:
    """The share of the residuals' variance between the parts of a column, adjusted for their number."""
    parts = [part for part in parts_of(column, TENTHS) if len(part.rows)]
    total, rows, count = float(residuals.var()), len(residuals), len(parts)
    if count < 2 or rows <= count or not total:
        return 0.0
    within = sum(len(part.rows) * float(residuals[part.rows].var()) for part in parts) / rows
    return 1 - within / total * (rows - 1) / (rows - count)


def _panel(points: Points, column: ColumnValues) -> Any:
    field, kind = ("value:Q", alt.Scale(zero=False)) if column.numeric else ("value:N", alt.Scale())
    x = alt.X(field, title=column.name, scale=kind)
    y = alt.Y("residual:Q", title="actual − predicted")
    left, shown = points.residuals, points.shown()
    dots = [
        {"value": value, "residual": residual, "row": row}
        for value, residual, row in zip(
            column.shown(shown), left[shown].tolist(), points.rows[shown].tolist(), strict=True
        )
        if value is not None
    ]
    means = [
        {
            "value": each.middle if column.numeric else each.label,
            "residual": float(np.average(left[each.rows], weights=points.weight[each.rows])),
        }
        for each in _present(column)
    ]
    means_chart = alt.Chart(rows_of(means)).encode(x=x, y=y)
    dots_of_means = means_chart.mark_point(color=BASELINE, filled=True, size=30 if column.numeric else 60)
    trend = [means_chart.mark_line(color=BASELINE)] if column.numeric else []
    return alt.layer(
        alt.Chart(rows_of(dots))
        .mark_point(size=14, color=NETWORK, opacity=0.45)
        .encode(x=x, y=y, tooltip=["row:Q", field, alt.Tooltip("residual:Q", format=".4~g")]),
        _zero(),
        *trend,
        dots_of_means,
        width=WIDTH / 2,
        height=HEIGHT / 2,
    )


def _present(column: ColumnValues) -> Iterator[Part]:
    """The parts of a column whose values are not missing."""
    present = np.flatnonzero(~np.isnan(column.values))
    within = ColumnValues(column.name, column.values[present], column.categories)
    return (part._replace(rows=present[part.rows]) for part in parts_of(within, TENTHS))


def _zero() -> alt.Chart:
    return alt.Chart(rows_of([{"zero": 0}])).mark_rule(color=REFERENCE, strokeDash=[5, 4]).encode(y="zero:Q")
