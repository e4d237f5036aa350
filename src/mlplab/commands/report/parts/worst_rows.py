"""The test rows that a run predicts worst, from its test_predictions.csv."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from mlplab.commands.report.parts.text_table import TextTable, aligned
from mlplab.data.schema import Schema
from mlplab.data.task import label_values
from mlplab.runs.folder import TEST_PREDICTIONS
from mlplab.runs.predictions import prediction_names

WORST = 10
"""Rows that are shown."""

MOST_TARGETS = 4
"""Targets whose worst rows are shown at most."""


def worst_rows(run: Path, schema: Schema) -> list[TextTable]:
    """The rows with the largest errors of each target, or with the lowest probability of their class.

    Empty if there are no test predictions, or they do not fit the schema.
    """
    try:
        frame = pl.read_csv(run / TEST_PREDICTIONS, infer_schema=False, glob=False)
    except (OSError, pl.exceptions.PolarsError):
        return []
    names = prediction_names(schema)
    number = frame.columns[0] if frame.columns else ""
    if not {*names, *schema.targets} <= set(frame.columns) or number in (*names, *schema.targets):
        return []
    if schema.classes:
        return [_classes(frame, number, schema, names)]
    return [
        _numbers(frame, number, target, name)
        for target, name in list(zip(schema.targets, names, strict=True))[:MOST_TARGETS]
    ]


def _numbers(frame: pl.DataFrame, number: str, target: str, name: str) -> TextTable:
    table = pl.DataFrame(
        {
            "row": frame[number],
            "true": frame[target].cast(pl.Float64, strict=False),
            "predicted": frame[name].cast(pl.Float64, strict=False),
        }
    ).with_columns(error=pl.col("predicted") - pl.col("true"))
    worst = table.drop_nulls().sort(pl.col("error").abs(), descending=True, maintain_order=True).head(WORST)
    cells = aligned(
        [value for row in worst.select("true", "predicted", "error").iter_rows() for value in row]
    )
    rows = [(row, *cells[3 * index : 3 * index + 3]) for index, row in enumerate(worst["row"])]
    return TextTable(f"{target}: the largest errors", ("row", "true", "predicted", "error"), rows, text=())


def _classes(frame: pl.DataFrame, number: str, schema: Schema, names: Sequence[str]) -> TextTable:
    labels = label_values(schema.classes, schema.class_kind).cast(pl.String)
    probabilities = {f"p{index}": frame[name] for index, name in enumerate(names[1:])}
    table = pl.DataFrame(
        {
            "row": frame[number],
            "true": frame[schema.targets[0]],
            "predicted": frame[names[0]],
            **probabilities,
        }
    )
    of_class = pl.coalesce(
        pl.when(pl.col("true") == label).then(pl.col(name))
        for label, name in zip(labels, probabilities, strict=True)
    )
    table = table.select("row", "true", "predicted", probability=of_class.cast(pl.Float64, strict=False))
    worst = table.drop_nulls().sort("probability", maintain_order=True).head(WORST)
    rows = [(row, label, other, f"{value:.4f}") for row, label, other, value in worst.iter_rows()]
    head = ("row", "true", "predicted", "probability")
    return TextTable("The lowest probabilities of the true class", head, rows, text=(1, 2))
