"""How each column of a table is to be read, first by its beginning, then by what reading has met."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import polars as pl

from mlplab.data.dates import LAST_YEAR, date_formats, is_datetime, parse_datetime
from mlplab.data.infer.kinds import kind_of_text
from mlplab.data.infer.table_spec import KEYS, LEFT_OUT, Role, TableSpec, faults_of, titled, typed
from mlplab.data.io.source import Source
from mlplab.data.parse import NO_ROWS, DataType, Form, bad_cells, by_distinct, cells_of, parse_str
from mlplab.data.schema import DATE_PARTS, features_of, parse
from mlplab.errors import Fault, UserError

ReadAs = Form | Literal["text"]
"""How a column is read: text as codes of its distinct words."""

SAMPLE = 4096
"""Rows at a table's beginning by which it is decided how to read the others."""


@dataclass
class ColumnReader:
    """A column in a role, as it is read.

    Attributes:
        certain: the form is what the column must have; cells that do not fit are mistakes.
        days: how dates are written.
        offset: is taken off numbers and years.
        known: of texts, an empty column whose type knows the code of each that was met; polars forgets them
            with the last column of that type.
    """

    name: str
    role: Role
    dtype: DataType
    form: ReadAs
    certain: bool = False
    days: str = ""
    offset: float = 0.0
    known: pl.Series = field(default_factory=pl.Series)

    @property
    def width(self) -> int:
        """How many columns are read of it."""
        return len(DATE_PARTS) if self.form == "date" and self.role != "time" else 1

    def read(
        self, cells: pl.Series, na_values: Collection[str], *, decimal_comma: bool, checked: bool = False
    ) -> tuple[list[pl.Series], pl.Series]:
        """What is read of some cells, as Float64, and if `checked` which of them are not of the form."""
        if self.form == "text":  # among which none is bad
            return [by_distinct(partial(self._codes, na_values=na_values), cells)], NO_ROWS
        form = self.form
        values = parse(cells, na_values, form, decimal_comma, self.days, LAST_YEAR)
        bad = bad_cells(cells, values, na_values, form) if checked else NO_ROWS
        if form == "date" and self.role == "time":
            return [values.to_physical().cast(pl.Float64)], bad
        return features_of(values, form, self.offset, DATE_PARTS), bad

    def _codes(self, text: pl.Series, na_values: Collection[str]) -> pl.Series:
        codes = parse_str(text, na_values).cast(self.known.dtype).to_physical()
        return codes.cast(pl.Float64)

    def texts(self) -> pl.Series:
        """The distinct texts that were met, by their codes."""
        assert isinstance(self.known.dtype, pl.Categorical)
        return self.known.dtype.categories.to_series()

    def holds_nul(self) -> bool:
        """Whether a text holds the byte 0, which only broken files do."""
        return self.form == "text" and bool(self.texts().str.contains("\0", literal=True).any())

    def settle_days(self, texts: pl.Series, where: str) -> None:
        """Finds how dates are written by some of them, where that is not known.

        Raises:
            UserError: if they make no sense, or two.
        """
        if self.form != "date" or self.days or is_datetime(self.dtype):
            return
        found, example = date_formats(texts), repr(texts[0]) if len(texts) else "nothing"
        where = f"{where}, column '{self.name}'"
        if not found:
            remedy = (
                f"say how they are written, as in {typed(self.name, '%d.%m.%Y')}, or write them as 2024-01-31"
            )
            raise UserError(Fault("holds no dates that are understood", where, example, remedy=remedy))
        if len(found) > 1:
            remedy = f"say which comes first: {typed(self.name, found[0])} or {typed(self.name, found[1])}"
            raise UserError(Fault("day and month cannot be told apart", where, example, remedy=remedy))
        self.days = found[0]


def nothing_known() -> pl.Series:
    """For a reader that begins."""
    return pl.Series(dtype=pl.Categorical(pl.Categories.random()))


