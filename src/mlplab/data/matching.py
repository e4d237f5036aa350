"""New data held against the columns that a network was trained on."""

import logging
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl
from jaxtyping import Float64

from mlplab.data.numbers import as_matrix
from mlplab.data.schema import Schema
from mlplab.errors import Fault, UserError, listed, nearest

log = logging.getLogger(__name__)


@runtime_checkable
class FrameLike(Protocol):
    """A polars or pandas data frame, or a dict of columns: names when iterated, columns by name."""

    def __iter__(self) -> Any:
        """The columns' names; of a polars frame its columns."""

    def __getitem__(self, name: Any, /) -> Any:
        """A column."""


def check_columns(schema: Schema, names: Sequence[str], where: str) -> None:
    """Warns of columns that the network does not know.

    Raises:
        UserError: if one that it needs is missing.
    """
    missing = [name for name in schema.names if name not in names]
    further = [name for name in names if name not in (*schema.names, schema.target)]
    if missing:
        near = [f"{found[0]!r} → {name!r}" for name in missing if (found := nearest(name, further))]
        raise UserError(
            Fault(
                f"lacks the column{'s' * (len(missing) > 1)} {listed(missing)}",
                where,
                f"also {listed(further)}, not seen in training" if further else "",
                f"the columns of training: {listed(schema.names)}",
                f"rename {listed(near)}?" if near else "",
            )
        )
    if further:
        log.warning("%s: ignoring columns not seen in training: %s", where, listed(further))


def match(schema: Schema, frame: FrameLike, where: str = "the frame") -> Float64[np.ndarray, "row feature"]:
    """A frame's values of the schema's columns, in its order; NaN where one is missing.

    Raises:
        UserError: if a column is missing, or holds what is not a number.
    """
    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect()
    if not isinstance(frame, pl.DataFrame):
        names = [str(name) for name in frame]
        columns = {name: frame[name] for name in schema.names if name in names}
        check_columns(schema, names, where)
        try:
            frame = pl.DataFrame({name: _values(column) for name, column in columns.items()}, strict=False)
        except (pl.exceptions.PolarsError, TypeError) as error:
            raise UserError(Fault(f"is no table: {error}", where)) from error
    else:
        check_columns(schema, frame.columns, where)
    x = as_matrix(frame, schema.names, where)
    warn_of_missing(schema, np.isnan(x).sum(0), where)
    return x


def _values(column: Any) -> list[Any]:
    """A column as Python objects, None where a pandas column has none (it has several words for that)."""
    if hasattr(column, "notna"):
        column = column.astype(object).where(column.notna(), None)
    return list(column)


def warn_of_missing(schema: Schema, counts: Sequence[int] | np.ndarray, where: str) -> None:
    """Tells of columns with missing values, which training had none of; `counts` has one for each input."""
    holes = [f"{name} ({count})" for name, count in zip(schema.names, counts, strict=True) if count]
    if holes:
        log.warning(
            "%s: missing values, of which training had none, are taken for the training rows' median: %s",
            where,
            listed(holes),
        )
