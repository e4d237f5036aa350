"""Predicted against actual numbers, and what is left."""

import altair as alt
import polars as pl

from mlplab.figures.scored_rows import THIS, ScoredRows
from mlplab.figures.style import (
    FREE,
    NETWORK,
    REFERENCE,
    Figure,
    by_series,
    chart_of,
    diagonal,
    framed,
    row_count,
)


def predicted_vs_actual(scored: ScoredRows) -> Figure:
    """A point for each row; on the diagonal, predictions are right. The network is in front."""
    target, shown, names = scored.target, scored.shown(), list(scored.predictions)
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
        subtitle=row_count(len(shown), scored.total),
        description=f"Scatter plot of predicted over actual {target}; on the diagonal, they are equal",
    )


def residuals(scored: ScoredRows) -> Figure:
    """Residuals over the prediction."""
    target, shown = scored.target, scored.shown()
    predicted = scored.predicted[shown]
    dots = chart_of(row=scored.rows[shown], predicted=predicted, residual=scored.actual[shown] - predicted)
    dots = dots.mark_point(size=28, color=NETWORK, opacity=0.7).encode(
        x=alt.X("predicted:Q", title=f"predicted {target}", scale=FREE),
        y=alt.Y("residual:Q", title=f"actual − predicted {target}"),
        tooltip=["row:N", "predicted:Q", "residual:Q"],
    )
    zero = chart_of(zero=[0]).mark_rule(color=REFERENCE, strokeDash=[5, 4]).encode(y="zero:Q")
    return framed(
        *(zero, dots),
        title=f"Residuals of {target}",
        subtitle=row_count(len(shown), scored.total),
        description=f"Scatter plot of actual minus predicted {target} over the prediction",
    )
