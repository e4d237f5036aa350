"""Cells that are not of their column's kind: what is wrong with them, and what to type.

A cell of a numeric column that is not a number may be a typing mistake, a sign for a missing value such as
`?`, or a category such as `3+`. This decides which remedy comes first.
"""

import re
import shlex
from collections.abc import Iterable, Iterator

from mlplab.data.cells.dates import mixed_formats
from mlplab.data.cells.parse import LONG_INTEGER, MISSING, WITH_UNIT, WORDS
from mlplab.data.infer.infer_kind import typed_formats
from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.odd_texts import can_be_typed, is_rare, may_be_categories
from mlplab.data.infer.table_reader import TableReader
from mlplab.data.infer.table_spec import typed
from mlplab.data.io.dialect import COMMA


def check_cells(reader: TableReader) -> None:
    """Adds a fault to each column with bad cells that has none yet."""
    bad = [column for column in reader.columns if column.bad and not column.faults]
    missing = [text for column in bad for text in _missing_texts(column)]
    for column in bad:
        row, text = column.first_bad
        remedy = "; ".join(_remedies(column, missing, reader))
        column.faults = [column.definition.fault(reader.place(row, column), text, column.bad, remedy)]


def _remedies(column: InferredColumn, missing: Iterable[str], reader: TableReader) -> Iterator[str]:
    """What to do: declare categories, declare missing values, correct the cells, leave the column out."""
    name, role, is_input, text = column.name, column.role, column.role == "input", column.bad_texts[0]
    alone = f" data.target={shlex.quote(name)}" if len(reader.spec.named("target")) > 1 else ""
    categorical = typed(name, "categorical") if is_input else f"task=multiclass{alone}"
    if re.fullmatch(LONG_INTEGER, text) and role in ("input", "target"):
        yield f"if it is a name or a class, {typed(name, 'categorical')} keeps all digits"
        yield f"{typed(name, 'drop')} leaves it out" if is_input else "else write it in a larger unit"
        return
    if is_categorical := may_be_categories(column, reader.values(column)):
        yield f"if its values are {'categories' if is_input else 'classes'}: {categorical}"
    if _missing_texts(column):
        yield f"if it stands for a missing value: {reader.spec.typed_missing(missing, role)}"
    is_format = column.kind == "date" and not column.filled
    known = "" if is_format else column.definition.format
    if column.kind == "date" and (mixed := mixed_formats(column.bad_texts, known)):
        yield f"if it is a date in another format: {typed_formats(name, mixed)}"
    elif column.kind != "numeric" or column.definition.format or WORDS.fullmatch(text):
        yield "declare another format" if is_format else "correct it, or remove such rows"
    elif reader.source.dialect and re.fullmatch(COMMA, text):
        yield "if a comma marks decimals: 'data.decimal=\",\"'"
    elif parts := WITH_UNIT.fullmatch(text):
        yield f"write {parts[1]}, without the unit, and convert numbers in other units"
    else:
        yield "write plain numbers (no thousands separators, no units)"
    if is_input:
        drop = f"{typed(name, 'drop')} leaves the column out"
        yield drop if is_categorical else f"or set its kind: {categorical} (or drop)"


def _missing_texts(column: InferredColumn) -> list[str]:
    """The bad texts that a remedy lists as missing: signs and words for it, or a few without digits."""
    texts, rows = column.bad_texts, column.filled + column.missing + column.bad
    if not is_rare(column.bad, rows) or texts.str.contains(r"\d").any():
        texts = texts.filter(texts.str.contains(MISSING))
    return texts.to_list() if can_be_typed(texts) and column.role not in ("weight", "time") else []
