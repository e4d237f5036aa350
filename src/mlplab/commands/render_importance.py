"""The importance of columns for terminals."""

import math

from rich.table import Table as RichTable
from rich.text import Text

from mlplab.commands.importance import Importance

MAX_SHOWN = 20
"""The most columns on the terminal."""


def importance_table(importance: Importance) -> RichTable:
    """A row for each of the most important columns: the increase of the error, mean ± SD over shuffles."""
    table = RichTable()
    table.add_column("column", overflow="fold")
    table.add_column(f"increase of {importance.metric} (mean ± SD)", justify="right")
    shown = importance.columns[:MAX_SHOWN]
    digits = _digits(max(abs(value) for each in shown for value in (each.mean, each.sd)))
    for each in shown:
        table.add_row(Text(each.name), f"{each.mean:z,.{digits}f} ± {each.sd:,.{digits}f}")
    return table


def remaining_columns(importance: Importance) -> str:
    """A line about the columns that the table leaves out; empty if there are none."""
    remaining = len(importance.columns) - MAX_SHOWN
    return f"… and {remaining:,} less important columns: importance.json has all" if remaining > 0 else ""


def _digits(largest: float) -> int:
    """The decimal places with which the largest number has four digits."""
    return max(0, 3 - math.floor(math.log10(largest))) if largest else 3
