"""Whole numbers that tell rows apart and measure nothing: row numbers, account numbers.

The number of a row is a perfect input where a table is sorted by its target, and worthless for new rows.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from jaxtyping import Float

from mlplab.data.io.source import Source
from mlplab.data.parse import is_text, named

FEWEST = 100
"""Rows below which different whole numbers are no surprise."""

FIRST = 4096
"""Rows that are looked at before a column is read again."""


def numbers_rows(values: Float[np.ndarray, " row"], low: float, high: float, offset: float) -> bool:
    """Whether a column counts its rows, in their order, from 0 or 1.

    Args:
        values: the column, its offset taken off, NaN where a value is missing.
        low: its smallest value, in its own units.
        high: its largest.
    """
    last = len(values) - 1
    if last < 1 or low not in (0, 1) or not np.isclose(high - low, last, rtol=1e-6):
        return False
    return np.array_equal(values, (np.arange(last + 1) + (low - offset)).astype(values.dtype))


def may_identify(values: Float[np.ndarray, " row"], low: float, high: float, offset: float) -> bool:
    """Whether a column, as far as its first rows say, holds another whole number in each row."""
    first = values[:FIRST]
    if len(values) < FEWEST or not high - low >= len(values) - 1 or len(np.unique(first)) < len(first):
        return False
    whole = first.astype(np.float64) + offset
    return bool((np.abs(whole - np.round(whole)) <= np.spacing(np.abs(first))).all())


def distinct_integers(names: Sequence[str], rows: int, source: Source) -> list[str]:
    """Those of the columns that hold another whole number in each row, by all their digits."""
    kinds: Mapping[str, pl.DataType] = {name: source.schema[name] for name in names}
    integers = [name for name, kind in kinds.items() if kind.is_integer() or is_text(kind)]
    if not integers:
        return []
    counts = [
        named(name).cast(pl.Int64, strict=False).drop_nulls().n_unique().alias(str(place))
        for place, name in enumerate(integers)
    ]
    found = source.scan().select(counts).collect(engine="streaming").row(0)
    return [name for name, count in zip(integers, found, strict=True) if count == rows]
