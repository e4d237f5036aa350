"""The command evaluate with `importance=true`: which columns matter for predictions, and how."""

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from mlplab.commands.evaluation_rows import EvaluationRows
from mlplab.commands.render import NOT_A_TEST
from mlplab.console import counted_lines, print_line
from mlplab.data.schema import Schema
from mlplab.errors import Fault, UserError
from mlplab.files import replacing
from mlplab.runs.trained.chosen_ensemble import IMPORTANCE_FILE
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.greedy_selection import error_of
from mlplab.runs.trained.importance import (
    ColumnImportance,
    PartialDependence,
    affordable,
    partial_dependence,
    permutation_importance,
)

MAX_DEPENDENCES = 4
"""The most columns with a partial dependence."""

DEPENDENCE_ROWS = 500
"""The most rows over which a partial dependence is averaged."""

MAX_SHOWN = 20
"""The most columns on the terminal."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Importance:
    """What columns matter for the predictions of a run or an ensemble.

    Attributes:
        source: the rows in words.
        part: `test`, or `all` if some of the rows were in training or validation.
        targets: what is predicted.
        metric: the name of the error: `rmse` or `log_loss`.
        error: its value before any shuffling.
        rows: the number of rows that were used.
        repeats: the number of shuffles of each column.
        columns: the most important first.
        partial_dependence: of the most important columns.
        basis: rows and shuffles in words; then whether it is no test.
    """

    source: str
    part: str
    targets: tuple[str, ...]
    metric: str
    error: float
    rows: int
    repeats: int
    columns: list[ColumnImportance]
    partial_dependence: list[PartialDependence]
    basis: list[str]


def importance_of(ensemble: Ensemble, data: Sequence[EvaluationRows], part: str) -> Importance:
    """The importance of each column for an ensemble, and the partial dependence on the most important ones.

    Rows with weight 0 are left out. Rows are drawn, and columns shuffled, by the seed of the first run.

    Args:
        data: the rows of each run.
        part: `test`, or `all` if some of the rows were in training or validation.

    Raises:
        UserError: if the runs have different rows, if all rows have weight 0, or a prediction is not finite.
    """
    schema, first = ensemble.schema, data[0]
    if not all(rows.has_same_rows(first) for rows in data):
        what = "the runs have different splits, so one run's test rows are another's training rows"
        remedy = "give one run, or a file with rows that are new to all: data.path=…"
        raise UserError(Fault(what, "importance=true", remedy=remedy))
    weight, every = first.weight, np.arange(len(first.y))
    rows = every if weight is None else every[weight > 0]
    if not len(rows):
        remedy = "give rows with a weight above 0: data.path=…"
        raise UserError(Fault("all rows have weight 0", first.source, remedy=remedy))
    network_weights = sum(tensor.numel() for run in ensemble.members for tensor in run.state.values())
    count, repeats = affordable(len(rows), len(schema.inputs), network_weights)
    source = np.random.default_rng(ensemble.config[0].seed)
    rows = np.sort(source.choice(rows, count, replace=False))
    x = first.x[rows]
    weight = None if weight is None else weight[rows]
    metric = "log_loss" if schema.classes else "rmse"
    error = error_of(metric, first.y[rows], weight, len(schema.classes))
    some = np.sort(source.choice(count, min(count, DEPENDENCE_ROWS), replace=False))
    weight_of_some, dependences = None if weight is None else weight[some], list[PartialDependence]()
    progress = f"importance: %s of {len(schema.inputs):,} columns"
    with counted_lines(log.info, lambda done: progress % f"{done:,}") as counter:
        base, columns = permutation_importance(ensemble, x, error, repeats, counter)
        for column in columns:
            if one := partial_dependence(ensemble, x, column.name, some, weight_of_some):
                dependences.append(one)
            if len(dependences) == MAX_DEPENDENCES:
                break
    of_all = f" of {len(first.y):,}" if count < len(first.y) else ""
    basis = [f"{first.source}: {count:,}{of_all} rows, each column shuffled {repeats} times"]
    basis += [NOT_A_TEST] if part != "test" else []
    of_rows = first.source, part, schema.targets, metric, base, count, repeats
    return Importance(*of_rows, columns, dependences, basis)


def write_importance(folder: Path, importance: Importance, ensemble: Ensemble) -> None:
    """Writes `importance.json` and figures to the folder of a run or a sweep, which contains the ensemble."""
    from mlplab.figures import importance as figures  # Altair takes most of a second to import
    from mlplab.figures.files import write_figures

    runs = [run.folder for run in ensemble.members]  # as the report names them
    names = [run.relative_to(folder).as_posix() if run != folder else run.resolve().name for run in runs]
    content = {"runs": names, **vars(importance)}
    basis = content.pop("basis")
    for name in ("columns", "partial_dependence"):
        content[name] = [part._asdict() for part in content[name]]
    with replacing(folder / IMPORTANCE_FILE) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    error = _error_in_words(ensemble.schema)
    charts: dict[str, Any] = {"importance": figures.importance(importance.columns, error, basis)}
    if dependences := content["partial_dependence"]:
        of_classes = bool(ensemble.schema.classes)
        charts["partial_dependence"] = figures.partial_dependence(
            dependences, of_classes=of_classes, notes=basis[1:]
        )
    write_figures(folder, charts, add=True)


def _error_in_words(schema: Schema) -> str:
    """The error with its unit."""
    if schema.classes:
        return "log loss in nats"
    targets = schema.targets
    return f"RMSE in units of {targets[0]}" if len(targets) == 1 else f"mean RMSE of {len(targets)} targets"


def print_importance(importance: Importance, console: Console) -> None:
    """Prints a table with the increase of the error for each of the most important columns."""
    for line in importance.basis:
        print_line(console, line)
    table = RichTable()
    table.add_column("column", overflow="fold")
    table.add_column(f"increase of {importance.metric} (mean ± SD)", justify="right")
    shown = importance.columns[:MAX_SHOWN]
    largest = max(abs(value) for column in shown for value in (column.mean, column.sd))
    digits = max(0, 3 - math.floor(math.log10(largest))) if largest else 3
    for column in shown:
        table.add_row(Text(column.name), f"{column.mean:z,.{digits}f} ± {column.sd:,.{digits}f}")
    console.print(table)
    if remaining := len(importance.columns) - len(shown):
        print_line(console, f"… and {remaining:,} less important columns: {IMPORTANCE_FILE} has all")
