"""The verb predict: a file's rows in, the same rows with a prediction out, however many there are."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from mlplab.data.matching import check_columns, warn_of_missing
from mlplab.data.numbers import as_matrix
from mlplab.data.spreadsheet import harmless_cells
from mlplab.data.table import faults_told, is_parquet, scan
from mlplab.errors import Fault, UserError
from mlplab.files import replacing
from mlplab.runs.load import Ensemble, TrainedRun, load

PREDICTION = "prediction"
ROWS_IN_MEMORY = 50_000
"""Rows read, predicted and written at a time."""

STANDARD = "-"
"""Stands for standard input or output."""


def predict(run: Path, source: str, target: str, *, overwrite: bool = False) -> int:
    """Writes the rows of `source`, in their order and with all their columns, and a column `prediction`.

    Text stays as it was written, numbers too, but for what a spreadsheet would run. Gives the number of rows.

    Args:
        run: a run's or a sweep's folder.
        source: a CSV or Parquet file, or - for CSV on standard input.
        target: a CSV or Parquet file, or - for CSV on standard output.
        overwrite: whether `target` may exist.

    Raises:
        UserError: if the input does not fit the network, or the output is not to be written.
    """
    _check_target(target, overwrite=overwrite)
    network = load(run)
    with ExitStack() as contexts:
        path = contexts.enter_context(_spooled(sys.stdin.buffer)) if source == STANDARD else Path(source)
        where = "standard input" if source == STANDARD else source
        rows, names = scan(path, where)
        check_columns(network.schema, names, where)
        if PREDICTION in names:
            raise UserError(Fault(f"has a column '{PREDICTION}' already", where, remedy="rename or drop it"))
        predictions = _Predictions(network, rows, where, contexts.enter_context(_progress()))
        with faults_told(path, len(names), where):
            if rows.head(1).collect().is_empty():
                raise UserError(Fault("has no rows to predict", where))
            _write(predictions.as_frame(), target)
    warn_of_missing(network.schema, predictions.missing, where)
    return predictions.rows


class _Predictions:
    """Frames of rows with their predictions, one after the other.

    Attributes:
        rows: how many were predicted.
        missing: how many values of each input were missing.
    """

    def __init__(
        self, network: TrainedRun | Ensemble, source: pl.LazyFrame, where: str, progress: Progress
    ) -> None:
        self.network, self.source, self.where, self.progress = network, source, where, progress
        self.rows = 0
        self.missing = np.zeros(len(network.schema.inputs), dtype=np.int64)

    def as_frame(self) -> pl.LazyFrame:
        """What polars draws its frames from."""
        schema = pl.Schema({**self.source.collect_schema(), PREDICTION: pl.Float64()})
        return register_io_source(lambda *_: self._frames(), schema=schema)

    def _frames(self) -> Iterator[pl.DataFrame]:
        task = self.progress.add_task("predicted", total=None)
        names = self.network.schema.names
        for frame in self.source.collect_batches(chunk_size=ROWS_IN_MEMORY, lazy=True):
            x = as_matrix(frame, names, self.where, self.rows)
            self.missing += np.isnan(x).sum(0)
            yield frame.with_columns(pl.Series(PREDICTION, self.network.predict_matrix(x, self.rows)))
            self.rows += frame.height
            self.progress.update(task, completed=self.rows)


def _check_target(target: str, *, overwrite: bool) -> None:
    if target == STANDARD:
        return
    path = Path(target)
    if path.exists() and not (overwrite and path.is_file()):
        remedy = "give another, or overwrite=true" if path.is_file() else "name a file"
        raise UserError(Fault("exists already", f"output={target}", remedy=remedy))
    if not path.parent.is_dir():
        raise UserError(
            Fault("there is no such folder", f"output={target}", str(path.parent), remedy="make it first")
        )
    if not os.access(path.parent, os.W_OK):
        raise UserError(Fault("the folder cannot be written to", f"output={target}", str(path.parent)))


def _write(frame: pl.LazyFrame, target: str) -> None:
    if target == STANDARD:
        try:
            harmless_cells(frame).sink_csv(sys.stdout.buffer)
        except OSError as error:
            if "Broken pipe" in str(error):  # polars says no number
                raise BrokenPipeError from error
            raise
        return
    with replacing(Path(target), follow=True) as partial:
        if is_parquet(target):
            frame.sink_parquet(partial)
        else:
            harmless_cells(frame).sink_csv(partial)


@contextmanager
def _spooled(stream: IO[bytes]) -> Iterator[Path]:
    """A stream's content as a file, since it is read more than once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input.csv"
        with path.open("wb") as file:
            shutil.copyfileobj(stream, file)
        yield path


def _progress() -> Progress:
    """On a terminal; nothing elsewhere."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description} {task.completed:,} rows"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
