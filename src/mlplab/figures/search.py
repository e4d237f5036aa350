"""Charts of a search: its trials in order, their scores over each key, and how much each key matters."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import altair as alt

from mlplab.figures.scales import PADDING, Value, rounded, x_of_key
from mlplab.figures.style import BASELINE, HEIGHT, MOST_POINTS, NETWORK, REFERENCE, WIDTH, Figure, rows_of

KINDS = {
    "done": ("circle", NETWORK),
    "pruned": ("square", BASELINE),
    "diverged": ("cross", REFERENCE),
    "failed": ("triangle-down", REFERENCE),
}
"""The shape and the colour of a trial's point by its status. Trials of another status are left out."""

OUTLIER = 4
"""How many times as far from the best as the median score the worst may be, and be on the axis."""

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
        values: its values of the keys that vary.
    """

    number: int
    status: str
    score: float
    values: Mapping[str, Value] = field(default_factory=dict)

    @property
    def is_scored(self) -> bool:
        """Whether it has a score."""
        return math.isfinite(self.score)


def history(trials: Sequence[Trial], metric: str, *, lowest_is_best: bool) -> Figure | None:
    """The metric of each trial over its number, and the best so far; None if no trial has a score."""
    known = sorted((trial for trial in trials if trial.status in KINDS), key=lambda trial: trial.number)
    if not any(trial.is_scored for trial in known):
        return None
    x = alt.X("trial:Q", axis=alt.Axis(format=",d", tickMinStep=1), scale=alt.Scale(nice=False, padding=8))
    dots, y, notes = _dots(known, x, metric, lowest_is_best=lowest_is_best)
    sign, steps = 1 if lowest_is_best else -1, list[dict[str, float]]()
    for trial in known:
        is_better = not steps or sign * trial.score < sign * steps[-1]["place"]
        if trial.status == "done" and trial.is_scored and is_better:
            steps.append({"trial": trial.number, "place": trial.score})
    steps += [steps[-1] | {"trial": known[-1].number}] if steps else []
    line = alt.Chart(rows_of(steps)).mark_line(color=NETWORK, strokeWidth=2, interpolate="step-after")
    title = alt.Title("History", subtitle=["the line is the best finished trial so far", *notes])
    description = f"Points: {metric} of each trial over its number. A line: the best finished one so far."
    return alt.layer(
        dots, line.encode(x, y), title=title, width=WIDTH, height=HEIGHT, description=description
    )


def score_of_trials(key: str, trials: Sequence[Trial], metric: str, *, lowest_is_best: bool) -> Figure:
    """The metric of each trial over one key. Without those that were pruned, bad values would look rare.

    Args:
        trials: with values of the key; at least one with a score.
    """
    x = x_of_key(key, [trial.values[key] for trial in trials])
    dots, _, notes = _dots(trials, x, metric, lowest_is_best=lowest_is_best, key=key)
    title = alt.Title(f"{metric} over {key}", subtitle=["the best trial is large", *notes])
    return dots.properties(title=title, width=WIDTH, height=HEIGHT)


def _dots(
    trials: Sequence[Trial], x: alt.X, metric: str, *, lowest_is_best: bool, key: str = ""
) -> tuple[alt.Chart, alt.Y, list[str]]:
    """A point per trial, faint if it has not finished; the axis of scores; and what to say about both.

    Trials without a score, and those whose score is far worse than most, are at the edge of the axis.
    """
    scores = sorted((trial.score for trial in trials if trial.is_scored), reverse=not lowest_is_best)
    best, reach = scores[0], OUTLIER * abs(scores[len(scores) // 2] - scores[0])
    worst = [score for score in scores if not reach or abs(score - best) <= reach][-1]
    scale = alt.Scale(domain=sorted((best, worst)), clamp=True, zero=False, nice=False, padding=PADDING)
    y = alt.Y("place:Q", title=metric, scale=scale)
    off = worst + (1 if lowest_is_best else -1) * (1 + abs(worst - best))
    finished = [trial for trial in trials if trial.status == "done" and trial.is_scored]
    first = min(finished, key=lambda trial: (abs(trial.score - best), trial.number), default=None)
    shown = trials if len(trials) <= MOST_POINTS else random.Random(0).sample(trials, MOST_POINTS)
    rows = [
        {
            "trial": trial.number,
            "status": trial.status,
            "place": rounded(trial.score if trial.is_scored else off),
            "score": rounded(trial.score) if trial.is_scored else None,
            "value": trial.values.get(key),
            "best": trial == first,
        }
        for trial in sorted(shown, key=lambda trial: trial.status == "done")  # in front
    ]
    kinds = {status: kind for status, kind in KINDS.items() if any(row["status"] == status for row in rows)}
    shape, colour = (
        alt.Scale(domain=list(kinds), range=[kind[part] for kind in kinds.values()]) for part in (0, 1)
    )
    legend = alt.Legend(orient="top", title=None)
    dots = alt.Chart(rows_of(rows)).mark_point(filled=True)
    dots = dots.encode(
        x,
        y,
        alt.Color("status:N", scale=colour, legend=legend),
        alt.Shape("status:N", scale=shape, legend=legend),
        opacity=alt.condition("datum.status == 'done'", alt.value(0.9), alt.value(0.35)),
        size=alt.condition("datum.best", alt.value(160), alt.value(45)),
        tooltip=["trial:Q", "status:N", alt.Tooltip("score:Q", title=metric, format=".4~g")],
    )
    count = f"{len(trials):,} trial{'s' * (len(trials) != 1)}; those that did not finish are faint"
    notes = [f"{len(shown):,} of {count}" if len(shown) < len(trials) else count]
    if any(not trial.is_scored or abs(trial.score - best) > abs(worst - best) for trial in shown):
        notes.append(f"at the {'top' if lowest_is_best else 'bottom'}: no score, or one off the axis")
    return dots, y, notes


def hyperparameter_importance(importance: Mapping[str, float], metric: str, trials: int) -> Figure:
    """Bars of the importance of hyperparameters, the most important first.

    Args:
        importance: the share of each, by name.
        trials: the number of finished trials that it was computed from.
    """
    ordered = sorted(importance.items(), key=lambda item: -item[1])[:MOST_BARS]
    base = alt.Chart(rows_of([{"key": key, "share": rounded(share)} for key, share in ordered])).encode(
        x=alt.X("share:Q", title="importance", axis=alt.Axis(format="%", tickCount=5)),
        y=alt.Y("key:N", sort=None, title=None, axis=alt.Axis(labelLimit=190)),
    )
    numbers = base.mark_text(align="left", dx=4, fontSize=11).encode(text=alt.Text("share:Q", format=".0%"))
    subtitle = [
        f"what sets the best of {trials:,} finished trials apart (PED-ANOVA): how much each key matters,",
        "not which values are good, nor which keys act together; with few trials, small shares are chance",
    ]
    largest = ", ".join(f"{key} {share:.0%}" for key, share in ordered[:3])
    return alt.layer(base.mark_bar(color=NETWORK), numbers).properties(
        width=WIDTH,
        height=BAR * len(ordered),
        title=alt.Title("Importance of the hyperparameters", subtitle=subtitle),
        description=f"Bars: the importance of each hyperparameter for {metric}. Largest: {largest}.",
    )
