"""The command results: one table of many runs, from the files in their folders. Imports no torch."""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev

from mlplab.config.metrics import CLASSIFICATION, MAIN, REGRESSION, sign_of
from mlplab.errors import Fault, UserError, did_you_mean, listed, nearest
from mlplab.runs.best_trial import trial_number
from mlplab.runs.discovery import is_compatible, runs_below
from mlplab.runs.selection import (
    SPLIT_KEYS,
    RunResult,
    as_typed,
    common_monitor,
    read_run,
    trials_in_order,
    varying_keys,
    without_repeats,
)
from mlplab.runs.tables import by_table, of_classes, table_title

RUN = "run"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Score:
    """A metric over the finished runs of a group; NaN if there are too few.

    If there are several splits with several seeds each, the seeds of a split are averaged first, since runs
    on one split share their test rows. Standard deviation and standard error are then over splits.
    """

    mean: float
    sd: float
    se: float


@dataclass(frozen=True)
class Group:
    """Runs with the same values of some keys.

    Attributes:
        key: the values of the keys.
        names: of the runs' folders; of runs that are named by their keys, of their sweep's.
        runs: number of finished runs.
        over: what the scores are averaged over, such as `8 seeds`; empty for one run.
        unfinished: number of unfinished runs by status. The scores do not include them.
        scores: the scores by metric.
    """

    key: tuple[str, ...]
    names: tuple[str, ...]
    runs: int
    over: str
    unfinished: dict[str, int]
    scores: dict[str, Score]


@dataclass(frozen=True)
class Results:
    """Groups of runs.

    Attributes:
        by: the keys in which the groups differ.
        metrics: the validation metric by which runs are compared, and the test metrics.
    """

    by: tuple[str, ...]
    metrics: tuple[str, ...]
    groups: tuple[Group, ...]


def results_by_table(
    runs: Sequence[RunResult], by: Sequence[str] | None = None, sort: str | None = None
) -> list[tuple[str, Results]]:
    """Groups runs as `group_runs` does, but those of each table, target and task apart, with a title.

    Args:
        by: keys that the runs of a table do not have are left out.
        sort: a table without this metric is sorted by its validation metric.

    Raises:
        UserError: if a key or metric is unknown.
    """
    group_runs(runs, by, sort)  # checks the keys
    found = []
    for table in by_table(runs):
        known = {RUN, *(key for run in table for key in run.config)}
        keys = None if by is None else [key for key in by if key in known]
        has_sort = sort in (keys or ()) or any(math.isfinite(run.metric(str(sort))) for run in table)
        found.append((table_title(table), group_runs(table, keys, sort if has_sort else None)))
    return found


def read_runs(folders: Sequence[Path]) -> list[RunResult]:
    """Reads the runs in the given folders, without repeats; those of a search with all trials, in order.

    Raises:
        UserError: if there are no runs.
    """
    found = {run.resolve(): run for folder in folders for run in _runs_below(folder)}  # each once
    if other := [run for run in found.values() if not is_compatible(run)]:
        log.warning("left out runs of a different version of mlplab: %s", listed(map(str, other), 3))
    read = [read_run(run) for run in found.values() if run not in other or len(other) == len(found)]
    runs = trials_in_order(read) or without_repeats(read)
    if repeats := len(read) - len(runs):
        what = "left out %d of %d runs: same configuration and seed as another run"
        log.info(what, repeats, len(read))
    return runs


