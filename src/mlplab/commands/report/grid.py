"""Tables of a page, as text."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlplab.commands.render import format_score


@dataclass(frozen=True)
class Grid:
    """A table whose first column names its rows.

    Attributes:
        caption: what the table shows.
        head: the names of the columns.
        rows: their cells.
        text: the numbers of the columns with text; all others are aligned as numbers.
        marked: the numbers of the rows that stand out.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: Collection[int] = field(default=(0,))
    marked: Collection[int] = ()


def score(metrics: Mapping[str, Any], name: str) -> str:
    """A metric of a `metrics.json`, rounded; a dash if there is none."""
    value = metrics.get(name)
    return format_score(float(value) if isinstance(value, int | float) else None, name)
