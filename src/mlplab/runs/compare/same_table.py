"""Which runs have the same table, target and task: only their scores can be ranked. Imports no torch."""

import os
from collections.abc import Sequence
from pathlib import Path

from mlplab.config.metrics import metrics_of
from mlplab.errors import Fault, UserError, listed
from mlplab.runs.compare.run_result import RunResult

TABLE = ("data.name", "data.function", "data.target")
"""Keys of the table and its target, beside the absolute `data.path`. Other keys of `data`, such as its rows,
may vary within a ranking."""

DRAWN = ("data.rows", "data.features", "data.noise", "data.seed")
"""Keys of the rows of a synthetic table. A list may have runs that differ in them, but none is the best."""


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
