"""Ranks runs and configurations by a metric. Imports no torch."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from mlplab.config.metrics import sign_of
from mlplab.runs.compare.run_result import RunResult

SPLIT_KEYS = ("data.split.seed", "data.split.fold")
"""Keys that change only how the same rows are split."""

Groups = dict[tuple[str, ...], list[RunResult]]
"""Runs by values of keys."""


class Score(NamedTuple):
    """A metric over runs; NaN if there are too few.

    If there are several splits with several seeds each, the seeds of a split are averaged first, since runs
    on one split share their test rows. Standard deviation and standard error are then over splits.
    """

    mean: float
    sd: float
    se: float


def score(runs: Sequence[RunResult], metric: str) -> Score:
    """A metric over the finished runs that have it."""
    splits: dict[tuple[str, ...], list[float]] = {}
    for run in runs:
        if run.done and math.isfinite(value := run.metric(metric)):
            splits.setdefault(run.values(SPLIT_KEYS), []).append(value)
    singles = [value for seeds in splits.values() for value in seeds]
    values = [fmean(seeds) for seeds in splits.values()] if len(splits) > 1 else singles
    sd = stdev(values) if len(values) > 1 else math.nan
    return Score(fmean(singles) if singles else math.nan, sd, sd / math.sqrt(len(values) or 1))


def ranked(runs: Sequence[RunResult], metric: str) -> list[RunResult]:
    """Runs, best first by a metric; those without it and unfinished ones last."""
    return sorted(runs, key=lambda run: (not run.done, *_best_first(run.metric(metric), metric)))


def configurations(runs: Sequence[RunResult], keys: Sequence[str], metric: str) -> Groups:
    """Runs by their values of some keys: the best mean over finished runs first, then the best run."""
    groups: Groups = {}
    for run in ranked(runs, metric):
        groups.setdefault(run.values(keys), []).append(run)
    means = {values: score(group, metric).mean for values, group in groups.items()}
    return {values: groups[values] for values in sorted(groups, key=lambda v: _best_first(means[v], metric))}


def _best_first(value: float, metric: str) -> tuple[bool, float]:
    """A sort key that puts NaN last."""
    return math.isnan(value), sign_of(metric) * value
