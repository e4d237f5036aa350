"""The verb results: one table over many runs, from their metrics.json and config.yaml alone. No torch."""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from mlplab.errors import Fault, UserError, listed, nearest
from mlplab.runs.discovery import runs_below
from mlplab.runs.selection import (
    SPLIT_KEYS,
    RunResult,
    as_typed,
    common_monitor,
    differing,
    read_run,
    without_repeats,
)

TEST_METRICS = ("test/rmse", "test/mae", "test/r2")

RUN = "run"
DEPTH = 3
"""Folders within folders that are looked through: outputs, sweeps, runs."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Score:
    """A metric over the finished runs of a group; NaN where there are too few.

    With several seeds on each of several splits, those of a split are averaged first: standard deviation and
    standard error are over the splits, as runs on one split tell the same of the test rows.
    """

    mean: float
    sd: float
    se: float


@dataclass(frozen=True)
class Group:
    """Runs that share the values of some keys.

    Attributes:
        key: those values.
        runs: how many finished.
        over: what they are averaged over, such as `8 seeds`; empty for one run.
        others: how many have another status, by it; no figure holds anything of theirs.
        scores: by metric.
    """

    key: tuple[str, ...]
    runs: int
    over: str
    others: dict[str, int]
    scores: dict[str, Score]


@dataclass(frozen=True)
class Results:
    """Groups of runs.

    Attributes:
        by: the keys whose values they share.
        metrics: what is shown: the validation metric by which runs are compared, and those of the test.
    """

    by: tuple[str, ...]
    metrics: tuple[str, ...]
    groups: tuple[Group, ...]


def results(folders: Sequence[Path], by: Sequence[str] | None = None, sort: str | None = None) -> Results:
    """Groups the runs below some folders.

    Args:
        by: keys to group by; `run` makes each run a group. None takes the keys in which runs differ, but
            for seeds and folds, over which the scores are averaged.
        sort: a metric (best first) or a key of `by`; None takes the validation metric that the runs monitor.

    Raises:
        UserError: if there are no runs, or a key or a metric is not theirs.
    """
    found = {run.resolve(): run for folder in folders for run in _below(folder)}  # each once
    read = [read_run(run) for run in found.values()]
    runs = without_repeats(read)
    if repeats := len(read) - len(runs):
        count = "it counts" if repeats == 1 else "they count"
        has = f"{repeats} of {len(read)} runs {'has' if repeats == 1 else 'have'}"
        log.info("%s the configuration and the seed of another: %s once", has, count)
    known = sorted({key for run in runs for key in run.config})
    by = tuple(differing(runs)) if by is None else tuple(by)
    for key in by:
        _check(key, [RUN, *known], "--by")
    metrics = (common_monitor(runs), *TEST_METRICS)
    sort = sort or metrics[0]
    others = {name for run in runs for name in run.metrics if math.isfinite(run.metric(name))}
    _check(sort, [*metrics, *sorted(others.difference(metrics)), *by], "--sort")
    groups: dict[tuple[str, ...], list[RunResult]] = {}
    for run in runs:
        values = tuple(str(run.folder) if key == RUN else as_typed(run.config.get(key)) for key in by)
        groups.setdefault(values, []).append(run)
    made = [_group(values, members, dict.fromkeys((*metrics, sort))) for values, members in groups.items()]
    if sort in by:
        made.sort(key=lambda group: _natural(group.key[by.index(sort)]))
    else:
        sign = -1 if sort.endswith("r2") else 1
        made.sort(key=lambda group: (math.isnan(mean := group.scores[sort].mean), sign * mean))
    return Results(by, metrics, tuple(made))


def _below(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(Fault("no such folder", str(folder), remedy="name runs, sweeps, or outputs"))
    found = list(runs_below(folder, DEPTH))
    if not found:
        raise UserError(
            Fault("holds no run", str(folder), expected="folders with config.yaml and metrics.json in them")
        )
    return found


def _check(key: str, known: Sequence[str], flag: str) -> None:
    if key not in known:
        near = nearest(key, known) or [each for each in known if each.rpartition(".")[2] == key]
        remedy = f"did you mean {near[0]}?" if near else ""
        raise UserError(Fault("no run knows this", flag, f"'{key}'", f"one of {listed(known)}", remedy))


def _group(key: tuple[str, ...], runs: Sequence[RunResult], metrics: Iterable[str]) -> Group:
    done = [run for run in runs if run.done]
    others = Counter(run.metrics["status"] for run in runs if not run.done)
    scores = {name: _score(done, name) for name in metrics}
    return Group(key, len(done), _over(done), dict(others), scores)


def _score(runs: Sequence[RunResult], name: str) -> Score:
    values: dict[tuple[str, ...], list[float]] = {}
    for run in runs:
        if math.isfinite(value := run.metric(name)):
            values.setdefault(run.values(SPLIT_KEYS), []).append(value)
    single = [value for seeds in values.values() for value in seeds]
    each = [fmean(seeds) for seeds in values.values()] if len(values) > 1 else single
    sd = stdev(each) if len(each) > 1 else math.nan
    se = sd / math.sqrt(len(each)) if each else math.nan
    return Score(fmean(single) if each else math.nan, sd, se)


def _over(runs: Sequence[RunResult]) -> str:
    """What runs are averaged over: seeds, splits, or both."""
    splits, seeds = ({run.values(keys) for run in runs} for keys in (SPLIT_KEYS, ("seed",)))
    folds = "fold" if len({run.values(SPLIT_KEYS[1:]) for run in runs}) > 1 else "split"
    if len(runs) < 2:
        return ""
    if len(splits) == 1:
        return f"{len(seeds)} seeds" if len(seeds) > 1 else f"{len(runs)} runs"
    if len(runs) == len(splits):
        return f"{len(splits)} {folds}s"
    return f"{len(splits)} {folds}s, each the mean of its seeds ({len(runs)} runs)"


def _natural(text: str) -> tuple[int, float, str]:
    try:
        return 0, float(text), text
    except ValueError:
        return 1, 0.0, text
