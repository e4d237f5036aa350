"""What a benchmark found: tables for the terminal, and a file that holds every time."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.arguments import Reported
from benchmarks.machine import description
from benchmarks.timing import Key, Times
from mlplab.console import print_line


@dataclass(frozen=True)
class Report:
    """A benchmark's outcome.

    Args:
        arguments: of the benchmark.
        tables: for the terminal.
        times: all measurements.
        facts: further figures that the file is to hold.
    """

    arguments: Reported
    tables: Sequence[Table]
    times: Mapping[Key, Times]
    facts: Mapping[str, Any]

    def show(self) -> None:
        """Prints the tables and writes the file."""
        console = Console(width=None if sys.stdout.isatty() else 140)
        for table in self.tables:
            console.print(table)
        path = Path(self.arguments.output)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self._content(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print_line(console, f"all times: {path}")

    def _content(self) -> dict[str, Any]:
        return {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            **description(),
            "command": sys.argv,
            "arguments": self.arguments.model_dump(),
            **self.facts,
            "times": [
                {"of": key, "median": each.median, "min": each.low, "max": each.high, "seconds": each.seconds}
                for key, each in self.times.items()
            ],
        }


def grid(title: str, *columns: str, caption: str | None = None) -> Table:
    """An empty table; its first column holds words, the others figures."""
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table
