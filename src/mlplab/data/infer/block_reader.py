"""Reads the rows of a source as numbers, block by block.

How a column is read is inferred from the first rows. If later rows contradict that, all rows are read again.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import reduce

import numpy as np
import polars as pl
from jaxtyping import Float, Float64

from mlplab.config.data import is_number_format
from mlplab.console import progress_lines
from mlplab.data.cells.dates import REPEATING_FORMATS, are_months, is_datetime
from mlplab.data.cells.parse import INT64_LIMIT, Kind, cells_of, parse_str, plain_floats, strip
from mlplab.data.infer.column_names import are_codes
from mlplab.data.infer.infer_kind import (
    InferredKind,
    are_categories,
    format_of,
    infer_kind,
    is_rare,
    known_kind,
    may_be_categories,
)
from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.table_spec import DATES_AS_NUMBERS, Role, TableSpec, key_of, titled, typed
from mlplab.data.io.source import Source
from mlplab.data.offsets import offset_of
from mlplab.data.table import BLOCK, FloatType, to_matrix
from mlplab.errors import Fault, UserError

log = logging.getLogger(__name__)

SAMPLE_ROWS = 4096  # the number of first rows


class TableReader:
    """All rows of a source as numbers, and what was inferred about its columns.

    Attributes:
        sample: the first rows, unparsed.
        columns: the inputs in the table's order, then the columns in all other roles.
        features: the features of the inputs. Numbers are centred by their offset, text is a code, NaN is
            missing.
        others: the columns in all other roles.

    Raises:
        UserError: if the columns do not match the spec, or cannot be read.
    """

    features: Float[np.ndarray, "row feature"]
    others: Float64[np.ndarray, "row other"]

    def __init__(
        self,
        source: Source,
        spec: TableSpec,
        dtype: FloatType = np.float32,
        allocate: Callable[[tuple[int, int], FloatType], np.ndarray] = np.empty,
    ) -> None:
        self.source, self.spec, self.dtype, self._allocate = source, spec, dtype, allocate
        self.rows = 0
        if faults := [*spec.faults(source)]:
            raise UserError(*faults)
        try:
            self.sample = source.rows.head(SAMPLE_ROWS).collect().rechunk()
        except pl.exceptions.PolarsError as error:
            source.explain(error)
        self.columns = list[InferredColumn]()
        others = {name for name, role in spec.roles if role in ("target", "weight")}
        others |= {*spec.left_out, *(name for name in spec.named("group") if name not in spec.declared)}
        inputs: list[tuple[str, Role]] = [(name, "input") for name in source.names if name not in others]
        for name, role in (*inputs, *spec.roles):
            try:
                self.columns.append(self._first_column(name, role))
            except UserError as error:
                faults += error.faults
        if faults:
            raise UserError(*faults)

    def read(self) -> "TableReader":
        """Reads all rows. Bad cells are counted, and read as missing. Logs how many rows have been read.

        Raises:
            UserError: with all faults of the text.
        """
        floats, na_values = self._float_columns()
        reading = f"reading {self.source.where} and inferring its columns"
        with progress_lines(log.info, lambda: f"{reading}: {self.rows:,} rows"):
            while True:
                try:
                    self._read_once(floats, na_values if floats else ())
                except pl.exceptions.PolarsError as error:
                    if not floats:
                        self.source.explain(error)
                    floats = set()
                    continue
                texts = [column.texts for column in self.columns if column.texts is not None]
                if any(text.str.contains("\0", literal=True).any() for text in texts):
                    self.source.check_lines()
                largest = (max(map(abs, column.range or (0,))) for column in self.columns)
                if floats and (any(column.bad for column in self.columns) or max(largest) >= INT64_LIMIT / 2):
                    floats = set()  # to read the cells as they are: large integers may lose digits
                elif corrected := {column.name for column in self.columns if self._is_corrected(column)}:
                    floats -= corrected
                else:
                    return self

    def values(self, column: InferredColumn) -> Float[np.ndarray, " row"]:
        """The first feature of a column."""
        return self.matrix(column)[:, column.location.start]

    def matrix(self, column: InferredColumn) -> Float[np.ndarray, "row _"]:
        """The matrix with the features of a column."""
        return self.features if column.role == "input" else self.others

    def where(self, column: InferredColumn) -> str:
        """How messages refer to a column."""
        return f"{self.source.where}, {titled(column.name, column.role)}"

    def place(self, row: int, column: InferredColumn) -> str:
        """How messages refer to a cell."""
        return self.source.location(row, titled(column.name, column.role))

    def _is_corrected(self, column: InferredColumn) -> bool:
        """Whether all rows contradict how a column was read, so that it must be read again.

        Infers the kind of a column of text.
        """
        try:
            return self._corrected(column)
        except UserError as error:  # dates in no known format, or ambiguous dates or numbers
            column.faults = [*error.faults]
            return False

    def _corrected(self, column: InferredColumn) -> bool:
        definition, texts = column.definition, column.texts
        if column.bad and (number_format := self._later_format(column)):
            column.read_as("numeric", number_format)
        elif column.bad and not column.certain and self._may_be_other(column):
            column.read_as("categorical")  # all its texts decide
        elif texts is not None and not column.certain:
            kind = self._kind_of(column, texts, column.filled, column.filled + column.missing)
            if kind in ("numeric", "date"):
                column.certain = True
                cell_format = format_of(kind, texts, self.source, column.name)
                if kind == "numeric" and not cell_format and are_categories(texts, self.values(column)):
                    kind = "categorical"
                else:
                    column.read_as(kind, cell_format)
            column.kind = kind
        elif definition.kind == "numeric" and column.role == "input" and column.filled and not self.spec.raw:
            if self._are_codes(column):
                column.read_as("categorical")
                column.certain = True
                return True
            [low], [high] = column.rounded(self.dtype).tolist()
            # So far from 0, relative to their spread, float32 loses digits; or all are equal, but rounded.
            if self.spec.offsets is None and max(low, -high) > 1000 * (high - low):
                column.definition = replace(definition, offset=definition.offset + low)
        return column.definition is not definition

    def _are_codes(self, column: InferredColumn) -> bool:
        known = {*self.spec.declared, *(name for name, _ in self.spec.roles)}
        is_plain = not (column.name in known or column.definition.format or column.bad)
        lowest = column.range[0] if column.range else 0.0
        return is_plain and are_codes(column.name, self.values(column), lowest)

    def _later_format(self, column: InferredColumn) -> str:
        """The format of what was read as plain numbers, if it reads most of the bad cells, too."""
        if column.kind != "numeric" or column.definition.format or self._must_be_classes(column):
            return ""
        first = parse_str(
            cells_of(self.sample, column.name), self.spec.na_values_of(column.name)
        ).drop_nulls()
        texts = pl.concat([first, column.bad_texts]).unique(maintain_order=True)
        return format_of("numeric", texts, self.source, column.name)

    def _may_be_other(self, column: InferredColumn) -> bool:
        """Whether the bad cells may be a sign that the kind is wrong. Few of them seldom are, and to read a
        column of numbers as text takes much memory."""
        is_common = not is_rare(column.bad, column.filled + column.bad)
        repeats = column.definition.format in REPEATING_FORMATS or self._must_be_classes(column)
        return is_common or repeats or may_be_categories(column.bad_texts, self.values(column))

    def _must_be_classes(self, column: InferredColumn) -> bool:
        return column.role == "target" and self.spec.asks_for_classes

    def _kind_of(self, column: InferredColumn, texts: pl.Series, filled: int, rows: int) -> InferredKind:
        if column.role != "target" and are_months(texts):
            return "date"
        kind = infer_kind(texts, filled, rows)
        if column.role != "target":
            return kind
        # If the target must be classes, text such as `3+` is one beside numbers.
        all_numbers = texts.cast(pl.Float64, strict=False).is_finite().fill_null(value=False).all()
        may_be_numbers = all_numbers or not self.spec.asks_for_classes
        return "numeric" if kind == "numeric" and may_be_numbers else "categorical"

    def _first_column(self, name: str, role: Role) -> InferredColumn:
        spec, dtype, cells = self.spec, self.source.schema[name], cells_of(self.sample, name)
        of_role = "numeric" if role == "weight" or (role == "target" and spec.asks_for_numbers) else ""
        declared = "categorical" if role == "group" else spec.declared.get(name, of_role)
        is_number = role == "target" or declared in ("numeric", "boolean") or is_number_format(declared)
        is_class = role == "target" and dtype == pl.Boolean and len(spec.named("target")) > 1
        is_unreadable = dtype.is_nested() or dtype in (pl.Binary, pl.Duration, pl.Object)
        if is_unreadable or is_class or (is_number and is_datetime(dtype)):
            remedy = typed(name, "drop") if role == "input" else f"choose a different {key_of(role)}"
            if role == "target" and is_datetime(dtype):
                remedy = DATES_AS_NUMBERS
            what = f"has type {dtype}, which cannot be read as {declared or role}"
            raise UserError(Fault(what, f"{self.source.where}, {titled(name, role)}", remedy=remedy))
        kind, cell_format = known_kind(name, declared, dtype)
        certain = kind is not None or role == "time"
        column = InferredColumn(name, role, "categorical", certain, certain)
        has_text = dtype == pl.String and cells.null_count() < len(cells)
        is_plain = dtype.is_numeric() or (has_text and plain_floats(cells) is not None)
        are_dates = kind is None and role != "target" and has_text and are_months(cells.drop_nulls())
        if kind in (None, "numeric") and is_plain and not are_dates:  # for speed in wide tables
            kind = "numeric"
        elif not cell_format and kind in (None, "numeric", "date"):
            kind, cell_format = self._kind_by_texts(cells, column, kind)
        column.read_as(kind or "categorical", cell_format)
        is_centred = kind == "numeric" or "year" in column.definition.parts
        if is_centred and role == "input" and not spec.raw:
            column.definition = replace(column.definition, offset=self._offset(column))
        return column

    def _offset(self, column: InferredColumn) -> float:
        if self.spec.offsets is not None:
            return self.spec.offsets.get(column.name, 0.0)
        column.reset(0)
        first, *_ = self._read_cells(column, self.sample, 0)
        return offset_of(first.to_numpy())

    def _kind_by_texts(self, cells: pl.Series, column: InferredColumn, kind: Kind | None) -> tuple[Kind, str]:
        texts = parse_str(cells, self.spec.na_values_of(column.name)).drop_nulls()
        distinct = texts.unique(maintain_order=True)
        if kind is None:
            plain = distinct.str.replace(",", ".", literal=True) if self.source.decimal_comma else distinct
            by_texts = self._kind_of(column, plain, len(texts), len(cells))
            otherwise: Kind = "date" if column.role == "time" else "categorical"
            kind = by_texts if by_texts in ("numeric", "date") else otherwise
        try:
            return kind, format_of(kind, distinct, self.source, column.name)
        except UserError:
            if kind == "date" or column.certain:
                raise
            return "categorical", ""  # other rows may decide what a comma marks

    def _read_cells(self, column: InferredColumn, frame: pl.DataFrame, start: int) -> list[pl.Series]:
        cells, comma = cells_of(frame, column.name), self.source.decimal_comma
        return column.read(cells, start, self.spec.na_values_of(column.name), decimal_comma=comma)

    def _float_columns(self) -> tuple[set[str], set[str]]:
        """Columns of text whose sample has only plain numbers and missing values; all spellings of these."""
        definitions = [column.definition for column in self.columns]
        others = {column.name for column in definitions if column.kind != "numeric" or column.format}
        names = {each.name for each in definitions if self.source.schema[each.name] == pl.String} - others
        if not names or self.source.decimal_comma:  # with it, polars would also accept decimal points
            return set(), set()
        texts_of = {name: cells_of(self.sample, name) for name in names}
        texts = pl.concat(texts_of.values()).drop_nulls()
        odd = texts.filter(~texts.cast(pl.Float64, strict=False).is_finite().fill_null(value=False)).unique()
        na_values = {*self.spec.na_values, *odd.filter(strip(odd, self.spec.na_values).is_null())} - {""}
        known = ((name, cells.set(cells.is_in([*na_values]), None)) for name, cells in texts_of.items())
        return {name for name, cells in known if plain_floats(cells) is not None}, na_values

    def _read_once(self, floats: Collection[str], na_values: Collection[str]) -> None:
        height, self.rows = self.source.height, 0
        inputs = [column for column in self.columns if column.role == "input"]
        others = [column for column in self.columns if column.role != "input"]
        widths = [reduce(lambda end, column: column.reset(end), columns, 0) for columns in (inputs, others)]
        self.features = self.others = np.empty((0, 0))  # frees what was read before
        self.features = self._allocate((height, widths[0]), self.dtype)
        self.others = self._allocate((height, widths[1]), np.float64)
        names = (column.name for column in self.columns)
        for frame in self.source.blocks(BLOCK, names, floats, na_values):
            start, self.rows = self.rows, self.rows + frame.height
            for matrix, columns in ((self.features, inputs), (self.others, others)):
                features = [each for column in columns for each in self._read_cells(column, frame, start)]
                if features:
                    matrix[start : self.rows] = to_matrix(features, matrix.dtype.type)
        self.features, self.others = self.features[: self.rows], self.others[: self.rows]
