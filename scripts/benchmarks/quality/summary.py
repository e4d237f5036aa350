"""Scores put together: the mean of each contender on each table, and how they compare over tables."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, geometric_mean

from benchmarks.quality.scores import Score


@dataclass(frozen=True)
class Mean:
    """A contender on a table, over its splits and seeds.

    Attributes:
        error: RMSE of numbers, log-loss of classes.
    """

    error: float
    metrics: Mapping[str, float]
    fit_seconds: float
    predict_seconds: float


@dataclass(frozen=True)
class Summary:
    """A contender over tables.

    Attributes:
        ratio: of its error to the error of the contender that all are compared with.
        rank: by its error among the contenders, the best of which is 1.
    """

    ratio: float
    geometric_ratio: float
    rank: float
    fit_seconds: float
    predict_seconds: float


Means = Mapping[str, Mapping[str, Mean]]
"""By table and contender; all tables have the same contenders."""


def means_of(scores: Iterable[Score]) -> Means:
    """The means of all scores, in their order."""
    groups: dict[str, dict[str, list[Score]]] = defaultdict(lambda: defaultdict(list))
    for each in scores:
        groups[each.trial.table][each.trial.contender].append(each)
    return {
        table: {contender: _mean(own) for contender, own in by_contender.items()}
        for table, by_contender in groups.items()
    }


def summaries_of(means: Means, base: str) -> dict[str, Summary]:
    """Each contender over all these tables, beside the contender `base`."""
    contenders = next(iter(means.values()))
    return {contender: _summary([*means.values()], contender, base) for contender in contenders}


def _mean(scores: list[Score]) -> Mean:
    metrics = {name: fmean(each.metrics[name] for each in scores) for name in scores[0].metrics}
    return Mean(
        error=fmean(each.error for each in scores),
        metrics=metrics,
        fit_seconds=fmean(each.fit_seconds for each in scores),
        predict_seconds=fmean(each.predict_seconds for each in scores),
    )


def _summary(tables: list[Mapping[str, Mean]], contender: str, base: str) -> Summary:
    ratios = [table[contender].error / table[base].error for table in tables]
    return Summary(
        ratio=fmean(ratios),
        geometric_ratio=geometric_mean(ratios),
        rank=fmean(_rank(table, contender) for table in tables),
        fit_seconds=fmean(table[contender].fit_seconds for table in tables),
        predict_seconds=fmean(table[contender].predict_seconds for table in tables),
    )


def _rank(table: Mapping[str, Mean], contender: str) -> float:
    """Equal errors share the mean of their ranks."""
    errors, own = [each.error for each in table.values()], table[contender].error
    return sum(error < own for error in errors) + (errors.count(own) + 1) / 2
