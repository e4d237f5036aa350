"""Frames in memory, of polars, pandas or Arrow, or as a dict of columns, as polars frames."""

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import polars as pl

from mlplab.errors import listed, refusal

FrameLike = Any  # a polars, pandas or Arrow frame, or a dict of columns

FRAME = "the frame"  # how messages refer to a frame in memory

log = logging.getLogger(__name__)


def to_polars(frame: FrameLike, where: str = FRAME, names: Collection[str] | None = None) -> pl.DataFrame:
    """Any kind of frame as polars'; of the columns `names` only, if they are given.

    Warns of an index of pandas' that has a name or is not of integers, which is no column.

    Names that are not text become text, and so do cells in a column with text, as in a CSV file.

    Raises:
        UserError: if it is no frame, or if columns have the same name or differ in length.
    """
    frame, is_pandas = in_memory(frame), hasattr(frame, "iloc")
    if isinstance(frame, pl.DataFrame):
        return frame
    if not is_pandas and not isinstance(frame, Mapping):
        what = f"is not a table, but of type {type(frame).__name__}"
        raise refusal(what, where, "pass a polars, pandas or Arrow frame, a dict of columns, or a path")
    wanted = [name for name in frame if names is None or str(name) in names]
    if twice := [name for name, count in Counter(map(str, wanted)).items() if count > 1]:
        raise refusal(f"has several columns '{twice[0]}'", where, "rename all but one of them")
    if names is None and is_pandas:
        index = listed(repr(name) for name in frame.index.names if name is not None)
        if index or frame.index.inferred_type not in ("integer", "empty"):
            what = "%s: its index (%s) is not used; to use it as a column: frame.reset_index()"
            log.warning(what, where, index or frame.index.inferred_type)
    try:
        return pl.DataFrame([_column(frame[name], str(name)) for name in wanted])
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        what = f"is not a table: {str(error).partition(chr(10))[0]}"
        raise refusal(what, where, "give all columns the same number of values") from error


def in_memory(frame: FrameLike) -> FrameLike:
    """Lazy and Arrow frames as polars'; other frames as they are."""
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    is_arrow = hasattr(frame, "__arrow_c_stream__") and not hasattr(frame, "iloc")  # pandas' needs pyarrow
    return pl.DataFrame(frame) if is_arrow else frame


def _column(column: Any, name: str) -> pl.Series:
    if isinstance(column, pl.Series):
        return column.alias(name)
    dtype = getattr(column, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "biufM":
        plain = np.dtype(np.float64) if dtype.char == "g" else dtype.newbyteorder("=")
        if dtype.kind == "M" and np.datetime_data(dtype)[0] not in ("D", "ms", "us", "ns"):
            plain = np.dtype("M8[us]")
        return pl.Series(name, np.asarray(column, plain), nan_to_null=True)
    # None, NaN, NaT, or pandas' NA, of which a comparison is NA again.
    values = [
        None if cell is None or type(cell).__name__ == "NAType" or bool(cell != cell) else cell
        for cell in column
    ]
    if any(isinstance(value, str) for value in values):
        values = [None if value is None else str(value) for value in values]
    return pl.Series(name, values, strict=False)
