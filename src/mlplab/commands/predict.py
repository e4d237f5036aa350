"""The command predict: writes the rows of a file with a prediction, in constant memory."""

import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple

import polars as pl
from polars.io.plugins import register_io_source

from mlplab.commands.row_scores import RowScores
from mlplab.data.io.csv_writer import write_csv
from mlplab.data.io.discovery import is_parquet, opened
from mlplab.data.io.progress import row_progress
from mlplab.data.io.source import Source
from mlplab.data.load_table import csv_options
from mlplab.data.new_data import check_columns
from mlplab.data.parse import cells_of, plain_floats
from mlplab.data.schema import Schema
from mlplab.errors import Fault, UserError
from mlplab.files import replacing
from mlplab.runs.predictions import prediction_columns, prediction_names, spread_columns, spread_names
from mlplab.runs.trained.ensemble import Predictor, load

ROWS_IN_MEMORY = 50_000
"""Rows read, predicted and written at a time."""

STANDARD = "-"
"""The name of standard input and output."""

log = logging.getLogger(__name__)


class Predicted(NamedTuple):
    """Rows with their predictions.

    Attributes:
        numbers: text columns that contain only plain numbers.
    """

    frame: pl.DataFrame
    numbers: Collection[str]


def predict(
    run: Path,
    source: str,
    output: str,
    *,
    runs: str | int = "best",
    threshold: float | None = None,
    spread: bool = False,
    overwrite: bool = False,
    escape_formulas: bool = False,
) -> int:
    """Writes the rows of `source` in the same order, with all their columns and those of `prediction_names`.

    Text and numbers are written unchanged. The log says how many rows there are, and how well those with a
    target are predicted.

    Args:
        run: the folder of a run or a sweep.
        source: a CSV or Parquet file, or `-` for CSV from standard input.
        output: a CSV or Parquet file, or `-` for CSV to standard output.
        runs: which runs of a sweep, as in `load`.
        threshold: the probability from which the second of two classes is predicted; None: the more likely.
        spread: whether to add the columns of `spread_names`: how far the networks disagree.
        overwrite: whether `output` may exist.
        escape_formulas: whether to put a ' before text in CSV that a spreadsheet would interpret as a
            formula.

    Returns:
        The number of rows.

    Raises:
        UserError: if the input does not match the network's columns, or the output cannot be written.
    """
    started = time.perf_counter()
    _check_output(output, overwrite=overwrite)
    ensemble = load(run, runs)
    schema = ensemble.schema
    columns = prediction_names(schema)
    if spread:
        ensemble.check_several()
        columns += spread_names(schema)
    if threshold is not None:
        _check_threshold(threshold, schema)
    with ExitStack() as contexts:
        path = contexts.enter_context(_spooled(sys.stdin.buffer)) if source == STANDARD else Path(source)
        where = "standard input" if source == STANDARD else source
        rows = contexts.enter_context(opened(path, csv_options(ensemble.config[0].data), where))
        check_columns(schema, list(rows.schema), where)
        if taken := [name for name in columns if name in rows.schema]:
            raise UserError(Fault(f"already has a column '{taken[0]}'", where, remedy="rename or drop it"))
        if faults := list(_unwritable(rows, output)):
            raise UserError(*faults)
        predictor = Predictor(ensemble, where, decimal_comma=rows.decimal_comma, with_spread=spread)
        frames = rows.blocks(ROWS_IN_MEMORY)
        beginning = next((frame for frame in frames if frame.height), None)
        if beginning is None:
            raise UserError(Fault("has no rows to predict", where, remedy="give it rows of data"))
        count = contexts.enter_context(row_progress("predicting"))
        scores = RowScores(schema, threshold, decimal_comma=rows.decimal_comma)
        predicted = _predicted(chain([beginning], frames), predictor, schema, threshold, scores, count)
        _write(predicted, output, escape=escape_formulas)
    predictor.warn()
    seconds = time.perf_counter() - started
    log.info("predicted %s rows in %.2f s%s", f"{predictor.rows:,}", seconds, scores.summary())
    return predictor.rows


def _check_threshold(threshold: float, schema: Schema) -> None:
    if len(schema.classes) != 2:
        found = f"{len(schema.classes)} classes" if schema.classes else "a number as target"
        what, remedy = "has a meaning only for two classes", "remove it"
        raise UserError(Fault(what, f"threshold={threshold:g}", found, remedy=remedy))
    if not 0 <= threshold <= 1:
        remedy = "give the probability from which the second class is predicted"
        raise UserError(Fault("out of range", f"threshold={threshold:g}", expected="0 to 1", remedy=remedy))


def _unwritable(source: Source, output: str) -> Iterator[Fault]:
    """Faults of columns that the output format does not support."""
    for name, kind in source.schema.items():
        if not is_parquet(output) and (kind.is_nested() or kind in (pl.Binary, pl.Object)):
            what, remedy = (
                f"has type {kind}, which CSV does not support",
                "write Parquet: output=<name>.parquet",
            )
            yield Fault(what, f"{source.where}, column '{name}'", remedy=remedy)


def _predicted(
    frames: Iterable[pl.DataFrame],
    predictor: Predictor,
    schema: Schema,
    threshold: float | None,
    scores: RowScores,
    count: Callable[[int], None],
) -> Iterator[Predicted]:
    """Predicts and scores frame by frame."""
    for frame in frames:
        numbers = _numbers(frame)
        mean, spread = predictor(frame, numbers)
        columns = prediction_columns(schema, mean, threshold)
        if spread.shape[1]:
            columns += spread_columns(schema, spread)
        scores.add(frame, numbers, mean)
        yield Predicted(frame.with_columns(columns), numbers.keys())
        count(predictor.rows)


def _numbers(frame: pl.DataFrame) -> dict[str, pl.Series]:
    """The text columns that contain only plain numbers, parsed."""
    columns = ((name, cells_of(frame, name)) for name, kind in frame.schema.items() if kind == pl.String)
    parsed = ((name, plain_floats(cells)) for name, cells in columns)
    return {name: values for name, values in parsed if values is not None}


def _check_output(output: str, *, overwrite: bool) -> None:
    if output == STANDARD:
        return
    path = Path(output)
    if path.exists() and not (overwrite and path.is_file()):
        remedy = "choose a different file, or overwrite=true" if path.is_file() else "give a file"
        raise UserError(Fault("already exists", f"output={output}", remedy=remedy))
    if not path.parent.is_dir():
        raise UserError(
            Fault(f"the folder {path.parent} does not exist", f"output={output}", remedy="create it first")
        )
    if not os.access(path.parent, os.W_OK):
        raise UserError(Fault(f"the folder {path.parent} cannot be written to", f"output={output}"))


def _write(predicted: Iterator[Predicted], output: str, *, escape: bool) -> None:
    if output == STANDARD:
        write_csv(predicted, sys.stdout.buffer.write, escape_formulas=escape)
        return
    with replacing(Path(output), follow=True) as partial:
        if is_parquet(output):
            first = next(predicted).frame
            frames = chain([first], (rows.frame for rows in predicted))
            register_io_source(lambda *_: frames, schema=first.schema).sink_parquet(partial)
        else:
            with partial.open("wb") as file:
                write_csv(predicted, file.write, escape_formulas=escape)


@contextmanager
def _spooled(stream: IO[bytes]) -> Iterator[Path]:
    """Copies a stream to a file, since it is read more than once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input.csv"
        with path.open("wb") as file:
            shutil.copyfileobj(stream, file)
        yield path
