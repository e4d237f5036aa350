"""A chart of runs across an axis for each key that varies."""

import math
from collections.abc import Mapping, Sequence

import altair as alt

from mlplab.figures.key_axis import Value, comparable, is_log, label, numbers_of
from mlplab.figures.scales import FEW, ScoreAxis, in_order, rounded, score_axis
from mlplab.figures.style import HEIGHT, NETWORK, REFERENCE, WIDTH, Figure, rows_of
from mlplab.figures.sweep import Point

WORST = "#a3a3a3"
"""The colour of the worst run; the best has that of the network."""

MOST_LINES = 80
"""Lines that are shown at most."""

MANY, MOST = 20, 0.75
"""The number of runs from which most of them determine the axis of scores, and their share."""

SHELF = 0.15
"""The share of an axis of numbers where the texts among them are."""

APART = 0.07
"""The smallest distance of labels."""


def parallel_coordinates(points: Sequence[Point], metric: str, *, lowest_is_best: bool) -> Figure:
    """A line per run across an axis for each key that varies, and one for the metric.

    Of many runs, it shows the best, and draws scores that are far worse than most at the edge.
    """
    sign = 1 if lowest_is_best else -1
    best = sorted(points, key=lambda point: sign * point.score)[:MOST_LINES]
    drawn, scores = best[::-1], [point.score for point in best]  # the best in front
    axis = score_axis(scores, math.ceil(MOST * len(scores)) if len(scores) >= MANY else len(scores))
    columns = {key: comparable([point.values[key] for point in drawn]) for key in points[0].values}
    places = {key: _places(key, values) for key, values in columns.items()}
    columns[metric] = [axis.place(point.score) for point in drawn]
    places[metric] = _numbers(numbers_of(columns[metric]), logarithmic=axis.is_log)
    names: dict[Value, str] = {axis.edge: "worse"} if axis.has_edge else {}
    subtitle = "a line per run; those of the best configuration are thick"
    if len(best) < len(points):
        subtitle = f"the best {len(best)} of {len(points)} runs, a line each; the best configuration is thick"
    lines = [
        {
            "run": number,
            "name": point.name,
            "score": rounded(point.score),
            "best": point.is_best,
            "axis": name,
            "place": rounded(places[name][values[number]]),
        }
        for number, point in enumerate(drawn)
        for name, values in columns.items()
    ]
    ticks = [
        {"axis": name, "place": rounded(place), "text": names.get(value) or label(value)}
        for name, of_axis in places.items()
        for value, place in _ticks(of_axis)
    ]
    x = alt.X(
        "axis:N",
        sort=list(columns),
        title=None,
        scale=alt.Scale(padding=0.15),
        axis=alt.Axis(labelAngle=0, domain=False),
    )
    y = alt.Y("place:Q", axis=None, scale=alt.Scale(domain=[0, 1], nice=False))
    rules = alt.Chart(rows_of([{"axis": name} for name in columns]))
    runs = alt.Chart(rows_of(lines)).encode(
        x=x,
        y=y,
        detail="run:N",
        color=alt.Color("score:Q", title=metric, scale=_ramp(axis)),
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
        title=alt.Title("All settings together", subtitle=subtitle),
        width=2 * WIDTH,
        height=HEIGHT,
    )


def _ramp(axis: ScoreAxis) -> alt.Scale:
    """From the colour of the best score to that of the worst on the axis."""
    colours = {axis.best: NETWORK, axis.worst: WORST}
    return alt.Scale(
        type="log" if axis.is_log else "linear",
        domain=sorted(colours),
        range=[colours[end] for end in sorted(colours)],
        clamp=True,
        nice=False,
    )


def _places(key: str, values: Sequence[Value]) -> dict[Value, float]:
    """The place of each value of a key on an axis from 0 to 1."""
    numbers = numbers_of(values)
    texts = in_order(value for value in values if isinstance(value, str))
    if not numbers:
        return {text: (index + 0.5) / len(texts) for index, text in enumerate(texts)}
    places = _numbers(numbers, logarithmic=is_log(key, numbers))
    if not texts:
        return places
    shelf = {text: SHELF * index / len(texts) for index, text in enumerate(texts)}
    return shelf | {value: SHELF + (1 - SHELF) * place for value, place in places.items()}


def _numbers(numbers: Sequence[float], *, logarithmic: bool) -> dict[Value, float]:
    """The place of each number on an axis from the smallest to the largest."""
    scaled = {value: math.log(value) if logarithmic else value for value in numbers}
    low, high = min(scaled.values()), max(scaled.values())
    return {value: (each - low) / (high - low) if high > low else 0.5 for value, each in scaled.items()}


def _ticks(places: Mapping[Value, float]) -> list[tuple[Value, float]]:
    """The values that an axis names: all texts, and all numbers or the first and the last of many."""
    numbers = sorted(numbers_of(places))
    ends = [numbers[0], numbers[-1]] if len(numbers) > FEW else numbers
    return [(value, place) for value, place in places.items() if isinstance(value, str) or value in ends]
