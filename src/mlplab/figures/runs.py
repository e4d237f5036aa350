"""Charts of the runs of a sweep or a search: scores over each key and over time."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import altair as alt

from mlplab.config.metrics import sign_of
from mlplab.console import plural
from mlplab.figures.style import (
    BASELINE,
    MOST_POINTS,
    NETWORK,
    PADDING,
    REFERENCE,
    Figure,
    Value,
    framed,
    rounded,
    rows_of,
    x_of_key,
)

KINDS = {
    "done": ("circle", NETWORK),
    "pruned": ("square", BASELINE),
    "diverged": ("cross", REFERENCE),
    "failed": ("triangle-down", REFERENCE),
}
"""The shape and the colour of a run's point by its status. Runs of another status are left out."""

OUTLIER = 4
"""How many times as far from the best as the median score the worst may be, and be on the axis."""


@dataclass(frozen=True)
class RunPoint:
    """A run in a chart.

    Attributes:
        score: its value of the monitored metric, of a pruned trial so far; NaN if it has none.
        values: its values of the keys that vary.
    """

    name: str
    status: str
    score: float
    values: Mapping[str, Value] = field(default_factory=dict)

    @property
    def is_scored(self) -> bool:
        """Whether it has a score."""
        return math.isfinite(self.score)


def history(trials: Sequence[RunPoint], metric: str, best: str) -> Figure:
    """The metric of each trial of a search in their order, and the best so far. The best trial is large."""
    x = alt.X(
        "order:Q", title="trial", axis=alt.Axis(format=",d", tickMinStep=1), scale=alt.Scale(nice=False)
    )
    dots, y, notes = _dots(trials, x, metric, best)
    sign, steps = sign_of(metric), list[dict[str, float]]()
    for order, trial in enumerate(trials):
        is_better = not steps or sign * trial.score < sign * steps[-1]["place"]
        if trial.status == "done" and trial.is_scored and is_better:
            steps.append({"order": order, "place": trial.score})
    steps += [steps[-1] | {"order": len(trials) - 1}] if steps else []
    line = alt.Chart(rows_of(steps)).mark_line(color=NETWORK, strokeWidth=2, interpolate="step-after")
    return framed(
        *(dots, line.encode(x, y)),
        title="History",
        subtitle=["the line is the best finished trial so far", *notes],
        description=f"Points: {metric} of each trial in their order. A line: the best finished one so far.",
    )


def score_over(key: str, runs: Sequence[RunPoint], metric: str, best: str) -> Figure:
    """The metric of each run over one key. Without those that were pruned, bad values would look rare."""
    x = x_of_key(key, [run.values[key] for run in runs])
    dots, _, notes = _dots(runs, x, metric, best, key)
    return framed(
        dots,
        title=f"{metric} over {key}",
        subtitle=["the best run of the best configuration is large", *notes],
        description=f"Points: {metric} of each run over its value of {key}",
    )


def _dots(
    runs: Sequence[RunPoint], x: alt.X, metric: str, best_run: str, key: str = ""
) -> tuple[alt.Chart, alt.Y, list[str]]:
    """A point per run, faint if it has not finished; the axis of scores; and what to say about both.

    Runs without a score, and those whose score is far worse than most, are at the edge of the axis.
    """
    sign = sign_of(metric)
    scores = sorted((run.score for run in runs if run.is_scored), key=lambda score: sign * score)
    best, reach = scores[0], OUTLIER * abs(scores[len(scores) // 2] - scores[0])
    worst = [score for score in scores if not reach or abs(score - best) <= reach][-1]
    scale = alt.Scale(domain=sorted((best, worst)), clamp=True, zero=False, nice=False, padding=PADDING)
    y = alt.Y("place:Q", title=metric, scale=scale)
    off = worst + sign * (1 + abs(worst - best))
    shown = [(order, run) for order, run in enumerate(runs) if run.status in KINDS]
    known = len(shown)
    shown = random.Random(0).sample(shown, min(known, MOST_POINTS))
    rows = [
        {
            "order": order,
            "run": run.name,
            "status": run.status,
            "place": rounded(run.score if run.is_scored else off),
            "score": rounded(run.score) if run.is_scored else None,
            "value": run.values.get(key),
            "best": run.name == best_run,
        }
        for order, run in sorted(shown, key=lambda item: (item[1].status == "done", item[0]))  # in front
    ]
    kinds = {status: kind for status, kind in KINDS.items() if any(row["status"] == status for row in rows)}
    shape, colour = (
        alt.Scale(domain=list(kinds), range=[kind[part] for kind in kinds.values()]) for part in (0, 1)
    )
    legend = alt.Legend(orient="top", title=None) if len(kinds) > 1 else None
    dots = alt.Chart(rows_of(rows)).mark_point(filled=True)
    dots = dots.encode(
        x,
        y,
        alt.Color("status:N", scale=colour, legend=legend),
        alt.Shape("status:N", scale=shape, legend=legend),
        opacity=alt.condition("datum.status == 'done'", alt.value(0.9), alt.value(0.45)),
        size=alt.condition("datum.best", alt.value(160), alt.value(45)),
        tooltip=["run:N", "status:N", alt.Tooltip("score:Q", title=metric, format=".4~g")],
    )
    count = plural(known, "run") + "; those that did not finish are faint" * (len(kinds) > 1)
    notes = [f"{len(shown):,} of {count}" if len(shown) < known else count]
    if any(not run.is_scored or abs(run.score - best) > abs(worst - best) for _, run in shown):
        notes.append(f"at the {'top' if sign > 0 else 'bottom'}: no score, or one off the axis")
    return dots, y, notes
