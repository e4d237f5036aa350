"""Charts of many runs: how the monitored metric depends on what varies, and how far seeds spread."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt

from mlplab.figures.scales import Value, rounded, scale_of, x_of_key
from mlplab.figures.style import HEIGHT, NETWORK, REFERENCE, WIDTH, Figure, rows_of

MOST_CONFIGURATIONS = 20
"""Configurations whose spread is shown at most."""


@dataclass(frozen=True)
class Point:
    """A run in a chart.

    Attributes:
        name: its name.
        values: its values of the keys that vary, by name; a number or text.
        score: its value of the monitored metric.
        is_best: whether its configuration is the best.
    """

    name: str
    values: Mapping[str, Value]
    score: float
    is_best: bool


def score_over(key: str, points: Sequence[Point], metric: str) -> Figure:
    """The metric of each run over one key, and its mean at each value if values repeat."""
    values = [point.values[key] for point in points]
    rows = [
        {"run": point.name, "value": value, "score": rounded(point.score), "best": point.is_best}
        for point, value in zip(points, values, strict=True)
    ]
    base = alt.Chart(rows_of(rows)).encode(x=x_of_key(key, values))
    y = alt.Y("score:Q", title=metric, scale=scale_of([point.score for point in points]))
    dots = base.mark_point(filled=True, size=55, opacity=0.85).encode(y=y, **best_point(metric))
    means = base.mark_line(color=REFERENCE, strokeDash=[4, 3]).encode(
        y=alt.Y("mean(score):Q", title=metric), tooltip=[alt.Tooltip("mean(score):Q", title="mean")]
    )
    repeats = 2 * len(set(values)) <= len(values)
    subtitle = "a point per run" + "; the line joins the means" * repeats
    title = alt.Title(f"{metric} over {key}", subtitle=subtitle)
    return alt.layer(*[means] * repeats, dots, title=title, width=WIDTH, height=HEIGHT)


def spread(points: Mapping[str, Sequence[Point]], metric: str) -> Figure:
    """The metric of the runs of each configuration, best first, with its mean."""
    shown = dict(list(points.items())[:MOST_CONFIGURATIONS])
    rows = [
        {"configuration": name, "run": point.name, "score": rounded(point.score), "best": point.is_best}
        for name, group in shown.items()
        for point in group
    ]
    scale = scale_of([point.score for group in shown.values() for point in group])
    y = alt.Y("configuration:N", title=None, sort=None, axis=alt.Axis(labelLimit=190))
    base = alt.Chart(rows_of(rows)).encode(y)
    dots = base.mark_point(filled=True, size=55, opacity=0.85)
    means = base.mark_tick(thickness=2, size=16, color=REFERENCE).encode(
        x=alt.X("mean(score):Q", title=metric), tooltip=[alt.Tooltip("mean(score):Q", title="mean")]
    )
    best = f"the best {len(shown)} of {len(points)}" if len(shown) < len(points) else "all"
    subtitle = f"{best} configurations; a point per run, a line at the mean"
    return alt.layer(
        means,
        dots.encode(x=alt.X("score:Q", title=metric, scale=scale), **best_point(metric)),
        title=alt.Title("Spread over seeds and splits", subtitle=subtitle),
        width=WIDTH,
        height=max(90, 28 * len(shown)),
    )


def best_point(metric: str) -> dict[str, object]:
    """The colour and tooltip of a run's point."""
    return {
        "color": alt.condition("datum.best", alt.value(NETWORK), alt.value(REFERENCE)),
        "tooltip": ["run:N", alt.Tooltip("score:Q", title=metric)],
    }
