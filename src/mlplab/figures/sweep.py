"""Charts of many runs: how the monitored metric depends on what varies, and how far seeds spread."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

import altair as alt

from mlplab.figures.scales import in_order, is_geometric, rounded, scale_of, scale_of_key, spreads_far
from mlplab.figures.style import HEIGHT, NETWORK, REFERENCE, WIDTH, Figure, rows_of

WORST = "#a3a3a3"
"""The colour of the worst run; the best has that of the network."""

MOST_TICKS = 8
"""Different numbers up to which an axis names each of them."""

MOST_CONFIGURATIONS = 20
"""Configurations whose spread is shown at most."""

Value = float | str


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
    values = _values(key, points)
    x = _x(key, values)
    rows = [
        {"run": point.name, "value": value, "score": rounded(point.score), "best": point.is_best}
        for point, value in zip(points, values, strict=True)
    ]
    base = alt.Chart(rows_of(rows)).encode(x=x)
    y = alt.Y("score:Q", title=metric, scale=scale_of([point.score for point in points]))
    means = base.mark_line(color=REFERENCE, strokeDash=[4, 3]).encode(
        y=alt.Y("mean(score):Q", title=metric),
        tooltip=[alt.Tooltip("mean(score):Q", title="mean", format=".4~g")],
    )
    dots = base.mark_point(filled=True, size=55, opacity=0.85).encode(y=y, **_best(metric))
    if 2 * len(set(values)) > len(values):
        title = alt.Title(f"{metric} over {key}", subtitle="a point per run")
        return alt.layer(dots, title=title, width=WIDTH, height=HEIGHT)
    title = alt.Title(f"{metric} over {key}", subtitle="a point per run; the line joins the means")
    return alt.layer(means, dots, title=title, width=WIDTH, height=HEIGHT)


def spread(points: Mapping[str, Sequence[Point]], metric: str) -> Figure:
    """The metric of the runs of each configuration, best first, with its mean."""
    shown = dict(list(points.items())[:MOST_CONFIGURATIONS])
    rows = [
        {"configuration": name, "run": point.name, "score": rounded(point.score), "best": point.is_best}
        for name, group in shown.items()
        for point in group
    ]
    scale = scale_of([point.score for group in shown.values() for point in group])
    base = alt.Chart(rows_of(rows)).encode(
        y=alt.Y("configuration:N", title=None, sort=list(shown), axis=alt.Axis(labelLimit=190))
    )
    dots = base.mark_point(filled=True, size=55, opacity=0.85).encode(
        x=alt.X("score:Q", title=metric, scale=scale), **_best(metric)
    )
    means = base.mark_tick(thickness=2, size=16, color=REFERENCE).encode(
        x=alt.X("mean(score):Q", title=metric),
        tooltip=[alt.Tooltip("mean(score):Q", title="mean", format=".4~g")],
    )
    best = f"the best {len(shown)} of {len(points)}" if len(shown) < len(points) else "all"
    title = alt.Title(
        "Spread over seeds and splits", subtitle=f"{best} configurations; a point per run, a line at the mean"
    )
    return alt.layer(means, dots, title=title, width=WIDTH, height=max(90, 28 * len(shown)))


def parallel_coordinates(points: Sequence[Point], metric: str, *, lowest_is_best: bool) -> Figure:
    """A line per run across an axis for each key that varies, and one for the metric."""
    keys = list(points[0].values)
    axes = {key: _values(key, points) for key in keys}
    axes[metric] = [point.score for point in points]
    places = {name: _places(values) for name, values in axes.items()}
    lines = [
        {
            "run": number,
            "name": point.name,
            "score": rounded(point.score),
            "best": point.is_best,
            "axis": name,
            "place": rounded(places[name][axes[name][number]]),
        }
        for number, point in enumerate(points)
        for name in axes
    ]
    ticks = [
        {"axis": name, "place": place, "text": value if isinstance(value, str) else f"{value:.4g}"}
        for name, named in places.items()
        for value, place in _ticks(named)
    ]
    x = alt.X(
        "axis:N",
        sort=list(axes),
        title=None,
        scale=alt.Scale(padding=0.15),
        axis=alt.Axis(labelAngle=0, domain=False),
    )
    y = alt.Y("place:Q", axis=None, scale=alt.Scale(domain=[0, 1], nice=False))
    rules = alt.Chart(rows_of([{"axis": name} for name in axes]))
    scores = [point.score for point in points]
    runs = alt.Chart(rows_of(lines)).encode(
        x=x,
        y=y,
        detail="run:N",
        color=alt.Color("score:Q", title=metric, scale=_ramp(scores, lowest_is_best=lowest_is_best)),
        strokeWidth=alt.condition("datum.best", alt.value(2.5), alt.value(1)),
        tooltip=[
            alt.Tooltip("name:N", title="run"),
            alt.Tooltip("score:Q", title=metric, format=".4~g"),
        ],
    )
    labels = alt.Chart(rows_of(ticks)).encode(x=x, y=y, text="text:N")
    return alt.layer(
        rules.mark_rule(color=REFERENCE, opacity=0.6).encode(x=x),
        runs.mark_line(opacity=0.75),
        labels.mark_text(align="left", dx=5, dy=-7, fontSize=10),
        title=alt.Title(
            "All settings together", subtitle="a line per run; those of the best configuration are thick"
        ),
        width=2 * WIDTH,
        height=HEIGHT,
    )


def _best(metric: str) -> dict[str, object]:
    """The colour and tooltip of a run's point."""
    return {
        "color": alt.condition("datum.best", alt.value(NETWORK), alt.value(REFERENCE)),
        "tooltip": [alt.Tooltip("run:N"), alt.Tooltip("score:Q", title=metric, format=".4~g")],
    }


