"""Charts of a search: its trials in order, their scores over each key, and how much each key matters."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np

from mlplab.figures.key_axis import comparable, label, numbers_of, with_place, x_of_key, x_of_text
from mlplab.figures.scales import FEW, ScoreAxis, rounded, score_axis
from mlplab.figures.style import BASELINE, HEIGHT, MOST_POINTS, NETWORK, REFERENCE, WIDTH, Figure, rows_of
from mlplab.figures.sweep import Point, a_point_per, best_point

KINDS = {
    "done": ("circle", NETWORK),
    "pruned": ("square", BASELINE),
    "diverged": ("cross", REFERENCE),
    "failed": ("triangle-down", REFERENCE),
}
"""The shape and the colour of a trial's point by its status. Trials of another status are left out."""

OF_DONE, OF_ALL = 0.75, 0.5
"""The shares of the finished trials and of all that have at least half of the axis of scores."""

GOLDEN = 0.618034
"""Multiples of it spread evenly between 0 and 1, without their whole parts."""

FEW_POINTS = 200
"""Points that may be large."""

BAR = 24
"""Pixels of a bar and the gap below it."""

MOST_BARS = 20
"""Hyperparameters that are shown at most."""


@dataclass(frozen=True)
class Trial:
    """A trial of a search.

    Attributes:
        number: the order in which the search asked for it.
        status: that of its run.
        score: its value of the monitored metric, of a pruned trial so far; NaN if it has none.
    """

    number: int
    status: str
    score: float

    @property
    def is_scored(self) -> bool:
        """Whether it has a score."""
        return math.isfinite(self.score)


def history(trials: Sequence[Trial], metric: str, *, lowest_is_best: bool) -> Figure | None:
    """The metric of each trial over its number, and the best so far; None if no trial has a score.

    Trials without a score, and those whose score is far worse than most, are drawn at the edge.
    """
    sign = 1 if lowest_is_best else -1
    known = sorted((trial for trial in trials if trial.status in KINDS), key=lambda trial: trial.number)
    if not any(trial.is_scored for trial in known):
        return None
    better = _improvements(known, sign)
    axis = _axis(known, sign)
    shown = _shown(known, better)
    rows = [
        {
            "trial": trial.number,
            "status": trial.status,
            "place": rounded(axis.place(trial.score)),
            "score": rounded(trial.score) if trial.is_scored else None,
        }
        for trial in shown
    ]
    few, present = len(rows) <= FEW_POINTS, {trial.status for trial in shown}
    x = alt.X("trial:Q", axis=alt.Axis(format=",d", tickMinStep=1), scale=alt.Scale(nice=False, padding=8))
    y = alt.Y("place:Q", title=metric, scale=axis.scale)
    dots = (
        alt.Chart(rows_of(rows))
        .mark_point(size=45 if few else 20, opacity=0.85 if few else 0.6)
        .encode(
            x=x,
            y=y,
            color=_by_status(alt.Color, 1, present),
            shape=_by_status(alt.Shape, 0, present),
            tooltip=[
                alt.Tooltip("trial:Q"),
                alt.Tooltip("status:N"),
                alt.Tooltip("score:Q", title=metric, format=".4~g"),
            ],
        )
    )
    steps = [{"trial": trial.number, "place": rounded(axis.place(trial.score))} for trial in better]
    steps += [steps[-1] | {"trial": known[-1].number}] if better else []
    line = (
        alt.Chart(rows_of(steps))
        .mark_line(color=NETWORK, strokeWidth=2, interpolate="step-after")
        .encode(x=x, y=y)
    )
    count = f"{len(known):,} trial{'s' * (len(known) != 1)}"
    lines = [
        (f"{len(shown):,} of {count}" if len(shown) < len(known) else count)
        + ("; the line is the best so far" if better else "")
    ]
    if axis.has_edge:
        lines.append(f"at the {'top' if sign > 0 else 'bottom'} edge: no score, or one off the axis")
    title = alt.Title("History", subtitle=lines)
    description = (
        f"Points: {metric} of each trial over its number. A line: the best of the finished trials so far."
    )
    return alt.layer(
        *_edge(axis), dots, line, title=title, width=WIDTH, height=HEIGHT, description=description
    )


def _improvements(trials: Sequence[Trial], sign: int) -> list[Trial]:
    """The finished trials that are better than all before."""
    better: list[Trial] = []
    for trial in trials:
        is_better = not better or sign * trial.score < sign * better[-1].score
        if trial.status == "done" and trial.is_scored and is_better:
            better.append(trial)
    return better


def _shown(trials: Sequence[Trial], always: Sequence[Trial]) -> list[Trial]:
    """Some of the trials and a random part of the others, if there are too many to show."""
    if len(trials) <= MOST_POINTS:
        return list(trials)
    chosen = {trial.number for trial in always}
    others = [trial.number for trial in trials if trial.number not in chosen]
    count = max(0, MOST_POINTS - len(chosen))
    chosen |= set(np.random.default_rng(0).choice(others, count, replace=False).tolist())
    return [trial for trial in trials if trial.number in chosen]


