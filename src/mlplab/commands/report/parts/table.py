"""What a run's page says about its table: from schema.json and the first lines of train.log."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlplab.commands.report.parts.text_table import TextTable
from mlplab.data.schema import ColumnRow, Schema, column_rows

MOST_COLUMNS = 500
"""Columns that the page lists at most."""

LONGEST_LOG = 2**20
"""Bytes of a log that are read at most."""

STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)  ")
WARNING = "warning: "


@dataclass(frozen=True)
class Header:
    """The lines of a log before training.

    Attributes:
        started: when the run began; empty if unknown.
        lines: what the log says about table, network and training.
        warnings: its warnings, from all of the log.
    """

    started: str = ""
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read_header(run: Path) -> Header:
    """The header of a run's train.log; empty if there is no log."""
    try:
        with (run / "train.log").open("rb") as file:
            text = file.read(LONGEST_LOG).decode(errors="replace")
    except OSError:
        return Header()
    stamps = [found[1] for line in text.splitlines() if (found := STAMP.match(line))]
    lines = [STAMP.sub("", line) for line in text.splitlines()]
    first = next((index for index, line in enumerate(lines) if line.startswith("epoch ")), len(lines))
    warnings = dict.fromkeys(line.removeprefix(WARNING) for line in lines if line.startswith(WARNING))
    header = (line for line in lines[:first] if line and not line.startswith(WARNING))
    return Header(stamps[0] if stamps else "", tuple(dict.fromkeys(header)), tuple(warnings))


def read_schema(run: Path) -> Schema | None:
    """The schema in a run's folder; None if there is none, or it is damaged."""
    try:
        return Schema.from_plain(read_json(run / "schema.json"))
    except (KeyError, TypeError, AttributeError):
        return None


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty if there is none, or it is damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def columns_table(schema: Schema) -> TextTable:
    """A row for each column of the table: its role, its kind, and what its cells are."""
    rows: list[tuple[str, ...]] = list(column_rows(schema))
    more = f", of which the first {MOST_COLUMNS} are shown" if len(rows) > MOST_COLUMNS else ""
    caption = f"{len(rows):,} columns{more}"
    head: tuple[str, ...] = ColumnRow._fields
    if not any(note for *_, note in rows):
        head, rows = head[:3], [row[:3] for row in rows]
    return TextTable(caption, head, rows[:MOST_COLUMNS], text=range(4))
