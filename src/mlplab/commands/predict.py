"""The command predict: writes the rows of a file with a prediction, in constant memory."""

import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import IO

import polars as pl
from polars.io.plugins import register_io_source

from mlplab.commands.arguments import Predict
from mlplab.console import progress_lines
from mlplab.data.class_labels import threshold_fault
from mlplab.data.frames import check_columns
from mlplab.data.io.csv_writer import FrameAndNumbers, write_csv
from mlplab.data.io.source import Source, is_parquet, opened
from mlplab.data.load_table import csv_format
from mlplab.errors import UserError, refusal
from mlplab.files import check_output, replacing
from mlplab.runs.predictions import check_levels, column_names
from mlplab.runs.trained.load import load_runs

ROWS_IN_MEMORY = 50_000  # that are read, predicted and written at a time

STANDARD = "-"  # the name of standard input and output

log = logging.getLogger(__name__)


def predict(options: Predict) -> int:
    """Writes the rows of the input in the same order, with all their columns and those of predictions.

    Text and numbers are written unchanged.

    Returns:
        The number of rows.

    Raises:
        UserError: if the input does not match the network's columns, or the output cannot be written.
    """
    started = time.perf_counter()
    source, output, interval, sets = options.input, options.output, options.interval, options.sets
    if output != STANDARD:
        check_output(Path(output), overwrite=options.overwrite)
    ensemble = load_runs(options.run, options.runs)
    schema = ensemble.schema
    check_levels(ensemble.runs, interval, sets)
    names = column_names(schema, ensemble.quantiles, interval, sets)
    columns = [*names.predictions, *names.limits, *names.sets]
    if options.spread:
        ensemble.check_several()
        columns += names.spread
    threshold = options.threshold
    if threshold is not None and len(schema.classes) != 2:
        raise UserError(threshold_fault(f"threshold={threshold:g}", schema.classes))
    threshold = ensemble.threshold if threshold is None else threshold
    with ExitStack() as contexts:
        path = contexts.enter_context(_spooled(sys.stdin.buffer)) if source == STANDARD else Path(source)
        where = "standard input" if source == STANDARD else source
        rows = contexts.enter_context(opened(path, csv_format(ensemble.config[0].data), where))
        check_columns(schema, list(rows.schema), where)
        _check_writable(rows, columns, output)
        frames = (frame for frame in rows.blocks(ROWS_IN_MEMORY) if frame.height)
        if (beginning := next(frames, None)) is None:
            raise refusal("has no rows to predict", where, "give it rows of data")
        done = 0
        contexts.enter_context(progress_lines(log.info, lambda: f"predicting: {done:,} rows"))

        def written() -> Iterator[FrameAndNumbers]:
            nonlocal done
            given = chain([beginning], frames)
            predicted = ensemble.predict_frames(given, where, options.spread, rows.decimal_comma)
            for frame, numbers, of_frame in predicted:
                yield (
                    frame.with_columns(ensemble.columns(of_frame, threshold, interval, sets)),
                    numbers.keys(),
                )
                done += frame.height

        _write(written(), output, escape_formulas=options.escape_formulas)
    log.info("predicted %s rows in %.2f s", f"{done:,}", time.perf_counter() - started)
    return done


def _check_writable(rows: Source, added: Collection[str], output: str) -> None:
    if taken := [name for name in added if name in rows.schema]:
        raise refusal(f"already has a column '{taken[0]}'", rows.where, "rename or drop it")
    for name, kind in rows.schema.items():
        if not is_parquet(output) and (kind.is_nested() or kind in (pl.Binary, pl.Object)):
            what, where = f"has type {kind}, which CSV does not support", f"{rows.where}, column '{name}'"
            raise refusal(what, where, "write Parquet: output=<name>.parquet")


def _write(predicted: Iterator[FrameAndNumbers], output: str, *, escape_formulas: bool) -> None:
    if output == STANDARD:
        write_csv(predicted, sys.stdout.buffer.write, escape_formulas=escape_formulas)
        return
    with replacing(Path(output), follow=True) as partial:
        if is_parquet(output):
            first, _ = next(predicted)
            frames = chain([first], (frame for frame, _ in predicted))
            register_io_source(lambda *_: frames, schema=first.schema).sink_parquet(partial)
        else:
            with partial.open("wb") as file:
                write_csv(predicted, file.write, escape_formulas=escape_formulas)


@contextmanager
def _spooled(stream: IO[bytes]) -> Iterator[Path]:
    """A copy of a stream as a file, since it is read more than once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input.csv"
        with path.open("wb") as file:
            shutil.copyfileobj(stream, file)
        yield path
