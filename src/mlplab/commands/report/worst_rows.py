"""The test rows that a network predicts worst, with the cells of their inputs."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from mlplab.commands.importance import Importance
from mlplab.commands.report.tables import TextTable, aligned_table
from mlplab.config.parsing import parse_resolved
from mlplab.console import in_digits
from mlplab.data.cells.parse import cells_of
from mlplab.data.class_labels import label_values
from mlplab.data.load_table import opened_source
from mlplab.data.new_data import parse_target
from mlplab.data.schema import MOST_LABELS, Schema
from mlplab.data.table import BLOCK
from mlplab.errors import UserError
from mlplab.runs.discovery import TEST_PREDICTIONS, read_config
from mlplab.runs.predictions import column_names

WORST = 10
"""Rows with the largest errors that are shown."""

MOST_TARGETS = 4
"""Targets whose worst rows are shown at most."""

MOST_INPUTS = 8
"""Inputs that are shown at most: the most important ones, if that is known."""

MOST_LETTERS = 40
"""Letters of a cell that are shown at most."""


class WorstRows(NamedTuple):
    """The worst rows by a target.

    Attributes:
        rows: their numbers in the table, counted from 1; the true target, the prediction, and its error.
    """

    caption: str
    target: str
    rows: pl.DataFrame


def worst_rows(run: Path, schema: Schema) -> list[TextTable]:
    """The test rows with the largest errors of each target, or with the lowest probability of their class.

    Their inputs are shown if the table is where it was, and has these values of the target; but none that may
    be names. Empty if there are no test predictions, or they do not fit the schema.
    """
    importance, count, targets = Importance.read(run), len(schema.names), list(_worst(run, schema))
    ranked = [column.name for column in importance.columns] if importance else schema.names
    shown = {column.name for column in schema.inputs if len(column.categories) <= MOST_LABELS}
    names = [name for name in ranked if name in shown][:MOST_INPUTS]
    which = f"; {len(names)} of {count:,} columns{', the most important first' * bool(importance)}"
    tables, inputs = [], _inputs(run, schema, names, targets)
    for place, (caption, _, rows) in enumerate(targets):
        cells = rows.get_columns() + (inputs[place].get_columns() if inputs else [])
        caption += which * (bool(inputs) and len(names) < count)
        columns = [list(map(_text, column)) for column in cells]
        tables.append(aligned_table(caption, [column.name for column in cells], columns))
    return tables


def _worst(run: Path, schema: Schema) -> Iterator[WorstRows]:
    try:
        frame = pl.read_csv(run / TEST_PREDICTIONS, infer_schema=False, glob=False)
    except (OSError, pl.exceptions.PolarsError):
        return
    names, _ = column_names(schema)
    if not {*names, *schema.targets} <= set(frame.columns):
        return
    row, true = pl.first().cast(pl.Int64, strict=False).alias("row"), pl.col(schema.targets[0])
    if schema.classes:
        labels = label_values(schema.classes, schema.class_kind).cast(pl.String)
        probability = pl.coalesce(
            pl.when(true == label).then(pl.col(name)) for label, name in zip(labels, names[1:], strict=True)
        ).cast(pl.Float64, strict=False)
        shown = frame.select(row, true=true, predicted=pl.col(names[0]), probability=probability)
        worst = shown.drop_nulls().sort("probability", maintain_order=True).head(WORST)
        yield WorstRows("The lowest probabilities of the true class", schema.targets[0], worst)
        return
    for target, name in list(zip(schema.targets, names, strict=True))[:MOST_TARGETS]:
        numbers = pl.col(target).alias("true"), pl.col(name).alias("predicted")
        shown = frame.select(row, *(number.cast(pl.Float64, strict=False) for number in numbers))
        worst = shown.with_columns(error=pl.col("predicted") - pl.col("true")).drop_nulls()
        worst = worst.sort(pl.col("error").abs(), descending=True, maintain_order=True).head(WORST)
        yield WorstRows(f"{target}: the largest errors", target, worst)


def _inputs(
    run: Path, schema: Schema, names: Sequence[str], targets: Sequence[WorstRows]
) -> list[pl.DataFrame]:
    """Cells of the rows as the table's file has them; none if it is gone, or has other targets by now."""
    numbers = sorted({number for worst in targets for number in worst.rows["row"]})
    if not numbers:
        return []
    blocks, before = list[pl.DataFrame](), 0
    try:
        with opened_source(parse_resolved(read_config(run)).data) as source:
            for block in source.blocks(BLOCK, [*names, *schema.targets]):
                blocks.append(block.filter(np.isin(np.arange(block.height) + before + 1, numbers)))
                before += block.height
                if before >= numbers[-1]:
                    break
    except (UserError, OSError):
        return []
    table_rows = pl.concat(blocks)
    if len(table_rows) < len(numbers):
        return []
    of_tables = [table_rows[np.searchsorted(numbers, worst.rows["row"])] for worst in targets]
    for worst, frame in zip(targets, of_tables, strict=True):
        cells, then = cells_of(frame, worst.target), worst.rows["true"]
        now = parse_target(schema, worst.target, cells, decimal_comma=source.decimal_comma)
        if not (now == parse_target(schema, worst.target, then, decimal_comma=False)).all(ignore_nulls=False):
            return []
    return [pl.DataFrame([frame.get_column(name) for name in names]) for frame in of_tables]


def _text(cell: object) -> str:
    """A cell, cut if it is long; a number of many decimals with 5 digits, as files of 32-bit floats have."""
    text = "" if cell is None else str(cell)
    text = in_digits(float(text), 5) if re.fullmatch(r"-?\d+\.\d{5,}(e-\d+)?", text) else text
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"
