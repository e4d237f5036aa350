"""Compares runs by configuration, and selects the best by their validation metric. Imports no torch."""

import logging
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlplab.config.dotted_keys import flat
from mlplab.errors import Fault, UserError
from mlplab.runs.best_trial import trial_number
from mlplab.runs.discovery import finished_runs, read_config, read_metrics
from mlplab.runs.ranking import SPLIT_KEYS, configurations, ranked
from mlplab.runs.resume import MAY_DIFFER
from mlplab.runs.tables import check_one_table, is_classification

RUN = "run"
"""Stands for the folder of a run among the keys of its configuration."""

REPEATS = ("seed", *SPLIT_KEYS)
"""Keys in which runs of one configuration may differ: scores are averaged over them."""

IGNORED = ("name", *MAY_DIFFER, "baselines", "test_predictions", "figures")
"""Keys that do not count as configuration: the name, a property of the machine, and what is also written."""

OF_TABLE = (
    *("ensemble", "monitor", "loss.", "data.batch_size", "trainer.max_epochs"),
    *("model.hidden", "model.dropout", "model.periodic_features"),
    *("optimizer.lr", "optimizer.weight_decay"),
)
"""Keys that may be `auto`, which the table replaces."""

COMMON_METRICS = ("val/log_loss", "val/rmse")
"""The metrics that compare runs which monitor different metrics: of classes and of numbers."""

OF_LOSS = ("loss.", "data.class_weights", "model.preprocessing.target")
"""Keys that define the loss: runs that differ in them cannot be compared by `val/loss`."""

FRACTION = re.compile(r"-?\d+(?:\.\d+(?:e[+-]?\d+)?|e[+-]?\d+)")
"""A number with a point or an exponent."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """The configuration (by dotted keys) and the metrics of a run."""

    folder: Path
    config: dict[str, Any]
    metrics: dict[str, Any]

    @property
    def done(self) -> bool:
        """Whether the run has finished."""
        return bool(self.metrics["status"] == "done")

    def metric(self, name: str) -> float:
        """The value of a metric; NaN if there is none."""
        value = self.metrics.get(name)
        return float(value) if isinstance(value, int | float) else math.nan

    def values(self, keys: Iterable[str]) -> tuple[str, ...]:
        """The values of some keys as typed on the command line; of `run`, the folder."""
        return tuple(str(self.folder) if key == RUN else as_typed(self.config.get(key)) for key in keys)


def read_run(folder: Path) -> RunResult:
    """Reads the configuration and metrics of a run.

    Raises:
        UserError: if a file is damaged or of a different version.
    """
    return RunResult(folder, dict(flat(read_config(folder))), read_metrics(folder))


def trials_in_order(runs: Sequence[RunResult]) -> list[RunResult]:
    """The trials of one search, in the order in which it asked for them; empty if the runs are others."""
    numbers = {run.folder: trial_number(run.folder.name) for run in runs}
    if None in numbers.values() or len({run.folder.parent for run in runs}) != 1:
        return []
    return sorted(runs, key=lambda run: numbers[run.folder] or 0)


def without_repeats(runs: Sequence[RunResult]) -> list[RunResult]:
    """One run for each configuration and seed; a finished one if possible."""
    unique: dict[tuple[str, ...], RunResult] = {}
    for run in runs:
        keys = sorted(run.config.keys() - set(IGNORED))
        same = (*keys, *run.values(keys))
        if same not in unique or (run.done and not unique[same].done):
            unique[same] = run
    return list(unique.values())


def varying_keys(runs: Sequence[RunResult]) -> list[str]:
    """The keys in which runs differ, except names, seeds and folds.

    Runs that were refused before their table decided what `auto` stands for do not count if there are others.
    """
    runs = [run for run in runs if not _is_unresolved(run)] or runs
    keys = dict.fromkeys(key for run in runs for key in run.config if key not in (*IGNORED, *REPEATS))
    return [key for key in keys if _varies(key, runs)]


def _is_unresolved(run: RunResult) -> bool:
    return any(value == "auto" and key.startswith(OF_TABLE) for key, value in run.config.items())


def _varies(key: str, runs: Sequence[RunResult]) -> bool:
    option = f"{key.rpartition('.')[0]}.name"  # only loss=huber has loss.delta
    values, options = set[float | str](), {True: set[str](), False: set[str]()}
    for run in runs:
        options[key in run.config].add(as_typed(run.config.get(option)))
        if key in run.config:
            value = run.config[key]
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            values.add(value if is_number else as_typed(value))  # 5 is 5.0
    return len(values) > 1 or not options[True].isdisjoint(options[False])


def common_monitor(runs: Sequence[RunResult]) -> str:
    """The validation metric that ranks runs of one table.

    It is the one that all of them monitor, if there is one, and it is not `val/loss` of different losses.
    """
    monitors = {str(run.config.get("monitor")) for run in runs} - {"None", "auto"}  # auto: it was refused
    losses_differ = monitors == {"val/loss"} and any(key.startswith(OF_LOSS) for key in varying_keys(runs))
    if len(monitors) == 1 and not losses_differ:
        return monitors.pop()
    return COMMON_METRICS[0 if is_classification(runs) else 1]


def select_runs(folder: Path, choice: str | int = "best") -> list[Path]:
    """A finished run's folder itself, or the chosen ones of a sweep's finished runs, which are logged.

    Args:
        folder: the folder of a run or a sweep.
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
        log.info("%s: the %d best of %d runs by %s", folder, len(chosen), len(runs), monitor)
    elif choice == "all" or not keys:
        chosen = runs
        log.info("%s: all %d runs", folder, len(runs))
    else:
        groups = configurations(runs, keys, monitor)
        best, chosen = next(iter(groups.items()))
        log.info(
            "%s: %d of %d runs, those with %s: the best of %d configurations by %s",
            *(folder, len(chosen), len(runs), labelled(keys, best), len(groups), monitor),
        )
    return [run.folder for run in chosen]