def group_runs(
    runs: Sequence[RunResult], by: Sequence[str] | None = None, sort: str | None = None
) -> Results:
    """Groups runs.

    Args:
        by: keys to group by; `run` makes each run a group. None: the keys in which the runs differ, except
            seeds and folds, over which scores are averaged.
        sort: a metric (best first) or a key of `by`. None: the validation metric that the runs monitor.

    Raises:
        UserError: if a key or metric is unknown.
    """
    known = sorted({key for run in runs for key in run.config})
    by = tuple(varying_keys(runs)) if by is None else tuple(by)
    for key in by:
        _check_known(key, [RUN, *known], "--by")
    of_test = MAIN[CLASSIFICATION if of_classes(runs) else REGRESSION]
    metrics = (common_monitor(runs), *(f"test/{name}" for name in of_test))
    sort = sort or metrics[0]
    other = {name for run in runs for name in run.metrics if math.isfinite(run.metric(name))}
    _check_known(sort, [*metrics, *sorted(other.difference(metrics)), *by], "--sort")
    members: dict[tuple[str, ...], list[RunResult]] = {}
    for run in runs:
        values = tuple(str(run.folder) if key == RUN else as_typed(run.config.get(key)) for key in by)
        members.setdefault(values, []).append(run)
    groups = [_group(values, each, dict.fromkeys((*metrics, sort))) for values, each in members.items()]
    if sort in by:
        groups.sort(key=lambda group: _natural(group.key[by.index(sort)]))
    else:
        sign = sign_of(sort)
        groups.sort(key=lambda group: (math.isnan(mean := group.scores[sort].mean), sign * mean))
    return Results(by, metrics, tuple(groups))


def baseline_scores(
    runs: Sequence[RunResult], found: Results, names: Iterable[str]
) -> dict[str, dict[str, Score]]:
    """The test scores of baselines over the splits of these runs.

    There are none if the runs' tables differ, or their ensembles: those leave other rows to the baselines.

    Args:
        found: the runs in groups.
        names: of the baselines; those without scores are left out.
    """
    differ = [key for key in found.by if key.startswith("data.") or key == "ensemble"]
    if differ not in ([], ["data.batch_size"]):
        return {}
    done = [run for run in runs if run.done]
    scores = {name: {metric: score(done, f"{name}/{metric}") for metric in found.metrics} for name in names}
    return {
        name: {metric: each if each.sd else replace(each, sd=math.nan) for metric, each in of_name.items()}
        for name, of_name in scores.items()
        if not all(math.isnan(each.mean) for each in of_name.values())
    }


def _runs_below(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(Fault("no such folder", str(folder), remedy="give run or sweep folders, or outputs/"))
    found = list(runs_below(folder))
    if not found:
        raise UserError(
            Fault(
                "contains no run", str(folder), expected="folders with config.yaml and metrics.json in them"
            )
        )
    return found


def _check_known(key: str, known: Sequence[str], flag: str) -> None:
    if key not in known:
        near = nearest(key, known) or [each for each in known if each.rpartition(".")[2] == key]
        found, expected = f"'{key}'", f"one of {listed(known)}"
        raise UserError(Fault("unknown key or metric", flag, found, expected, did_you_mean(near)))


def _group(key: tuple[str, ...], runs: Sequence[RunResult], metrics: Iterable[str]) -> Group:
    done = [run for run in runs if run.done]
    unfinished = Counter(run.metrics["status"] for run in runs if not run.done)
    scores = {name: score(done, name) for name in metrics}
    names = tuple(dict.fromkeys(map(_name, runs)))
    return Group(key, names, len(done), _averaged_over(done), dict(unfinished), scores)


def _name(run: RunResult) -> str:
    folder = run.folder.resolve()
    is_named_by_keys = "=" in folder.name or trial_number(folder.name) is not None
    return folder.parent.name if is_named_by_keys else folder.name


def score(runs: Sequence[RunResult], name: str) -> Score:
    """A metric over runs."""
    by_split: dict[tuple[str, ...], list[float]] = {}
    for run in runs:
        if math.isfinite(value := run.metric(name)):
            by_split.setdefault(run.values(SPLIT_KEYS), []).append(value)
    single = [value for seeds in by_split.values() for value in seeds]
    values = [fmean(seeds) for seeds in by_split.values()] if len(by_split) > 1 else single
    sd = stdev(values) if len(values) > 1 else math.nan
    se = sd / math.sqrt(len(values)) if values else math.nan
    return Score(fmean(single) if values else math.nan, sd, se)


def _averaged_over(runs: Sequence[RunResult]) -> str:
    """Seeds, splits, or both."""
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
    """A sort key that puts numbers first, by value."""
    try:
        return 0, float(text), text
    except ValueError:
        return 1, 0.0, text
