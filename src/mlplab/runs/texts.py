"""Texts about a run in TensorBoard: its configuration, its columns and its scores, as Markdown."""

from collections.abc import Mapping
from typing import Any

import yaml

from mlplab.config import TrainConfig
from mlplab.data.schema import ColumnRow, Schema, column_rows
from mlplab.markdown import markdown_table

MOST_COLUMNS = 200
"""Columns in a table at most."""

OF_TEST = "test/"


def starting_texts(config: TrainConfig, schema: Schema) -> dict[str, str]:
    """What is known before training: the resolved configuration, and how the columns are read."""
    plain = yaml.dump(config.plain(), Dumper=yaml.CSafeDumper, sort_keys=False)
    indented = "\n".join(f"    {line}" for line in plain.splitlines())
    return {"configuration": indented, "columns": _columns(schema)}


def _columns(schema: Schema) -> str:
    """A line for each column."""
    rows = list(column_rows(schema))
    table = markdown_table(ColumnRow._fields, rows[:MOST_COLUMNS])
    more = len(rows) - MOST_COLUMNS
    return table if more <= 0 else f"{table}\n\nand {more:,} more columns"


def scores_text(metrics: Mapping[str, Any]) -> str:
    """The test scores of a run and of its baselines: a line each."""
    rows: dict[str, dict[str, str]] = {}
    for name, value in metrics.items():
        model, found, metric = name.partition(OF_TEST)
        if found and (not model or model.endswith("/")):
            shown = "–" if value is None else f"{value:.4g}"
            rows.setdefault(model.rstrip("/") or "network", {})[metric] = shown
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    return markdown_table(
        ["test", *names], [[model, *(row.get(name, "") for name in names)] for model, row in rows.items()]
    )