def check_no_choice(choice: str | int, kind: str) -> None:
    """Checks that a number of runs is given only for a sweep.

    Raises:
        UserError: otherwise.
    """
    if _as_number(choice) is not None:
        what = "has a meaning only for a sweep"
        raise UserError(Fault(what, f"runs={choice}", kind, remedy="remove it"))


def warn_of_ensembles(keys: Sequence[str]) -> None:
    """Warns if runs that differ in these keys are validated in different ways."""
    if "ensemble" in keys:
        what = "val/* of ensembles is out of fold, and stricter than that of single networks"
        log.warning("%s: choose among runs with the same value of ensemble", what)


def labelled(keys: Sequence[str], values: Sequence[str]) -> str:
    """Values in brief, with the short names of their keys: `lr=0.001,hidden=[8]`."""
    return ",".join(f"{key}={in_brief(value)}" for key, value in zip(short_keys(keys), values, strict=True))


def short_keys(keys: Sequence[str]) -> list[str]:
    """The last part of each key, or as many parts as tell it from the others: `lr`, `split.seed`.

    The name of an option is that of its group: `optimizer`, not `optimizer.name`.
    """
    named = [key.removesuffix(".name") for key in keys]

    def short(key: str) -> str:
        parts = key.split(".")
        ends = [".".join(parts[start:]) for start in reversed(range(len(parts)))]
        return next(
            (end for end in ends if sum(f".{other}".endswith(f".{end}") for other in named) == 1), key
        )

    return [short(key) for key in named]


def as_typed(value: Any) -> str:
    """A value as typed on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(as_typed, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def in_brief(value: str) -> str:
    """A value as typed, with four digits instead of more than six: 0.01235 for 0.0123456789.

    Searches sample such numbers; people type shorter ones.
    """
    is_list = value.startswith("[")
    return FRACTION.sub(_rounded, value) if is_list or FRACTION.fullmatch(value) else value


def _rounded(match: re.Match[str]) -> str:
    number = float(match[0])
    if float(f"{number:.6g}") == number:
        return match[0]
    return f"{number:.4g}" if abs(number) < 1e4 or "e" in match[0] else f"{number:.0f}"


def _as_number(choice: str | int) -> int | None:
    if choice in ("best", "all"):
        return None
    if (isinstance(choice, int) or (choice.isascii() and choice.isdigit())) and int(choice) > 0:
        return int(choice)
    raise UserError(Fault("invalid value", "runs", repr(choice), "best, all, or a number of runs"))
