"""Columns as numbers, and the cells that are none told by column, row and value."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Float64

from mlplab.errors import Fault, UserError

MISSING_WORDS = ("", "nan")
"""What a cell says, in lower case and without spaces, that holds no value."""


def as_matrix(
    frame: pl.DataFrame, columns: Sequence[str], where: str, first_row: int = 0
) -> Float64[np.ndarray, "row column"]:
    """Columns of numbers, or of text that says numbers, as float64; NaN where a value is missing.

    Args:
        where: what messages call the data.
        first_row: how many rows of the data came before this frame.

    Raises:
        UserError: for each column with a cell that is neither a finite number nor missing.
    """
    others = [name for name in columns if not _may_be_numbers(frame, name)]
    if others:
        raise UserError(
            *(
                Fault(f"holds {frame.schema[name]}, not numbers", f"{where}, column '{name}'")
                for name in others
            )
        )
    frame = frame.with_columns(
        pl.col(name).cast(pl.String) for name in columns if frame.schema[name] in (pl.Categorical, pl.Enum)
    )
    if frame.is_empty():
        return np.empty((0, len(columns)))
    # A plain cast first: looking closer costs as much again, and most data is clean.
    numbers = frame.select(pl.col(name).cast(pl.Float64, strict=False) for name in columns).to_numpy(
        writable=True
    )
    if np.isfinite(numbers).all():
        return numbers
    if faults := cell_faults(frame, columns, where, first_row):
        raise UserError(*faults)
    return frame.select(_number(frame, name) for name in columns).to_numpy(writable=True)


def cell_faults(
    frame: pl.DataFrame,
    columns: Sequence[str],
    where: str,
    first_row: int = 0,
    *,
    lines: Sequence[int] | None = None,
    target: str | None = None,
    missing: bool = True,
) -> list[Fault]:
    """For each column, its first cell that is no finite number, and how many there are.

    Args:
        lines: on which line of a file each row begins, where that is known.
        target: is called the target column.
        missing: whether a cell may hold no value.
    """
    faults = []
    for name in columns:
        number = frame.select(_number(frame, name)).to_series()
        good = number.is_finite().fill_null(False)
        if missing:
            good |= number.is_nan().fill_null(False) | frame.select(_says_nothing(name)).to_series()
        if count := int((~good).sum()):
            row = int((~good).arg_max() or 0)
            role = "target column" if name == target else "column"
            line = f"line {lines[row]}, " if lines else ""
            place = f"{where}, {role} '{name}', {line}data row {first_row + row + 1}"
            faults.append(_cell_fault(place, frame[name][row], count))
    return faults


def _may_be_numbers(frame: pl.DataFrame, name: str) -> bool:
    """Numbers, truth values as 0 and 1, and what is text or nothing; dates would become counts of days."""
    kind = frame.schema[name]
    return kind.is_numeric() or kind in (pl.Boolean, pl.String, pl.Categorical, pl.Enum, pl.Null)


def _number(frame: pl.DataFrame, name: str) -> pl.Expr:
    column = pl.col(name)
    if frame.schema[name] == pl.String:
        column = column.str.strip_chars()
    return column.cast(pl.Float64, strict=False)


def _says_nothing(name: str) -> pl.Expr:
    return (
        pl.col(name).cast(pl.String).str.strip_chars().str.to_lowercase().is_in(MISSING_WORDS).fill_null(True)
    )


def _shortened(text: str, longest: int = 60) -> str:
    return repr(text if len(text) <= longest else f"{text[:longest]}…")


def _cell_fault(place: str, value: object, count: int) -> Fault:
    more = f"; {count} such cells in this column" if count > 1 else ""
    if value is None or str(value).strip().lower() in MISSING_WORDS:
        return Fault(
            f"a value is missing{more}",
            place,
            expected="a number",
            remedy="fill in the missing values, or leave such rows or columns out",
        )
    return Fault(
        f"is not a finite number{more}",
        place,
        found=_shortened(str(value)),
        expected="a number such as 1176.2",
        remedy="write plain numbers (no thousands separators, no units), or leave such rows or columns out",
    )
