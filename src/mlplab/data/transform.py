"""New data held against the columns that a network was trained on."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl
from jaxtyping import Float

from mlplab.data.dates import is_datetime
from mlplab.data.io.header import ROW_INDEX
from mlplab.data.parse import BAD, EXPECTED, bad_cells, cells_of, is_text, named, parse_str
from mlplab.data.schema import FORMS, Column, Schema
from mlplab.errors import Fault, UserError, listed, nearest, shortened

log = logging.getLogger(__name__)

NO_NUMBERS: Mapping[str, pl.Series] = {}

SHOWN = 3
"""Unknown categories of a column that are told by name."""


@runtime_checkable
class FrameLike(Protocol):
    """A polars or pandas data frame, or a dict of columns: names when iterated, columns by name."""

    def __iter__(self) -> Any:
        """The columns' names; of a polars frame its columns."""

    def __getitem__(self, name: Any, /) -> Any:
        """A column."""


def check_columns(schema: Schema, names: Sequence[str], where: str) -> None:
    """Warns of columns that the network does not know, but for a row index, which has no name.

    Raises:
        UserError: if one that it needs is missing.
    """
    missing = [name for name in schema.names if name not in names]
    known = (*schema.names, *schema.targets, *schema.left_out, schema.weight)
    further = [name for name in names if name not in (*known, ROW_INDEX)]
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


