"""The importance of columns, which evaluate computes with `importance=true`, as others read it."""

import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from mlplab.console import print_line
from mlplab.runs.discovery import IMPORTANCE_FILE


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


def print_importance(importance: Importance, console: Console) -> None:
    """Prints a table with the increase of the error for each of the most important columns."""
    for line in importance.basis:
        print_line(console, line)
    table = RichTable()
    table.add_column("column", overflow="fold")
    table.add_column(f"increase of {importance.metric} (mean ± SD)", justify="right")
    shown = importance.columns[:20]
    largest = max(abs(value) for column in shown for value in (column.mean, column.sd))
    digits = max(0, 3 - math.floor(math.log10(largest))) if largest else 3
    for column in shown:
        table.add_row(Text(column.name), f"{column.mean:z,.{digits}f} ± {column.sd:,.{digits}f}")
    console.print(table)
    if (remaining := len(importance.columns) - 20) > 0:
        print_line(console, f"… and {remaining:,} less important columns")
