"""Test rows with the predictions of models for them, and the figures of numbers and of levels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import polars as pl
from jaxtyping import Float64, Int64

from mlplab.config.metrics import DEFAULT_THRESHOLD
from mlplab.console import in_digits, plural
from mlplab.data.splits.split import sample_rows
from mlplab.figures.style import (
    FREE,
    HEIGHT,
    MOST_POINTS,
    NETWORK,
    REFERENCE,
    UNIT,
    WIDTH,
    Figure,
    by_series,
    chart_of,
    diagonal,
    framed,
    rows_of,
)

THIS = "this network"
"""The name of the network among the models."""


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

    def count(self, shown: int) -> str:
        """How many of the test rows a figure shows."""
        rows = plural(self.total, "test row")
        return rows if shown == self.total else f"{shown:,} of {rows}"

    def weighted_count(self) -> str:
        """How many rows are in sums and means, and whether these depend on weights."""
        is_weighted = len(np.unique(self.weight)) > 1
        return self.count(len(self.rows)) + ", by their weights" * is_weighted


def predicted_vs_actual(scored: ScoredRows) -> Figure:
    """A point for each row; on the diagonal, predictions are right. The network is in front."""
    target, names = scored.target, list(scored.predictions)
    shown = sample_rows(np.arange(len(scored.rows)), MOST_POINTS)
    rows = {"row": scored.rows[shown], "actual": scored.actual[shown]}
    frame = pl.concat(
        pl.DataFrame({**rows, "model": name, "predicted": scored.predictions[name][shown]})
        for name in reversed(names)
    )
    dots = chart_of(**frame.to_dict()).mark_point(size=28)
    dots = dots.encode(
        x=alt.X("actual:Q", title=f"actual {target}", scale=FREE),
        y=alt.Y("predicted:Q", title=f"predicted {target}", scale=FREE),
        opacity=alt.condition(f"datum.model == '{THIS}'", alt.value(0.8), alt.value(0.6)),
        tooltip=["model:N", "row:N", "actual:Q", "predicted:Q"],
        **by_series("model", names),
    )
    return framed(
        *(diagonal(float(scored.actual.min()), float(scored.actual.max())), dots),
        title=f"Predicted and actual {target}",
        subtitle=scored.count(len(shown)),
        description=f"Scatter plot of predicted over actual {target}; on the diagonal, they are equal",
    )


def residuals(scored: ScoredRows) -> Figure:
    """A point for each row: what the network's prediction lacks. Above 0, the target is larger."""
    target, shown = scored.target, sample_rows(np.arange(len(scored.rows)), MOST_POINTS)
    actual, predicted = scored.actual[shown], scored.predicted[shown]
    values = {"actual": actual, "predicted": predicted, "residual": actual - predicted}
    dots = chart_of(row=scored.rows[shown], **values).mark_point(size=28, color=NETWORK, opacity=0.8)
    dots = dots.encode(
        x=alt.X("predicted:Q", title=f"predicted {target}", scale=FREE),
        y=alt.Y("residual:Q", title=f"actual − predicted {target}", scale=FREE),
        tooltip=["row:N", *(f"{name}:Q" for name in values)],
    )
    zero = chart_of(zero=[0]).mark_rule(color=REFERENCE, strokeDash=[5, 4]).encode(y="zero:Q")
    return framed(
        *(zero, dots),
        title=f"Residuals of {target}",
        subtitle=f"{scored.count(len(shown))}; dashed: no error",
        description=f"Scatter plot of actual minus predicted {target} over its prediction",
    )


def coverage(
    kind: str, right: str, scored: ScoredRows, levels: Sequence[float], shares: Sequence[float]
) -> Figure:
    """The share of test rows whose target or class is inside, or below a quantile, over the level.

    Args:
        kind, right: what there is of each level, and what it does as often as its level says.
    """
    return shares_chart(
        pl.DataFrame({"model": THIS, "x": levels, "share": shares, "rows": len(scored.rows)}),
        x=f"level of the {kind}",
        y=f"share of {kind} that {right}",
        title=f"How often {kind} {right}",
        subtitle=f"{scored.weighted_count()}; dashed: as often as the level says",
    )


def shares_chart(points: pl.DataFrame, x: str, y: str, **words: Any) -> Figure:
    """Shares of models, beside the diagonal, on which they are as large as they should be."""
    base = chart_of(**points.to_dict()).encode(
        x=alt.X("x:Q", title=x, scale=UNIT),
        y=alt.Y("share:Q", title=y, scale=UNIT),
        tooltip=["model:N", alt.Tooltip("x:Q", title=x), "share:Q", "rows:N"],
    )
    series = by_series("model", points["model"].unique(maintain_order=True).to_list())
    dots = base.mark_point(size=50, filled=True, opacity=1)
    return framed(
        *(diagonal(), base.mark_line().encode(series["color"]), dots.encode(**series)),
        description=f"{y} over {x}; on the diagonal, the two are equal",
        size=(HEIGHT, HEIGHT),
        **words,
    )


MAX_COLUMNS = 20


def importance(columns: Sequence[tuple[str, float, float]], error: str, basis: Sequence[str]) -> Figure:
    """Bars of the increase of the error, with whiskers of a standard deviation.

    Args:
        columns: name, mean and standard deviation, the most important first.
        error: the name of the error, with its unit.
        basis: rows and shuffles in words, and further notes: a line each.
    """
    shown = columns[:MAX_COLUMNS]
    rows = [{"name": name, "mean": mean, "low": mean - sd, "high": mean + sd} for name, mean, sd in shown]
    subtitle = ["when the values of a column are shuffled: mean ± SD", *basis]
    if len(columns) > MAX_COLUMNS:
        subtitle.append(f"the first {MAX_COLUMNS} of {len(columns):,} columns")
    largest = ", ".join(f"{name} {in_digits(mean, 3)}" for name, mean, _ in columns[:3])
    bars = alt.Chart(rows_of(rows)).encode(
        alt.X("mean:Q", title=f"increase of the {error}", scale=alt.Scale(nice=False)),
        alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=130)),
        tooltip=["name:N", "mean:Q", "low:Q", "high:Q"],
    )
    return framed(
        bars.mark_bar(color=NETWORK),
        bars.mark_rule(color=REFERENCE, strokeWidth=3).encode(x="low:Q", x2="high:Q"),
        title="Permutation importance",
        subtitle=subtitle,
        description=f"Bars: the increase of the {error} when a column is shuffled. Largest: {largest}.",
        size=(WIDTH, 22 * len(rows)),  # a step would not do on pages
    )
