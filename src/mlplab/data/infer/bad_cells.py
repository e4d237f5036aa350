"""Cells that are not of their column's kind: what is wrong with them, and what to type.

A cell of a numeric column that is not a number may be a typing mistake, a sign for a missing value such as
`?`, or a category such as `3+`. This decides which remedy comes first.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from mlplab.data.infer.infer_kind import FORMATTED, MAX_CATEGORIES
from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.table_reader import TableReader
from mlplab.data.infer.table_spec import typed, typed_na_values
from mlplab.data.io.dialect import COMMA
from mlplab.data.parse import BAD, EXPECTED, LONG_INTEGER, cells_of, parse_str
from mlplab.errors import Fault, shortened

INFINITE = re.compile(r"[+-]?(inf|infinity|\d[\d.]*e\+?\d{3,})", re.IGNORECASE)
"""An infinite number, or one too large for a float."""

NA_WORDS = {"n/a", "na", "n.a", "n/d", "nd", "nan", "nat", "nil", "none", "null", "\\n", "div/0"} | {
    *("missing", "unknown", "undefined", "not available", "not applicable"),
}
"""Words that look like a missing value, in lower case and without punctuation around them."""

MAX_NAMED = 10
"""The largest number of distinct bad values that a remedy lists."""

MAX_MISSING_SHARE = 0.05
"""The largest share of rows with bad values of unknown meaning that may be missing values."""

MAX_TYPED = 60
"""The largest number of characters of a value that a remedy asks to type."""


@dataclass
class BadCells:
    """The bad cells of a column.

    Attributes:
        row: the row of the first bad cell.
        text: the text of the first bad cell.
        texts: the distinct texts of bad cells, without surrounding spaces.
        distinct: the largest number of distinct values, good or bad, in a block of rows.
    """

    column: InferredColumn
    row: int = -1
    text: str = ""
    texts: dict[str, None] = field(default_factory=dict)
    distinct: int = 0

    def add(self, frame: pl.DataFrame, start: int, reader: TableReader) -> None:
        """Adds the bad cells of a block of rows."""
        cells, (_, bad) = cells_of(frame, self.column.name), reader.parse(self.column, frame)
        if len(bad) and self.row < 0:
            self.row, self.text = start + bad[0], str(cells[bad[0]])
        texts = parse_str(cells.gather(bad), reader.spec.na_values).unique(maintain_order=True)
        self.texts |= dict.fromkeys(texts)
        self.distinct = max(self.distinct, cells.n_unique())
        reader.values(self.column)[start + bad.to_numpy()] = np.inf  # unlike missing cells

    def first_matches(self, pattern: str | re.Pattern[str]) -> bool:
        """Whether the text of the first bad cell matches."""
        return re.fullmatch(pattern, self.text.strip()) is not None

    @property
    def look_missing(self) -> bool:
        """Whether all texts are signs or words for a missing value, or infinite."""
        return all(
            not any(map(str.isalnum, text))
            or text.lower().strip("#<>()[]!. ") in NA_WORDS
            or INFINITE.fullmatch(text)
            for text in self.texts
        )

    @property
    def have_digits(self) -> bool:
        """Whether some texts contain digits, like `12 kg` and `136A`."""
        return any(re.search(r"\d", text) for text in self.texts)

    @property
    def may_be_missing(self) -> bool:
        """Whether the texts may be declared as missing values: not if so many cells are bad that this seems
        intended, or if a remedy cannot list all texts."""
        column = self.column
        rows = column.filled + column.missing + column.bad
        return (
            column.role not in ("weight", "time")
            and len(self.texts) <= MAX_NAMED
            and not self.first_matches(LONG_INTEGER)
            and not self.first_matches(COMMA)
            and all(len(text) <= MAX_TYPED and text.isprintable() for text in self.texts)
            and (self.look_missing or column.bad == 1 or column.bad <= MAX_MISSING_SHARE * rows)
        )

    @property
    def may_be_categories(self) -> bool:
        """Whether a few values repeat, some of them not numbers: `0, 1, 2, 3+`, or codes such as `136A`."""
        column = self.column
        if column.role not in ("input", "target") or column.kind != "numeric" or self.look_missing:
            return False
        numbers = (FORMATTED, LONG_INTEGER, INFINITE)
        if any(re.fullmatch(number, text) for text in self.texts for number in numbers):
            return False
        values = column.filled + column.bad
        return self.distinct <= MAX_CATEGORIES or (self.have_digits and 2 * self.distinct <= values)


def check_cells(reader: TableReader) -> None:
    """Adds a fault to each column with bad cells, which were read as missing and become infinite."""
    bad = [BadCells(column) for column in reader.columns if column.bad]
    if not bad:
        return
    rows = 0
    for frame in reader.blocks([cells.column.name for cells in bad]):
        for cells in bad:
            cells.add(frame, rows, reader)
        rows += frame.height
    missing = (text for cells in bad if cells.may_be_missing for text in cells.texts)
    na_values = typed_na_values(dict.fromkeys([*reader.spec.na_values, *missing]))  # for all columns
    for cells in bad:
        cells.column.faults = [_fault(cells, na_values, reader)]


def _fault(cells: BadCells, na_values: str, reader: TableReader) -> Fault:
    column, kind = cells.column, cells.column.definition.kind
    what, expected = BAD[kind], EXPECTED[kind]
    if kind == "date":
        expected = f"one written as {column.definition.format}"
    elif kind == "numeric" and cells.first_matches(LONG_INTEGER):
        what = "is an integer of more than 64 bits"
        expected = "a number; write 1.2e23 if digits may be lost"
    elif kind == "numeric" and not cells.first_matches(INFINITE):
        what = "is not a number"
    what += f"; {column.bad:,} such cells in this column" if column.bad > 1 else ""
    what += f", {len(cells.texts):,} distinct values" if len(cells.texts) > 1 else ""
    remedy = "; ".join(_remedies(cells, na_values, reader))
    return Fault(what, reader.place(cells.row, column), shortened(cells.text), expected, remedy)


def _remedies(cells: BadCells, na_values: str, reader: TableReader) -> Iterator[str]:
    """What to do, the most likely first."""
    name, role, is_numeric = cells.column.name, cells.column.role, cells.column.kind == "numeric"
    categorical, is_input = typed(name, "categorical"), role == "input"
    may_be_categories = cells.may_be_categories
    if is_numeric and is_input and cells.first_matches(LONG_INTEGER):
        yield f"{typed(name, 'identifier')} leaves it out, =categorical keeps all digits"
        return
    if role == "target" and may_be_categories:
        alone = f" data.target={shlex.quote(name)}" if len(reader.spec.named("target")) > 1 else ""
        yield f"if its values are classes: task=multiclass{alone}"
    if is_input and may_be_categories:
        yield f"if its values are categories: {categorical}"
    if (
        is_numeric
        and reader.source.dialect
        and not reader.source.decimal_comma
        and cells.first_matches(COMMA)
    ):
        yield "write all decimals in the same way: with a point, or with a comma and 'data.decimal=\",\"'"
    missing = [f"if it stands for a missing value: {na_values}"] if cells.may_be_missing else []
    if missing and role == "target" and not reader.spec.drop_missing_targets:
        missing[0] += " data.missing_target=drop (drops those rows)"
    elif missing:
        missing[0] += " (in all columns)"
    if not cells.have_digits:
        yield from missing
    if is_numeric:
        yield "write plain numbers (no thousands separators, no units)"
    if is_input:
        drop = f"{typed(name, 'drop')} leaves the column out"
        yield drop if may_be_categories else f"or set its kind: {categorical} (or drop)"
    elif not is_numeric:
        yield "correct it, or remove such rows"
    if cells.have_digits:
        yield from missing
