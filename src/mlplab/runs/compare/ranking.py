"""In which keys runs differ, which metric ranks them, and which of them predict. Imports no torch."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

from mlplab.config import MAY_BE_AUTO, Mark, is_marked
from mlplab.config.metrics import sign_of
from mlplab.errors import Fault, UserError
from mlplab.runs.compare.run_result import (
    RunResult,
    as_typed,
    check_one_table,
    is_classification,
    labelled,
    plain_value,
    read_run,
)
from mlplab.runs.discovery import finished_runs

SEED, FOLD = ("seed",), ("data.split.fold",)

SPLIT_KEYS = ("data.split.seed", *FOLD)
"""Keys that change only how the same rows are split."""

REPEATS = (*SEED, *SPLIT_KEYS)
"""Keys in which runs of one configuration may differ: scores are averaged over them."""

LOSS_KEYS = ("loss.", "data.class_weights", "model.preprocessing.target")
"""Keys that define the loss: runs that differ in them cannot be compared by `val/loss`."""

Groups = dict[tuple[str, ...], list[RunResult]]  # runs by values of keys

log = logging.getLogger(__name__)


def without_repeats(runs: Sequence[RunResult]) -> list[RunResult]:
    """One run for each configuration and seed; a finished one if possible."""
    unique: dict[tuple[str, ...], RunResult] = {}
    for run in runs:
        keys = sorted(key for key in run.config if not is_marked(key, Mark.COSMETIC))
        same = (*keys, *run.values(keys))
        if same not in unique or (run.done and not unique[same].done):
            unique[same] = run
    return list(unique.values())


def varying_keys(runs: Sequence[RunResult]) -> list[str]:
    """The keys in which runs differ, except names, seeds and folds.

    Runs that were refused before their table decided what `auto` stands for do not count if there are others.
    """
    runs = [run for run in runs if "auto" not in map(run.config.get, MAY_BE_AUTO)] or runs
    keys = dict.fromkeys(key for run in runs for key in run.config if key not in REPEATS)
    return [key for key in keys if not is_marked(key, Mark.COSMETIC) and _varies(key, runs)]


def _varies(key: str, runs: Sequence[RunResult]) -> bool:
    option = f"{key.rpartition('.')[0]}.name"  # only loss=huber has loss.delta
    values, options = set[float | str](), {True: set[str](), False: set[str]()}
    for run in runs:
        options[key in run.config].add(as_typed(run.config.get(option)))
        if key in run.config:
            values.add(plain_value(run.config[key]))  # 5 is 5.0
    return len(values) > 1 or not options[True].isdisjoint(options[False])


def common_monitor(runs: Sequence[RunResult]) -> str:
    """The validation metric that ranks runs of one table.

    It is the one that all of them monitor, if there is one, and it is not `val/loss` of different losses.
    """
    monitors = {str(run.config.get("monitor")) for run in runs} - {"None", "auto"}  # auto: it was refused
    losses_differ = monitors == {"val/loss"} and any(key.startswith(LOSS_KEYS) for key in varying_keys(runs))
    if len(monitors) == 1 and not losses_differ:
        return monitors.pop()
    return "val/log_loss" if is_classification(runs) else "val/rmse"


def warn_of_ensembles(keys: Sequence[str]) -> None:
    """Warns if runs that differ in these keys are validated in different ways."""
    if "ensemble" in keys:
        what = "val/* of ensembles is out of fold, and stricter than that of single networks"
        log.warning("%s: choose among runs with the same value of ensemble", what)


class Score(NamedTuple):
    """A metric over runs; NaN if there are too few.

    Standard deviation and standard error are over `repeats`: runs on one split share their test rows, and
    runs with one seed their initial weights. Those of a repeat are averaged first.
    """

    mean: float
    sd: float
    se: float


def repeats(runs: Sequence[RunResult]) -> list[list[RunResult]]:
    """Runs by their split, or by their seed if all have the same split."""
    splits = {run.values(SPLIT_KEYS) for run in runs}
    by_repeat: Groups = {}
    for run in runs:
        by_repeat.setdefault(run.values(SPLIT_KEYS if len(splits) > 1 else SEED), []).append(run)
    return list(by_repeat.values())


def score(runs: Sequence[RunResult], metric: str) -> Score:
    """A metric over the finished runs that have it."""
    known = [run for run in runs if run.done and math.isfinite(run.metric(metric))]
    values = [fmean(run.metric(metric) for run in repeat) for repeat in repeats(known)]
    mean = fmean(run.metric(metric) for run in known) if known else math.nan
    sd = stdev(values) if len(values) > 1 else math.nan
    return Score(mean, sd, sd / math.sqrt(len(values) or 1))


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


def select_runs(folder: Path, choice: str | int = "best") -> list[Path]:
    """A finished run's folder itself, or the chosen ones of a sweep's finished runs, which are logged.

    Args:
        choice: `best`: the runs of the configuration with the best mean validation metric over its seeds
            and folds; a number: that many individual runs, best first; `all`: all runs.

    Raises:
        UserError: if there is no finished run, the runs have different tables, or the choice is invalid.
    """
    folders = finished_runs(folder)
    number = _as_number(choice)
    if folders == [folder]:
        check_no_choice(choice, "a single run")
        return folders
    runs = without_repeats([read_run(run) for run in folders])
    check_one_table(runs, folder)
    monitor, keys = common_monitor(runs), varying_keys(runs)
    warn_of_ensembles(keys)
    if number is not None:
        chosen = ranked(runs, monitor)[:number]
        what = f"the {len(chosen)} best of {len(runs)} runs by {monitor}"
    elif choice == "all" or not keys:
        chosen, what = runs, f"all {len(runs)} runs"
    else:
        groups = configurations(runs, keys, monitor)
        best, chosen = next(iter(groups.items()))
        which = f"those with {labelled(keys, best)}: the best of {len(groups)} configurations by {monitor}"
        what = f"{len(chosen)} of {len(runs)} runs, {which}"
    log.info("%s: %s", folder, what)
    return [run.folder for run in chosen]


def check_no_choice(choice: str | int, kind: str) -> None:
    """Checks that a number of runs is given only for a sweep.

    Raises:
        UserError: otherwise.
    """
    if _as_number(choice) is not None:
        what = "has a meaning only for a sweep"
        raise UserError(Fault(what, f"runs={choice}", kind, remedy="remove it"))


def _as_number(choice: str | int) -> int | None:
    if choice in ("best", "all"):
        return None
    if (isinstance(choice, int) or (choice.isascii() and choice.isdigit())) and int(choice) > 0:
        return int(choice)
    raise UserError(Fault("invalid value", "runs", repr(choice), "best, all, or a number of runs"))
