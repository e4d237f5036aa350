"""The command evaluate with `importance=true`: which columns matter for predictions. Imports no torch yet."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from mlplab.commands.render import NAMES
from mlplab.config.metrics import metrics_of
from mlplab.console import print_line
from mlplab.errors import refusal
from mlplab.files import write_json
from mlplab.runs.discovery import IMPORTANCE_FILE

if TYPE_CHECKING:
    from mlplab.commands.evaluation_rows import EvaluationRows
    from mlplab.runs.trained.ensemble import Ensemble

MAX_SHOWN = 20  # columns on the terminal


@dataclass(frozen=True)
class ColumnImportance:
    """The increase of the error when a column's cells are shuffled: mean and standard deviation."""

    name: str
    mean: float
    sd: float


@dataclass(frozen=True)
class Importance:
    """What columns matter for the predictions of a run or an ensemble.

    Attributes:
        source: the rows in words.
        part: `test`, or `all` if some of the rows were in training or validation.
        error: the value of the metric (`rmse`, `log_loss` or `pinball`) before any shuffling.
        rows: the number of rows that were drawn from `all_rows`.
        columns: the most important first.
        runs: the names of the runs, relative to the folder that contains them.
    """

    source: str
    part: str
    targets: tuple[str, ...]
    metric: str
    error: float
    rows: int
    all_rows: int
    repeats: int
    columns: tuple[ColumnImportance, ...]
    runs: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> "Importance | None":
        """Reads the file in the folder of a run or a sweep; None if there is none, or it is damaged."""
        with suppress(OSError, ValidationError):
            return TypeAdapter(cls).validate_json((folder / IMPORTANCE_FILE).read_bytes())
        return None

    @property
    def basis(self) -> list[str]:
        """Rows and shuffles in words; then whether it is no test."""
        drawn = f" of {self.all_rows:,}" if self.rows < self.all_rows else ""
        basis = [f"{self.source}: {self.rows:,}{drawn} rows, each column shuffled {self.repeats} times"]
        notes = {"all": ["not a test: training rows are included"], "unchecked": ["perhaps not a test"]}
        return [*basis, *notes.get(self.part, [])]


def compute_importance(ensemble: "Ensemble", data: Sequence["EvaluationRows"], part: str) -> Importance:
    """The importance of each column for an ensemble.

    Rows with weight 0 are left out. Rows are drawn, and columns shuffled, by the seed of the first run.

    Raises:
        UserError: if the runs have different rows, if all rows have weight 0, or a prediction is not finite.
    """
    from mlplab.runs.trained.greedy_selection import error_of
    from mlplab.runs.trained.importance import affordable, permutation_importance

    schema, first = ensemble.schema, data[0]
    if not all(rows.has_same_rows(first) for rows in data):
        what = "the runs have different splits, so one run's test rows are another's training rows"
        remedy = "give one run, or a file with rows that are new to all: data.path=…"
        raise refusal(what, "importance=true", remedy)
    rows = np.arange(len(first.y)) if first.weight is None else np.flatnonzero(first.weight > 0)
    if not len(rows):
        raise refusal("all rows have weight 0", first.source, "give rows with a weight above 0: data.path=…")
    network_weights = sum(tensor.numel() for run in ensemble.runs for tensor in run.state.values())
    count, repeats = affordable(len(rows), len(schema.inputs), network_weights)
    source = np.random.default_rng(ensemble.config[0].seed)
    rows = np.sort(source.choice(rows, count, replace=False))
    weight = None if first.weight is None else first.weight[rows]
    metric, *_ = metrics_of(schema.classes, ensemble.quantiles)
    error = error_of(metric, first.y[rows], weight, len(schema.classes), ensemble.quantiles)
    base, columns = permutation_importance(ensemble, first.x[rows], error, repeats)
    return Importance(
        source=first.source,
        part=part,
        targets=schema.targets,
        metric=metric,
        error=base,
        rows=count,
        all_rows=len(first.y),
        repeats=repeats,
        columns=tuple(ColumnImportance(*column) for column in columns),
    )


def write_importance(folder: Path, importance: Importance, ensemble: "Ensemble") -> None:
    """Writes `importance.json` and a figure to the folder of a run or a sweep that contains the ensemble."""
    from mlplab.figures.files import write_figures
    from mlplab.figures.predictions import importance as figure  # Altair takes most of a second to import

    runs = (run.folder for run in ensemble.runs)  # as the report names them
    names = (run.relative_to(folder).as_posix() if run != folder else run.resolve().name for run in runs)
    write_json(folder / IMPORTANCE_FILE, asdict(replace(importance, runs=tuple(names))))
    targets, metric = importance.targets, NAMES[importance.metric]
    unit = "nats" if ensemble.schema.classes else f"units of {targets[0]}"
    error = f"{metric} in {unit}" if len(targets) == 1 else f"mean {metric} of {len(targets)} targets"
    columns = [(column.name, column.mean, column.sd) for column in importance.columns]
    write_figures(folder, {"importance": figure(columns, error, importance.basis)})


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
        print_line(console, f"… and {remaining:,} less important columns")