class FrameTransformer:
    """Turns frames of the same columns, one after the other, into features, and counts what is odd in them.

    Args:
        where: what messages call the data.
        comma: its text has a decimal comma.
    """

    def __init__(
        self, schema: Schema, where: str, dtype: type[np.floating] = np.float32, *, comma: bool = False
    ) -> None:
        self.schema, self.where, self.dtype, self.comma = schema, where, dtype, comma
        self.rows = 0
        self._missing: Counter[str] = Counter()
        self._unknown: dict[str, Counter[str]] = {}

    def serves(self, schema: Schema, dtype: type[np.floating]) -> bool:
        """Whether a network of that schema and type takes the same features."""
        return self.schema == schema and self.dtype is dtype

    def features(
        self, frame: pl.DataFrame, numbers: Mapping[str, pl.Series] = NO_NUMBERS
    ) -> Float[np.ndarray, "row feature"]:
        """The features of the frame's rows; NaN where a value is missing, or a category unknown.

        Args:
            numbers: columns of text that have been cast to Float64 already, by `plain_floats`.

        Raises:
            UserError: for each column with a cell that training had nothing like.
        """
        faults: list[Fault] = []
        features: list[pl.Series] = []
        for column in self.schema.inputs:
            cells = cells_of(frame, column.name)
            if column.kind == "numeric" and not self.comma:
                cells = numbers.get(column.name, cells)
            if found := self._type_faults(column, cells):
                faults += found
                continue
            parsed = column.parse(cells, self.schema.na_values, decimal_comma=self.comma)
            faults += self._faults(column, cells, parsed)
            features += column.features(parsed)
        if faults:
            raise UserError(*faults)
        dtype = pl.Float64 if self.dtype is np.float64 else pl.Float32
        read = pl.DataFrame([each.cast(dtype).alias(f"{place}") for place, each in enumerate(features)])
        self.rows += frame.height
        x = read.to_numpy(writable=True) if frame.height else np.empty((0, len(features)), self.dtype)
        first = 0
        for column in self.schema.inputs:
            missing = np.isnan(x[:, first])
            first += column.width
            if missing.any():
                self._count(column, cells_of(frame, column.name).filter(pl.Series(missing)))
        return x

    def warn(self) -> None:
        """Tells of missing values in columns that had none in training, and of unknown categories."""
        for name, values in self._unknown.items():
            shown = ", ".join(f"{shortened(value)} ({count:,})" for value, count in values.most_common(SHOWN))
            more = f", … {len(values)} in all" if len(values) > SHOWN else ""
            what = "%s, column '%s': categories that training had none of are taken as missing: %s%s"
            log.warning(what, self.where, name, shown, more)
        new = {column.name for column in self.schema.inputs if not column.missing}
        holes = [f"{name} ({count:,})" for name, count in self._missing.items() if name in new]
        if holes:
            log.warning(
                "%s: missing values, of which training had none, are taken for what is usual there: %s",
                self.where,
                listed(holes),
            )

    def _count(self, column: Column, cells: pl.Series) -> None:
        texts = parse_str(cells, self.schema.na_values)
        if missing := texts.null_count():
            self._missing[column.name] += missing
        if column.kind == "categorical" and (unknown := Counter(texts.drop_nulls().to_list())):
            self._unknown.setdefault(column.name, Counter()).update(unknown)

    def _type_faults(self, column: Column, cells: pl.Series) -> list[Fault]:
        """Whether a column's type is none that can be meant."""
        dtype = cells.dtype
        number = dtype.is_numeric() or is_text(dtype) or dtype == pl.Boolean
        fits = {
            "numeric": number,
            "boolean": number,
            "categorical": not (dtype.is_nested() or dtype == pl.Object),
            "date": is_datetime(dtype) or is_text(dtype) or dtype.is_numeric(),
        }
        if fits[column.kind]:
            return []
        where, remedy = f"{self.where}, column '{column.name}'", "give it the type that it had in training"
        return [Fault(f"holds {dtype}", where, expected=_expected(column), remedy=remedy)]

    def _faults(self, column: Column, cells: pl.Series, parsed: pl.Series) -> Iterator[Fault]:
        """What a column holds that cannot be meant."""
        where = f"{self.where}, column '{column.name}'"
        if column.kind == "categorical":
            if found := self._all_numbers(column, cells, parsed):
                yield Fault("holds numbers", where, found, _expected(column), "write it as in training")
            return
        form = FORMS[column.kind]
        bad = bad_cells(cells, parsed, self.schema.na_values, form)
        if count := len(bad):
            more = f"; {count:,} such cells in this column" if count > 1 else ""
            place, remedy = f"{where}, data row {self.rows + bad[0] + 1}", "write it as in training"
            found = shortened(str(cells[bad[0]]))
            yield Fault(BAD[form] + more, place, found, EXPECTED[form], f"{remedy}, or leave it empty")

    def _all_numbers(self, column: Column, cells: pl.Series, codes: pl.Series) -> str:
        """The first of a column's values, if all are unknown numbers where words were meant."""
        if codes.null_count() < len(codes):
            return ""
        texts = parse_str(cells, self.schema.na_values).unique().drop_nulls()
        known = pl.Series(column.categories, dtype=pl.String)
        is_number = texts.cast(pl.Float64, strict=False).is_not_null()
        words_only = not known.cast(pl.Float64, strict=False).is_not_null().any()
        return shortened(texts[0]) if len(texts) and is_number.all() and words_only else ""


def _expected(column: Column) -> str:
    if column.kind == "categorical":
        return f"one of {listed(map(shortened, column.categories), 5)}"
    return EXPECTED[FORMS[column.kind]]


def as_frame(schema: Schema, frame: FrameLike, where: str) -> pl.DataFrame:
    """A frame's columns that a schema needs, whatever kind of frame it is.

    Raises:
        UserError: if it lacks one, or is no table.
    """
    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, pl.DataFrame):
        check_columns(schema, frame.columns, where)
        return frame.select(named(name) for name in schema.names)
    names = [str(name) for name in frame]
    check_columns(schema, names, where)
    if twice := [name for name in schema.names if names.count(name) > 1]:
        raise UserError(
            Fault(f"has several columns '{twice[0]}'", where, remedy="rename all but the one that is meant")
        )
    try:
        return pl.DataFrame({name: _values(frame[name]) for name in schema.names}, strict=False)
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise UserError(Fault(f"is no table: {error}", where)) from error


def _values(column: Any) -> list[Any]:
    """A column as Python objects, None where a pandas column has none (it has several words for that)."""
    if hasattr(column, "notna"):
        column = column.astype(object).where(column.notna(), None)
    return list(column)
