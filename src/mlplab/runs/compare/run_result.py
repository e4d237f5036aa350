"""What a run has left: its configuration and its metrics; and both in brief, for tables and charts."""

import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlplab.config import flat
from mlplab.config.metrics import metrics_of
from mlplab.errors import Fault, UserError, listed
from mlplab.files import Plain
from mlplab.runs.discovery import TRIAL
from mlplab.runs.read_folder import read_config, read_metrics

FRACTION = re.compile(r"-?\d+(?:\.\d+(?:e[+-]?\d+)?|e[+-]?\d+)")  # a number with a point or an exponent

RUN = "run"
"""Stands for the folder of a run among the keys of its configuration."""


@dataclass(frozen=True)
class RunResult:
    """The configuration (by dotted keys) and the metrics of a run."""

    folder: Path
    config: Plain
    metrics: Plain

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
    names = {run.folder: TRIAL.fullmatch(run.folder.name) for run in runs}
    if None in names.values() or len({folder.parent for folder in names}) != 1:
        return []
    return sorted(runs, key=lambda run: (len(run.folder.name), run.folder.name))


CLASS = "._target_"  # the end of a key that names a class


def labelled(keys: Sequence[str], values: Sequence[str]) -> str:
    """Values in brief, with the short names of their keys: `lr=0.001,hidden=[8]`.

    A class that a run does not have, such as a callback, is left out.
    """
    named = zip(keys, short_keys(keys), values, strict=True)
    return ",".join(
        f"{short}={in_brief(value)}"
        for key, short, value in named
        if not (key.endswith(CLASS) and value == "null")
    )


def short_keys(keys: Sequence[str]) -> list[str]:
    """The last part of each key, or as many parts as tell it from the others: `lr`, `split.seed`.

    The name of an option is that of its group: `optimizer`, not `optimizer.name`. So is a class.
    """
    named = [key.removesuffix(".name").removesuffix(CLASS) for key in keys]

    def short(key: str) -> str:
        parts = key.split(".")
        ends = [".".join(parts[start:]) for start in reversed(range(len(parts)))]
        return next((end for end in ends if sum(f".{name}".endswith(f".{end}") for name in named) == 1), key)

    return [short(key) for key in named]


def as_typed(value: object) -> str:
    """A value as typed on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(as_typed, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def plain_value(value: object) -> float | int | str:
    """A number as it is, anything else as typed on the command line."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else as_typed(value)


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


# Keys of the table and its target, beside the absolute `data.path`. Other keys of `data`, such as its rows,
# may vary within a ranking.
TABLE = ("data.name", "data.function", "data.target")

# Keys of the rows of a synthetic table. A list may have runs that differ in them, but none is the best.
DRAWN = ("data.rows", "data.features", "data.noise", "data.seed")


def by_table(runs: Sequence[RunResult], keys: Sequence[str] = TABLE) -> list[list[RunResult]]:
    """Runs by table, target and task, in order of appearance.

    A run that was refused before its table decided the task belongs to the first task of its table.
    """
    tables: dict[tuple[object, ...], dict[bool, list[RunResult]]] = {}
    for run in sorted(runs, key=lambda run: run.config.get("loss.name") == "auto"):
        path = run.config.get("data.path")
        absolute = os.path.abspath(path) if isinstance(path, str) else None  # noqa: PTH100 (keeps links)
        tasks = tables.setdefault((absolute, *run.values(keys)), {})
        is_refused = run.config.get("loss.name") == "auto" and tasks
        tasks.setdefault(next(iter(tasks)) if is_refused else is_classification([run]), []).append(run)
    return [group for tasks in tables.values() for group in tasks.values()]


def is_classification(runs: Sequence[RunResult]) -> bool:
    """Whether the target of runs of one table is a class."""
    return any(
        run.config.get("loss.name") == "cross_entropy"
        or any(name.endswith("log_loss") for name in run.metrics)
        for run in runs
    )


def metrics_of_runs(runs: Sequence[RunResult]) -> tuple[str, ...]:
    """The metrics that runs of one table have in common; those of the same quantiles only."""
    levels = {str(quantiles_of(run)) for run in runs}
    return metrics_of(is_classification(runs), len(levels) == 1 and quantiles_of(runs[0]))


def quantiles_of(run: RunResult) -> object:
    """The levels of the quantiles that a run predicts; None if it predicts something else."""
    return run.config.get("loss.levels") if run.config.get("loss.name") == "quantile" else None


def table_title(runs: Sequence[RunResult]) -> str:
    """The table of runs, and what they predict."""
    config = runs[0].config
    table = config.get("data.path") or config.get("data.function") or config.get("data.name") or "table"
    target = config.get("data.target", "target") or "null"
    targets = ", ".join(map(str, target)) if isinstance(target, list) else target
    return f"{table} → {targets} ({'classes' if is_classification(runs) else 'numbers'})"


def check_one_table(runs: Sequence[RunResult], folder: Path) -> None:
    """Checks that all runs have the same table, target and task.

    Raises:
        UserError: otherwise, with the runs of each table.
    """
    tables = by_table(runs, (*TABLE, *DRAWN))
    if len(tables) > 1:
        what = "contains runs of different tables or targets, which cannot be compared"
        names = [f"{table_title(table)}: {listed((run.folder.name for run in table), 3)}" for table in tables]
        found = "; ".join(names[:5]) + "; …" * (len(names) > 5)
        remedy = f"give one of them: run={tables[0][0].folder}"
        raise UserError(Fault(what, str(folder), found, remedy=remedy))
