"""Figures of the scores of many runs: over the values of a key, and over the trials of a search."""

import math
from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

import altair as alt
import numpy as np

from mlplab.config.metrics import sign_of
from mlplab.data.splits.split import sample_rows
from mlplab.figures.runs import rounded, spreads_far
from mlplab.figures.style import (
    BASELINE,
    MOST_POINTS,
    NETWORK,
    REFERENCE,
    Figure,
    framed,
    label_angle,
    rows_of,
)
from mlplab.files import Plain

KINDS = {
    "done": ("circle", NETWORK),
    "pruned": ("square", BASELINE),
    "diverged": ("cross", REFERENCE),
    "failed": ("triangle-down", REFERENCE),
}
"""The shape and the colour of a run's point by its status. Runs of another status are not drawn."""

OUTLIER = 5  # times as far from the best as the median, a score is beyond the axis

FEW, MOST_NAMES = 8, 20  # different values up to which an axis names numbers, or text

PADDING = 15  # pixels between the points and the ends of an axis


class RunPoint(NamedTuple):
    """A run in a chart.

    Attributes:
        status: one of `KINDS`.
        value: its value of the key, or the number of the trial.
        score: of a pruned run as far as it came; NaN if there is none.
        is_best: whether it has the best configuration.
    """

    run: str
    status: str
    value: float | int | str
    score: float
    is_best: bool


def score_over(key: str, points: Sequence[RunPoint], metric: str) -> Figure | None:
    """A metric over the values of a key; None if there is nothing to compare."""
    distinct = {point.value for point in points}
    numbers = [value for value in distinct if not isinstance(value, str)]
    texts = sorted(
        (value for value in distinct if isinstance(value, str)), key=lambda text: (len(text), text)
    )
    if len(distinct) < 2 or not any(math.isfinite(point.score) for point in points):
        return None
    is_sampled = any(rounded(number) != number for number in numbers)
    if not texts and (len(numbers) > FEW or is_sampled):
        # The median of numbers that spread evenly is in the middle, and lower if their logarithms do.
        low, high = min(numbers), max(numbers)
        is_log = 0 < 10 * low < high and median(numbers) < (low + high) / 3
        log: Plain = {"type": "log"} if is_log else {"zero": False}
        scale = alt.Scale(**log, nice=False, padding=PADDING)
        x = alt.X("value:Q", title=key, scale=scale, axis=alt.Axis(tickCount=5))
    elif len(distinct) <= MOST_NAMES:
        order: list[Any] = [*sorted(numbers), *texts]
        axis = alt.Axis(labelAngle=label_angle(order), labelLimit=110)  # pixels
        x = alt.X("value:N", title=key, scale=alt.Scale(domain=order), axis=axis)
    else:
        return None
    return _scores(x, points, metric, f"{metric} over {key}")


def score_by_trial(points: Sequence[RunPoint], metric: str) -> Figure:
    """A metric over the number of the trial, with the best of the finished trials so far as a line."""
    scale, ticks = alt.Scale(zero=False, nice=False, padding=PADDING), min(7, max(1, len(points) - 1))
    x = alt.X("value:Q", title="trial", scale=scale, axis=alt.Axis(format="d", tickCount=ticks))
    sign, best, steps = sign_of(metric), math.inf, list[Plain]()
    for point in points:
        if point.status == "done" and math.isfinite(point.score):
            best = min(best, sign * point.score)
        if math.isfinite(best):
            steps.append({"value": point.value, "score": rounded(sign * best)})
    line = alt.Chart(rows_of(steps)).mark_line(color=NETWORK, strokeWidth=1.5, interpolate="step-after")
    return _scores(x, points, metric, f"{metric} by trial", line)


def _scores(x: alt.X, points: Sequence[RunPoint], metric: str, title: str, *behind: alt.Chart) -> Figure:
    """A point for each run, those of the best configuration large and in front."""
    low, high = domain = _domain(metric, [point.score for point in points if math.isfinite(point.score)])
    log: Plain = {"type": "log"} if spreads_far(domain) else {}
    scale = alt.Scale(**log, domain=domain, clamp=True, nice=False, padding=PADDING)
    y = alt.Y("score:Q", title=metric, scale=scale)
    sampled = {*sample_rows(np.arange(len(points)), MOST_POINTS).tolist()}
    drawn = [point for number, point in enumerate(points) if number in sampled or point.is_best]
    drawn.sort(key=lambda point: (point.is_best, point.status == "done"))
    kinds = {status: KINDS[status] for status in KINDS if any(point.status == status for point in drawn)}
    shape, colour = (
        alt.Scale(domain=[*kinds], range=[kind[part] for kind in kinds.values()]) for part in (0, 1)
    )
    legend = alt.Legend(orient="top", title=None) if len(kinds) > 1 else None
    rows = [
        point._asdict() | {"score": rounded(point.score), "text": f"{point.score:.5g}"} for point in drawn
    ]
    base = alt.Chart().mark_point(filled=True, opacity=0.8)
    base = base.encode(
        x,
        alt.Color("status:N", scale=colour, legend=legend),
        alt.Shape("status:N", scale=shape, legend=legend),
        size=alt.condition("datum.is_best", alt.value(170), alt.value(45)),
        tooltip=[
            "run:N",
            "status:N",
            alt.Tooltip(x["shorthand"], title=x["title"]),
            alt.Tooltip("text:N", title=metric),
        ],
    )
    on_axis = [row for row in rows if low <= row["score"] <= high]
    beyond = [row | {"score": None} for row in rows if not low <= row["score"] <= high]  # JSON has no NaN
    layers: list[Any] = [line.encode(x, y) for line in behind]
    layers.append(base.properties(data=rows_of(on_axis)).encode(y))
    notes = ["the best configuration is large"]
    if len(drawn) < len(points):
        notes.insert(0, f"{len(drawn):,} of {len(points):,} runs")
    if behind:
        notes.append("line: the best finished one so far")
    if beyond:
        worse_end = "height" if sign_of(metric) < 0 else 0
        layers.append(base.properties(data=rows_of(beyond)).encode(y=alt.value(worse_end)))
        notes.append(f"at the {'bottom' if worse_end else 'top'}: far worse, or without a score")
    return framed(
        *layers, title=title, subtitle="; ".join(notes), description=f"Points: {title}, of each run"
    )


def _domain(metric: str, scores: Sequence[float]) -> list[float]:
    """The ends of the axis of scores: a few far worse than most would hide how the others differ."""
    sign, place = sign_of(metric), math.log if spreads_far(scores) else float
    ordered = sorted(scores, key=lambda score: sign * score)
    best = place(ordered[0])
    reach = OUTLIER * abs(place(median(ordered)) - best)
    worst = [score for score in ordered if not reach or abs(place(score) - best) <= reach][-1]
    return sorted((rounded(ordered[0]), rounded(worst)))
