"""Cells that do not hold what their column should: what is wrong with them, and what to type.

A value of a column of numbers that is no number may be a typing mistake, a sign for a missing value such as
`?`, or a category among others such as `3+`. Which it is decides what is offered first.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl
import polars.selectors as cs

from mlplab.config.keys import quoted
from mlplab.data.infer.column_readers import ColumnReader
from mlplab.data.infer.column_statistics import BadCells
from mlplab.data.infer.kinds import DRESSED, FEW
from mlplab.data.infer.one_pass import Reading
from mlplab.data.infer.table_spec import TableSpec, titled, typed
from mlplab.data.io.dialect import COMMA, POINT
from mlplab.data.io.source import Source
from mlplab.data.parse import BAD, EXPECTED, LONG, cells_of, named, parse_str
from mlplab.data.table import BLOCK
from mlplab.errors import Fault, shortened

INFINITE = re.compile(r"[+-]?(inf|infinity|\d[\d.]*e\+?\d{3,})", re.IGNORECASE)
"""A number that is none, or too large for any."""

NA_WORDS = {"n/a", "na", "n.a", "n/d", "nd", "nan", "nat", "nil", "none", "null", "\\n", "div/0"} | {
    *("missing", "unknown", "undefined", "not available", "not applicable"),
}
"""Words for a missing value, in lower case and without signs around them."""

NAMED = 10
"""Different values of a column up to which a remedy names them all."""

RARE = 0.05
"""Share of the rows up to which values of an unknown meaning may stand for missing ones."""

LONGEST = 60
"""Characters of a value that can be typed."""

DOUBLE = '"'


@dataclass(frozen=True)
class BadColumn:
    """A column with bad cells.

    Attributes:
        cells: how many they are, and the first one.
        texts: the first different ones, `NAMED` and one more.
        different: how many different ones there are.
        distinct: how many different values a part of the column has at most, good ones included.
        values: cells that hold anything.
        rows: of the table.
    """

    reader: ColumnReader
    cells: BadCells
    texts: Sequence[str]
    different: int
    distinct: int
    values: int
    rows: int

    @property
    def first(self) -> str:
        """The first bad cell without spaces around it."""
        return self.cells.text.strip()

    @property
    def look_missing(self) -> bool:
        """Whether all are signs or words for a missing value."""
        return all(
            not any(map(str.isalnum, text)) or text.lower().strip("#<>()[]!. ") in NA_WORDS
            for text in self.texts
        )

    @property
    def hold_digits(self) -> bool:
        """Whether some hold a number and more, as `12 kg` and `136A` do."""
        return any(re.search(r"\d", text) for text in self.texts)

    @property
    def may_be_missing(self) -> bool:
        """Whether they may be declared to be missing values: not if so many cells hold them that they seem
        meant, nor if a remedy cannot name them all."""
        if self.reader.role in ("weight", "time") or self.different > NAMED:
            return False
        if re.fullmatch(LONG, self.first) or COMMA.fullmatch(self.first):
            return False
        if not all(len(text) <= LONGEST and text.isprintable() for text in self.texts):
            return False
        return self.look_missing or self.cells.count == 1 or self.cells.count <= RARE * self.rows

    @property
    def may_be_categories(self) -> bool:
        """Whether few values recur, one of which is no number: `0, 1, 2, 3+`, or codes such as `136A`."""
        if self.reader.role != "input" or self.reader.form != "number" or self.look_missing:
            return False
        if any(re.fullmatch(each, text) for text in self.texts for each in (DRESSED, LONG, INFINITE)):
            return False
        return self.distinct <= FEW or (self.hold_digits and 2 * self.distinct <= self.values)


def cell_faults(reading: Reading, spec: TableSpec, source: Source) -> dict[int, Fault]:
    """The fault of each column with bad cells, by the place of its reader."""
    bad = _bad_columns(reading, spec, source)
    na_values = list(spec.na_values)  # one key for the whole table, which must name those of all columns
    for column in bad.values():
        if column.may_be_missing:
            na_values += [text for text in column.texts if text not in na_values]
    return {place: _fault(column, na_values, spec, source) for place, column in bad.items()}


def _bad_columns(reading: Reading, spec: TableSpec, source: Source) -> dict[int, BadColumn]:
    readers = {place: reading.readers[place] for place, cells in enumerate(reading.bad_cells) if cells.count}
    texts: dict[int, dict[str, None]] = {place: {} for place in readers}
    distinct = dict.fromkeys(readers, 0)
    if not readers:
        return {}
    names = dict.fromkeys(reader.name for reader in readers.values())
    rows = source.scan().select(map(named, names))
    for frame in rows.collect_batches(chunk_size=BLOCK, lazy=True, maintain_order=True):
        for place, reader in readers.items():
            cells = cells_of(frame, reader.name)
            _, bad = reader.read(cells, spec.na_values, decimal_comma=source.decimal_comma, checked=True)
            bad_texts = parse_str(cells.gather(bad), spec.na_values)
            texts[place] |= dict.fromkeys(bad_texts.unique(maintain_order=True))
            distinct[place] = max(distinct[place], cells.n_unique())
    found = {}
    for place, reader in readers.items():
        bad_cells, different = reading.bad_cells[place], list(texts[place])
        values, few = reading.filled(place) + bad_cells.count, different[: NAMED + 1]
        found[place] = BadColumn(
            reader, bad_cells, few, len(different), distinct[place], values, reading.rows
        )
    return found


def _fault(column: BadColumn, na_values: Sequence[str], spec: TableSpec, source: Source) -> Fault:
    reader, count = column.reader, column.cells.count
    match reader.form:
        case "date":
            what, expected = BAD["date"], f"one written as {reader.days}"
        case "boolean":
            what, expected = BAD["boolean"], EXPECTED["boolean"]
        case _ if re.fullmatch(LONG, column.first):
            what, expected = "is an integer of more than 64 bits", "a number, as 1.2e23 if digits may be lost"
        case _:
            what = BAD["number"] if INFINITE.fullmatch(column.first) else "is not a number"
            expected = EXPECTED["number"]
    what += f"; {count:,} such cells in this column" if count > 1 else ""
    what += f", {column.different:,} different ones" if column.different > 1 else ""
    place = source.location(column.cells.row, titled(reader.name, reader.role))
    remedy = "; ".join(_remedies(column, na_values, spec, source))
    return Fault(what, place, shortened(column.cells.text), expected, remedy)


def _remedies(column: BadColumn, na_values: Sequence[str], spec: TableSpec, source: Source) -> Iterator[str]:
    """What may be done, the likeliest first."""
    name, role, is_number = column.reader.name, column.reader.role, column.reader.form == "number"
    categorical, drop = typed(name, "categorical"), f"{typed(name, 'drop')} leaves the column out"
    if is_number and role == "input" and re.fullmatch(LONG, column.first):
        yield f"{typed(name, 'identifier')} leaves it out, =categorical keeps all digits"
        return
    if column.may_be_categories:
        yield f"if its values are categories: {categorical}"
    if is_number and source.dialect and not source.decimal_comma and COMMA.fullmatch(column.first):
        alike = "write all decimals alike, with a point or with a comma"
        yield alike if _has_points(source) else "if its comma marks decimals: 'data.decimal=\",\"'"
    missing = _missing_remedy(column, na_values, spec) if column.may_be_missing else ""
    if missing and not column.hold_digits:
        yield missing
    if is_number:
        yield "write plain numbers (no thousands separators, no units)"
    if role == "input":
        yield drop if column.may_be_categories else f"another kind: {categorical} or =drop"
    elif not is_number:
        yield "correct it, or leave such rows out"
    if missing and column.hold_digits:
        yield missing


def _missing_remedy(column: BadColumn, na_values: Sequence[str], spec: TableSpec) -> str:
    they = "they stand for missing values" if column.different > 1 else "it stands for a missing value"
    missing = typed_na_values(na_values)
    if column.reader.role == "target" and not spec.drop_missing_targets:
        return f"if {they}: {missing} data.missing_target=drop leaves such rows out"
    return f"if {they}: {missing} (in all columns)"


def typed_na_values(values: Iterable[str]) -> str:
    """What declares values to be missing ones, as it is typed in a shell."""
    return shlex.quote(f"data.na_values=[{','.join(quoted(value, DOUBLE) for value in values)}]")


def _has_points(source: Source) -> bool:
    """Whether a cell of the table has a decimal point."""
    point = cs.string().str.contains(rf"^\s*(?:{POINT.pattern})\s*$")
    return bool(source.scan().select(pl.any_horizontal(point.any())).collect(engine="streaming").item())
