"""New data, which are checked against a network's schema, as its features."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Float

from mlplab.data.cells.dates import is_datetime
from mlplab.data.cells.parse import bad_cells, cells_of, is_text, named, parse_str
from mlplab.data.frames import FrameLike, in_memory, to_polars
from mlplab.data.io.dialect import ROW_INDEX
from mlplab.data.schema import Column, Schema
from mlplab.data.table import to_matrix
from mlplab.errors import Fault, UserError, listed, nearest, shortened

log = logging.getLogger(__name__)


MissingColumns = Literal["refuse", "impute"]
"""What happens where new rows lack a column: they are refused, or all its cells count as missing."""


def check_columns(
    schema: Schema, names: Sequence[str], where: str, missing_columns: MissingColumns | None = None
) -> None:
    """Warns about columns that were not in training, except a row index, which has no name, and about columns
    that are imputed.

    Args:
        missing_columns: None: they are refused, and the message offers nothing else.

    Raises:
        UserError: if a column that the network needs is missing.
    """
    present, known = set(names), {*schema.names, *schema.targets, *schema.left_out, schema.weight, ROW_INDEX}
    missing = [name for name in schema.names if name not in present]
    further = [name for name in names if name not in known]
    if missing and missing_columns == "impute":
        log.warning("%s: lacks columns, of which all cells count as missing: %s", where, listed(missing))
    elif missing:
        renamed = [f"{similar[0]!r} → {name!r}" for name in missing if (similar := nearest(name, further))]
        what = f"lacks {'the column' if len(missing) == 1 else 'columns'} {listed(missing)}"
        others = f"instead: {listed(further)}" if further else ""
        remedy = f"rename {listed(renamed)}?" if renamed else ""
        if missing_columns and not renamed:
            remedy = "add them, or let them count as missing: missing_columns=impute"
        expected = f"the columns of training: {listed(schema.names)}"
        raise UserError(Fault(what, where, others, expected, remedy))
    if further:
        log.warning("%s: ignoring columns not seen in training: %s", where, listed(further))


class FrameTransformer:
    """Converts frames with the same columns to features, and counts missing values and unknown categories.

    Messages refer to the data by `where`.
    """

    def __init__(self, schema: Schema, where: str, dtype: type[np.floating], *, decimal_comma: bool) -> None:
        self.schema, self.where, self.dtype, self.decimal_comma = schema, where, dtype, decimal_comma
        self.rows = 0
        self._missing: Counter[str] = Counter()
        self._unknown: dict[str, Counter[str]] = {}

    def features(
        self, frame: pl.DataFrame, numbers: Mapping[str, pl.Series] | None = None
    ) -> Float[np.ndarray, "row feature"]:
        """The features of the frame's rows; NaN where a value is missing or a category is unknown.

        Args:
            frame: a column that it lacks is missing in all rows.
            numbers: text columns that `plain_floats` has already parsed.

        Raises:
            UserError: if columns have cells of a different kind than in training.
        """
        faults, features = list[Fault](), list[pl.Series]()
        absent = [name for name in self.schema.names if name not in frame.columns]
        frame = frame.with_columns(pl.lit(None, pl.String).alias(name) for name in absent)
        for column in self.schema.inputs:
            where, cells = f"{self.where}, column '{column.name}'", cells_of(frame, column.name)
            if column.kind == "numeric" and not column.format and not self.decimal_comma:
                cells = (numbers or {}).get(column.name, cells)
            if not _fits(column, cells):
                what, remedy = f"has type {cells.dtype}", "give it the type that it had in training"
                faults.append(Fault(what, where, "", column.expected, remedy))
                continue
            na_values = self.schema.na_values_of(column.name)
            parsed = column.parse(cells, na_values, decimal_comma=self.decimal_comma)
            if not column.categories and len(bad := bad_cells(cells, parsed, na_values, column.kind)):
                where += f", data row {self.rows + bad[0] + 1}"
                remedy = "write it as in training, or leave it empty"
                faults.append(column.fault(where, str(cells[bad[0]]), len(bad), remedy))
            features += column.features(parsed)
        if faults:
            raise UserError(*faults)
        self.rows += frame.height
        x = to_matrix(features, self.dtype, writable=True)
        for column, part in zip(self.schema.inputs, self.schema.feature_slices, strict=True):
            if not (is_nan := np.isnan(x[:, part.start])).any():
                continue
            cells = cells_of(frame, column.name).filter(pl.Series(is_nan))
            texts = parse_str(cells, self.schema.na_values_of(column.name))
            if not column.missing and column.name not in absent and (missing := texts.null_count()):
                self._missing[column.name] += missing
            if column.categories and (unknown := Counter(texts.drop_nulls().to_list())):
                self._unknown.setdefault(column.name, Counter()).update(unknown)
        return x

    def warn(self) -> None:
        """Warns about unknown categories, and about missing values in columns that had none in training."""
        for name, values in self._unknown.items():
            texts = (f"{shortened(text)} ({count:,})" for text, count in values.most_common())
            what = "%s, column '%s': categories not seen in training are treated as missing: %s"
            log.warning(what, self.where, name, listed(texts, 3))
        if missing := [f"{name} ({count:,})" for name, count in self._missing.items()]:
            what = "%s: imputed missing values (median or mode) in columns that had none in training: %s"
            log.warning(what, self.where, listed(missing))


def _fits(column: Column, cells: pl.Series) -> bool:
    dtype = cells.dtype
    if column.categories:
        return not (dtype.is_nested() or dtype == pl.Object)
    is_like_training = is_datetime(dtype) if column.kind == "date" else dtype == pl.Boolean
    return dtype.is_numeric() or is_text(dtype) or is_like_training


def as_frame(
    schema: Schema, frame: FrameLike, where: str, missing_columns: MissingColumns = "refuse"
) -> pl.DataFrame:
    """The columns that a schema needs, as far as they are there, from any kind of frame.

    Raises:
        UserError: if a column is missing that must not be, or the frame is not a table.
    """
    columns = to_polars(frame := in_memory(frame), where, schema.names)
    names = [str(name) for name in getattr(frame, "columns", list(frame))]
    check_columns(schema, names, where, missing_columns)
    return columns.select(named(name) for name in schema.names if name in columns.columns)
