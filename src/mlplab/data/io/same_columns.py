"""Several files that are one table: what messages call each, and that they have the same columns."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from mlplab.data.io.source import Schema
from mlplab.data.parse import DataType, is_text
from mlplab.errors import Fault, UserError, listed

UNNAMED = "a first column without a name"


def title(path: Path, paths: Sequence[Path], where: str) -> str:
    """What messages call one of several files."""
    return where if len(paths) == 1 else str(path)


def check_alike(first: Schema, other: Schema, where: str, first_where: str) -> None:
    """Refuses a file that has not the columns of the first one."""
    if list(first) != list(other):
        lacks = listed(name or UNNAMED for name in first if name not in other)
        more = listed(name or UNNAMED for name in other if name not in first)
        details = "; ".join(
            f"{what} {named}" for what, named in (("lacks", lacks), ("also has", more)) if named
        )
        what = f"has other columns than {first_where}: {details or 'in another order'}"
        faults = [Fault(what, where, remedy="give all files the same columns")]
    else:
        faults = [
            Fault(
                f"holds {other[name]}, but {kind} in {first_where}",
                f"{where}, column '{name}'",
                remedy="give it the same type in all files",
            )
            for name, kind in first.items()
            if _family(kind) != _family(other[name]) and pl.Null not in (kind, other[name])
        ]
    if faults:
        raise UserError(*faults)


def _family(kind: DataType) -> str:
    """Types of one family can be read together."""
    return "number" if kind.is_numeric() else "text" if is_text(kind) else str(kind.base_type())
