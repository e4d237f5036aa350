"""A chart of the runs of a sweep or a search: their score over a key."""

import random
from collections.abc import Sequence
from typing import NamedTuple

import altair as alt

from mlplab.figures.style import (
    FREE,
    MOST_POINTS,
    NETWORK,
    Figure,
    KeyValue,
    framed,
    rounded,
    rows_of,
    spreads_far,
    x_of_key,
)


class RunPoint(NamedTuple):
    """A finished run, its value of a key, and its value of the monitored metric."""

    run: str
    value: KeyValue
    score: float


def score_over(key: str, runs: Sequence[RunPoint], metric: str, best: str) -> Figure:
    """The metric of each run over one key. The best run of the best configuration is large."""
    shown = random.Random(0).sample(runs, min(len(runs), MOST_POINTS))
    rows = [{**run._asdict(), "score": rounded(run.score), "best": run.run == best} for run in shown]
    is_log = spreads_far([run.score for run in runs])  # or a few very bad runs would hide the others
    dots = alt.Chart(rows_of(rows)).mark_point(filled=True, color=NETWORK, opacity=0.8)
    dots = dots.encode(
        x_of_key(key, [run.value for run in runs]),
        alt.Y("score:Q", title=metric, scale=alt.Scale(type="log", nice=False) if is_log else FREE),
        size=alt.condition("datum.best", alt.value(160), alt.value(45)),
        tooltip=["run:N", alt.Tooltip("value:N", title=key), alt.Tooltip("score:Q", title=metric)],
    )
    return framed(
        dots,
        title=f"{metric} over {key}",
        subtitle=[f"{len(shown):,} of {len(runs):,} finished runs", "the best one is large"],
        description=f"Points: {metric} of each finished run over its value of {key}",
    )
