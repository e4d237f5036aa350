"""How often classes, intervals, sets and quantiles are right, beside how often they should be."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from mlplab.figures.scored_rows import THIS, ScoredRows
from mlplab.figures.style import HEIGHT, UNIT, Figure, by_series, chart_of, diagonal, framed

BINS = 10
"""Bins of a calibration curve, with equally many rows."""


def calibration(scored: ScoredRows) -> Figure:
    """How often predictions are correct, over their probability.

    Predictions are the second of two classes, or the most likely of several.
    """
    binary = len(scored.classes) == 2
    points = []
    for name, predicted in scored.predictions.items():
        chosen = np.ones(len(predicted), int) if binary else predicted.argmax(1)
        probability, right = predicted[np.arange(len(predicted)), chosen], scored.actual == chosen
        for rows in np.array_split(np.argsort(probability, kind="stable"), min(BINS, len(probability))):
            means = (np.average(values[rows], weights=scored.weight[rows]) for values in (probability, right))
            points.append((name, *means, len(rows)))
    what = f"probability of '{scored.classes[1]}'" if binary else "probability of the predicted class"
    share = f"share of '{scored.classes[1]}'" if binary else "share of correct predictions"
    return _shares(
        pl.DataFrame(points, ["model", "x", "share", "rows"], orient="row"),
        x=what,
        y=share,
        title="Calibration",
        subtitle=f"{min(BINS, len(scored.rows))} groups of {scored.count()}",
    )


def coverage(
    kind: str, right: str, scored: ScoredRows, levels: Sequence[float], shares: Sequence[float]
) -> Figure:
    """The share of test rows whose target or class is inside, or below a quantile, over the level.

    Args:
        kind, right: what there is of each level, and what it does as often as its level says.
    """
    return _shares(
        pl.DataFrame({"model": THIS, "x": levels, "share": shares, "rows": len(scored.rows)}),
        x=f"level of the {kind}",
        y=f"share of {kind} that {right}",
        title=f"How often {kind} {right}",
        subtitle=f"{scored.count()}; dashed: as often as the level says",
    )


def _shares(points: pl.DataFrame, x: str, y: str, **words: Any) -> Figure:
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
