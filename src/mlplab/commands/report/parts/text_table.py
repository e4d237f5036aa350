"""Tables of a page, as text."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlplab.commands.render import format_score


@dataclass(frozen=True)
class TextTable:
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
    text: Collection[int] = (0,)
    marked: Collection[int] = ()


def aligned(values: Sequence[float], digits: int = 4) -> list[str]:
    """Numbers with equally many decimals, so that the largest has about that many digits."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    whole = math.floor(math.log10(largest)) + 1 if largest else 1
    if not -6 < whole < 12:
        return [f"{value:.{digits - 1}e}" for value in values]
    return [f"{value:,.{max(0, digits - whole)}f}" for value in values]


def score(metrics: Mapping[str, Any], name: str) -> str:
    """A metric of a `metrics.json`, rounded; a dash if there is none."""
    value = metrics.get(name)
    return format_score(float(value) if isinstance(value, int | float) else None, name)
