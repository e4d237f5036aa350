"""The verb predict: a file's rows in, the same rows with a prediction out, however many there are."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import IO

import polars as pl
from polars.io.plugins import register_io_source
from rich.progress import Progress

from mlplab.data.matching import check_columns
from mlplab.data.schema import Schema
from mlplab.data.sources.opening import is_parquet, opened
from mlplab.data.sources.source import Source
from mlplab.data.spreadsheet import harmless_cells
from mlplab.errors import Fault, UserError
from mlplab.files import replacing
from mlplab.runs.load import Ensemble, Predictor, load
from mlplab.runs.progress import row_progress
from mlplab.runs.tables import csv_options

PREDICTION = "prediction"
ROWS_IN_MEMORY = 50_000
"""Rows read, predicted and written at a time."""

STANDARD = "-"
"""Stands for standard input or output."""


def predict(
    run: Path,
    source: str,
    target: str,
    *,
    runs: str | int = "best",
    overwrite: bool = False,
    escape_formulas: bool = False,
) -> int:
    """Writes the rows of `source`, in their order and with all their columns, and a column `prediction`.

    Text stays as it was written, numbers too. Gives the number of rows.

    Args:
        run: a run's or a sweep's folder.
        source: a CSV or Parquet file, or - for CSV on standard input.
        target: a CSV or Parquet file, or - for CSV on standard output.
        runs: of a sweep, which ones, as `load`.
        overwrite: whether `target` may exist.
        escape_formulas: puts a ' before text that a spreadsheet would run as a formula, in CSV.

    Raises:
        UserError: if the input does not fit the network, or the output is not to be written.
    """
    _check_target(target, overwrite=overwrite)
    network = load(run, runs)
    columns = prediction_columns(network.schema)
    with ExitStack() as contexts:
        path = contexts.enter_context(_spooled(sys.stdin.buffer)) if source == STANDARD else Path(source)
        where = "standard input" if source == STANDARD else source
        first = network.members[0] if isinstance(network, Ensemble) else network
        rows = contexts.enter_context(opened(path, csv_options(first.config.data), where))
        check_columns(network.schema, list(rows.schema), where)
        if taken := [name for name in columns if name in rows.schema]:
            raise UserError(Fault(f"has a column '{taken[0]}' already", where, remedy="rename or drop it"))
        if faults := list(_unwritable(rows, target)):
            raise UserError(*faults)
        predictor = network.predictor(where, comma=rows.comma)
        frames = rows.frames(ROWS_IN_MEMORY)
        beginning = next((frame for frame in frames if frame.height), None)
        if beginning is None:
            raise UserError(Fault("has no rows to predict", where, remedy="give it rows of data"))
        progress = contexts.enter_context(row_progress())
        predicted = _predicted(chain([beginning], frames), predictor, columns, progress)
        kinds = pl.Schema({**rows.schema, **dict.fromkeys(columns, pl.Float64())})
        output = register_io_source(lambda *_: predicted, schema=kinds)
        _write(harmless_cells(output) if escape_formulas and not is_parquet(target) else output, target)
    predictor.warn()
    return predictor.rows


def prediction_columns(schema: Schema) -> list[str]:
    """The names of the columns that are added: of several targets one each, and of one by itself, unless the
    table that was trained on has a column of that name."""
    known = (*schema.names, *schema.targets, *schema.left_out, schema.weight)
    if len(schema.targets) == 1 and PREDICTION not in known:
        return [PREDICTION]
    return [f"{PREDICTION}_{target}" for target in schema.targets]


def _unwritable(source: Source, target: str) -> Iterator[Fault]:
    """Columns of the source that the output cannot hold."""
    for name, kind in source.schema.items():
        if not is_parquet(target) and (kind.is_nested() or kind in (pl.Binary, pl.Object)):
            what, remedy = f"holds {kind}, which CSV cannot", "write Parquet: output=<name>.parquet"
            yield Fault(what, f"{source.where}, column '{name}'", remedy=remedy)


def _predicted(
    frames: Iterable[pl.DataFrame], predictor: Predictor, columns: Sequence[str], progress: Progress
) -> Iterator[pl.DataFrame]:
    """Frames with their predictions."""
    task = progress.add_task("predicted", total=None)
    for frame in frames:
        each = zip(columns, predictor(frame).T, strict=True)
        yield frame.with_columns(pl.Series(name, values) for name, values in each)
        progress.update(task, completed=predictor.rows)


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
            frame.sink_csv(sys.stdout.buffer)
        except OSError as error:
            if "Broken pipe" in str(error):  # polars says no number
                raise BrokenPipeError from error
            raise
        return
    with replacing(Path(target), follow=True) as partial:
        if is_parquet(target):
            frame.sink_parquet(partial)
        else:
            frame.sink_csv(partial)


@contextmanager
def _spooled(stream: IO[bytes]) -> Iterator[Path]:
    """A stream's content as a file, since it is read more than once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input.csv"
        with path.open("wb") as file:
            shutil.copyfileobj(stream, file)
        yield path
