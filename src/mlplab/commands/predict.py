"""The command predict: writes the rows of a file with a prediction, in constant memory."""

import logging
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from polars.io.plugins import register_io_source

from mlplab.commands.arguments import Predict
from mlplab.console import progress_lines
from mlplab.data.cells.parse import cells_of, plain_floats
from mlplab.data.io.csv_writer import FrameAndNumbers, write_csv
from mlplab.data.io.source import is_parquet, opened
from mlplab.data.load_table import csv_format
from mlplab.data.new_rows import check_columns
from mlplab.errors import refusal
from mlplab.files import check_output, replacing
from mlplab.runs.predictions import check_levels, column_names
from mlplab.runs.trained.load import load_runs

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
    ensemble = load_runs(options.run, options.runs).with_threshold(options.threshold)
    schema = ensemble.schema
    check_levels(ensemble.runs, interval, sets)
    names = column_names(schema, ensemble.quantiles, interval, sets)
    columns = [*names.predictions, *names.limits, *names.sets]
    if options.spread:
        ensemble.check_several()
        columns += names.spread
    with ExitStack() as contexts:
        path, where = source, source
        if source == STANDARD:  # it is read more than once
            path, where = f"{contexts.enter_context(TemporaryDirectory())}/input.csv", "standard input"
            with Path(path).open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        rows = contexts.enter_context(opened(path, csv_format(ensemble.config[0].data), where))
        check_columns(schema, list(rows.schema), where, options.missing_columns)
        if taken := [name for name in columns if name in rows.schema]:
            raise refusal(f"already has a column '{taken[0]}'", where, "rename or drop it")
        for name, kind in rows.schema.items():
            if not is_parquet(output) and (kind.is_nested() or kind in (pl.Binary, pl.Object)):
                what = f"has type {kind}, which CSV does not support"
                raise refusal(what, f"{where}, column '{name}'", "write Parquet: output=<name>.parquet")
        frames = (frame for frame in rows.blocks(50_000) if frame.height)
        if (beginning := next(frames, None)) is None:
            raise refusal("has no rows to predict", where, "give it rows of data")
        done = 0
        contexts.enter_context(progress_lines(log.info, lambda: f"predicting: {done:,} rows"))

        def written() -> Iterator[FrameAndNumbers]:
            nonlocal done
            transformer = ensemble.transformer(where, decimal_comma=rows.decimal_comma)
            for frame in chain([beginning], frames):
                texts = (name for name, kind in frame.schema.items() if kind == pl.String)
                parsed = ((name, plain_floats(cells_of(frame, name))) for name in texts)
                numbers = {name: values for name, values in parsed if values is not None}
                x = transformer.features(frame, numbers)
                predicted = ensemble.predict_features(x, with_spread=options.spread, rows_before=done)
                added = ensemble.columns(predicted, ensemble.threshold, interval, sets)
                yield frame.with_columns(added), numbers.keys()
                done += frame.height
            transformer.warn()

        _write(written(), output, escape_formulas=options.escape_formulas)
    log.info("predicted %s rows in %.2f s", f"{done:,}", time.perf_counter() - started)
    return done


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