def readers_of(source: Source, spec: TableSpec) -> tuple[list[ColumnReader], pl.DataFrame]:
    """How the columns are read if all rows are as the first ones, and these.

    Raises:
        UserError: if a column that is wanted is not there, is of a type that cannot be read, or the beginning
            cannot be read.
    """
    if faults := faults_of(spec, source):
        raise UserError(*faults)
    try:
        sample = source.scan().head(SAMPLE).collect()
    except pl.exceptions.PolarsError as error:
        raise UserError(*source.faults(error)) from error
    roles: list[tuple[str, Role]] = []
    others = {name for name, role in spec.roles if role not in ("time", "class")}
    for name in source.names:
        declared = spec.declared.get(name)
        if declared not in LEFT_OUT and (name not in others or (declared and name in spec.named("group"))):
            roles.append((name, "input"))
    readers, faults = [], []
    for name, role in (*roles, *spec.roles):
        try:
            readers.append(_reader(source, name, role, spec, sample))
        except UserError as error:
            faults += error.faults
    if faults:
        raise UserError(*faults)
    return readers, sample


def _reader(source: Source, name: str, role: Role, spec: TableSpec, sample: pl.DataFrame) -> ColumnReader:
    dtype = source.schema[name]
    as_number = role in ("target", "weight") or spec.declared.get(name) in ("numeric", "boolean")
    no_number = as_number and is_datetime(dtype)
    if no_number or dtype.is_nested() or dtype in (pl.Binary, pl.Time, pl.Duration, pl.Object):
        remedy = f"{typed(name, 'drop')} leaves it out" if role == "input" else f"name another {KEYS[role]}"
        what = f"holds {dtype}, which is no {'number' if no_number else 'value'}"
        raise UserError(Fault(what, f"{source.where}, {titled(name, role)}", remedy=remedy))
    reader = ColumnReader(name, role, dtype, *_form(source, name, role, spec, sample))
    if reader.form == "date":
        reader.settle_days(_texts(sample, name, spec).unique(maintain_order=True), source.where)
    if reader.form in ("number", "date") and role == "input" and not spec.raw:
        sampled = _sampled(reader, sample, spec.na_values, source.decimal_comma)
        reader.offset = float(sampled.median() or 0)  # type: ignore[arg-type]
        if reader.form == "date":
            reader.offset = float(int(reader.offset))
    return reader


def _form(
    source: Source, name: str, role: Role, spec: TableSpec, sample: pl.DataFrame
) -> tuple[ReadAs, bool, str]:
    """Form, whether it is certain, and the days' format."""
    dtype, declared = source.schema[name], spec.declared.get(name) if role in ("input", "time") else None
    if declared and "%" in declared:
        try:
            parse_datetime(pl.Series(["2024"]), (), declared)
        except pl.exceptions.PolarsError as error:
            what = f"cannot be read by: {str(error).partition(chr(10))[0]}"
            remedy = "use the codes of strptime, such as %Y-%m-%d %H:%M:%S"
            raise UserError(Fault(what, typed(name, declared), remedy=remedy)) from error
        return "date", True, declared
    match declared:
        case "numeric":
            return "number", True, ""
        case "boolean" | "date":
            return declared, True, ""
        case "categorical":
            return "text", True, ""
    if role in ("target", "weight"):
        return "number", True, ""
    if role in ("group", "class"):
        return "text", True, ""
    if is_datetime(dtype):
        return "date", True, ""
    if dtype == pl.Boolean:
        return "boolean", True, ""
    if dtype.is_numeric():
        return "number", True, ""
    texts = _texts(sample, name, spec)
    if source.decimal_comma:
        texts = texts.str.replace(",", ".", literal=True)
    form = form_of(kind_of_text(texts.unique(), len(texts), sample.height))
    if role == "time" and form not in ("number", "date"):
        form = "date"
    return form, role == "time", ""


def _texts(sample: pl.DataFrame, name: str, spec: TableSpec) -> pl.Series:
    return parse_str(cells_of(sample, name), spec.na_values).drop_nulls()


def form_of(kind: str) -> ReadAs:
    """How a column of that kind is read."""
    return "number" if kind == "numeric" else "date" if kind == "date" else "text"


def _sampled(reader: ColumnReader, sample: pl.DataFrame, na_values: Sequence[str], comma: bool) -> pl.Series:
    """The finite numbers, or years, of a sample."""
    [first, *_], _ = reader.read(cells_of(sample, reader.name), na_values, decimal_comma=comma)
    return first.filter(first.is_finite())