def _axis(trials: Sequence[Trial], sign: int) -> ScoreAxis:
    """An axis for the scores of trials: those of pruned ones are worse, and often the most."""
    ordered = sorted((trial for trial in trials if trial.is_scored), key=lambda trial: sign * trial.score)
    done = [place for place, trial in enumerate(ordered, 1) if trial.status == "done"]
    most = max([math.ceil(OF_ALL * len(ordered)), *done[: math.ceil(OF_DONE * len(done))]])
    return score_axis([trial.score for trial in ordered], most, with_edge=len(ordered) < len(trials))


def _by_status(channel: Any, part: int, present: set[str]) -> Any:
    """The colour or the shape of points by status."""
    kinds = {status: kind[part] for status, kind in KINDS.items() if status in present}
    scale = alt.Scale(domain=list(kinds), range=list(kinds.values()))
    return channel("status:N", scale=scale, legend=alt.Legend(orient="top", title=None))


def score_of_trials(key: str, points: Sequence[Point], metric: str, *, lowest_is_best: bool) -> Figure:
    """The metric of finished trials over one key; a few numbers that repeat are categories.

    Scores that are far worse than most are drawn at the edge.
    """
    values = comparable([point.values[key] for point in points])
    numbers = sorted(set(numbers_of(values)))
    if numbers and len(numbers) <= FEW and 2 * len(numbers) <= len(values):
        values, names = [label(value) for value in values], [label(number) for number in numbers]
        x = x_of_text(key, names)
    else:
        x = x_of_key(key, values)
    scores = sorted((point.score for point in points), reverse=not lowest_is_best)
    axis = score_axis(scores, math.ceil(OF_DONE * len(scores)))
    rows = [
        {
            "run": points[place].name,
            "value": values[place],
            "place": rounded(axis.place(points[place].score)),
            "score": rounded(points[place].score),
            "best": points[place].is_best,
            "offset": rounded(place * GOLDEN % 1),
        }
        for place in sorted(with_place(values), key=lambda place: points[place].is_best)  # in front
    ]
    dots = alt.Chart(rows_of(rows)).mark_point(filled=True)
    dots = dots.encode(x=x, y=alt.Y("place:Q", title=metric, scale=axis.scale), **best_point(metric))
    dots = dots.encode(
        opacity=alt.condition("datum.best", alt.value(1), alt.value(0.6)),
        size=alt.condition("datum.best", alt.value(90), alt.value(45)),
    )
    if isinstance(values[0], str):  # points of a category side by side
        dots = dots.encode(xOffset=alt.XOffset("offset:Q", scale=alt.Scale(domain=[-0.5, 1.5])))
    subtitle = [f"{a_point_per('finished trial', len(values) - len(rows))}; the best is blue"]
    if axis.has_edge:
        subtitle.append(f"at the {'top' if lowest_is_best else 'bottom'} edge: off the axis")
    title = alt.Title(f"{metric} over {key}", subtitle=subtitle)
    return alt.layer(*_edge(axis), dots, title=title, width=WIDTH, height=HEIGHT)


def _edge(axis: ScoreAxis) -> list[alt.Chart]:
    """A line between an axis of scores and its edge, if it has one."""
    rule = alt.Chart(rows_of([{"place": rounded(axis.end)}])).mark_rule(color=REFERENCE, strokeDash=[2, 3])
    return [rule.encode(y=alt.Y("place:Q", scale=axis.scale))] * axis.has_edge


def hyperparameter_importance(importance: Mapping[str, float], metric: str) -> Figure:
    """Bars of the importance of hyperparameters, the most important first.

    Args:
        importance: the share of each, by name.
    """
    ordered = sorted(importance.items(), key=lambda each: -each[1])
    shown = [{"key": key, "share": rounded(share)} for key, share in ordered[:MOST_BARS]]
    subtitle = [f"the share of each in the differences of {metric} between trials"]
    if len(ordered) > len(shown):
        subtitle.append(f"the first {len(shown)} of {len(ordered)} hyperparameters")
    axis = alt.Axis(labelLimit=190)
    base = alt.Chart(rows_of(shown)).encode(
        y=alt.Y("key:N", sort=None, title=None, axis=axis, scale=alt.Scale(paddingInner=0.3)),
        x=alt.X("share:Q", title="importance", axis=alt.Axis(format="%", tickCount=5)),
        tooltip=[alt.Tooltip("key:N", title="hyperparameter"), alt.Tooltip("share:Q", format=".1%")],
    )
    numbers = base.mark_text(align="left", dx=4, fontSize=11).encode(text=alt.Text("share:Q", format=".0%"))
    largest = ", ".join(f"{key} {share:.0%}" for key, share in ordered[:3])
    return alt.layer(base.mark_bar(color=NETWORK), numbers).properties(
        width=WIDTH,
        height=BAR * len(shown),
        title=alt.Title("Importance of the hyperparameters", subtitle=subtitle),
        description=f"Bars: the importance of each hyperparameter for {metric}. Largest: {largest}.",
    )