def _ramp(scores: Sequence[float], *, lowest_is_best: bool) -> alt.Scale:
    """From the colour of the best score to that of the worst."""
    colours = [NETWORK, WORST] if lowest_is_best else [WORST, NETWORK]
    return alt.Scale(type="log" if spreads_far(scores) else "linear", range=colours, nice=False)


def _values(key: str, points: Sequence[Point]) -> list[Value]:
    """The values of a key: all numbers, or all text."""
    values = [point.values[key] for point in points]
    return [str(value) for value in values] if any(isinstance(value, str) for value in values) else values


def _x(key: str, values: Sequence[Value]) -> alt.X:
    """The axis of a key, which names each of a few numbers."""
    numbers = [value for value in values if not isinstance(value, str)]
    if not numbers:
        return alt.X("value:N", title=key, sort=in_order(map(str, values)), axis=alt.Axis(labelAngle=0))
    named = sorted(set(numbers))
    few = len(named) <= MOST_TICKS
    axis = alt.Axis(format="~g", values=named) if few else alt.Axis(format="~g", tickCount=5)
    return alt.X("value:Q", title=key, axis=axis, scale=scale_of_key(numbers))


def _places(values: Sequence[Value]) -> dict[Value, float]:
    """The place of each value on an axis from 0 to 1; texts are evenly spaced."""
    numbers = [value for value in values if not isinstance(value, str)]
    if not numbers:
        distinct = in_order(map(str, values))
        return {value: (index + 0.5) / len(distinct) for index, value in enumerate(distinct)}
    scaled = {value: log(value) if is_geometric(numbers) else value for value in numbers}
    low, high = min(scaled.values()), max(scaled.values())
    return {value: (each - low) / (high - low) if high > low else 0.5 for value, each in scaled.items()}


def _ticks(places: Mapping[Value, float]) -> list[tuple[Value, float]]:
    """The values that an axis names: all, or of many numbers the first and the last."""
    named = sorted(places.items(), key=lambda each: each[1])
    few = len(named) <= MOST_TICKS or any(isinstance(value, str) for value in places)
    return named if few else [named[0], named[-1]]
