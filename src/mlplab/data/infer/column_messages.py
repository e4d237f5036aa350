"""What is said about columns: faults of their cells, with the remedies to type, and notes.

A cell of a numeric column that is not a number may be a typing mistake, a sign for a missing value such as
`?`, or a category such as `3+`: that decides which remedy comes first. Notes say how a column is read where
that may surprise, and what may be wrong with it.
"""

import re
import shlex
from collections.abc import Iterator

import numpy as np
import polars as pl
from jaxtyping import Bool

from mlplab.config.data import DURATION
from mlplab.data.cells.dates import CLOCK_FORMATS, FIRST_YEAR, LAST_YEAR, date_formats, mixed_formats
from mlplab.data.cells.level_order import NO_ANSWER, known_order
from mlplab.data.cells.number_formats import MIN_SIGNED, parse_number
from mlplab.data.cells.parse import LONG_INTEGER, MISSING, WITH_UNIT, WORDS, cells_of, parse_str
from mlplab.data.class_labels import find_label
from mlplab.data.infer.block_reader import TableReader
from mlplab.data.infer.infer_kind import can_be_typed, is_rare, may_be_categories, typed_formats
from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.suspicious_numbers import compact_date_note, most_classes, whole_target_note
from mlplab.data.infer.table_spec import DATES_AS_NUMBERS, typed
from mlplab.data.io.dialect import COMMA
from mlplab.errors import Fault, did_you_mean, listed, nearest, shortened

LARGEST_INTEGER = 2.0**53  # the largest integer up to which floats represent all


def check_cells(reader: TableReader) -> None:
    """Adds a fault to each column with bad cells that has none yet."""
    bad = [column for column in reader.columns if column.bad and not column.faults]
    for column in bad:
        row, text = column.first_bad
        remedy = "; ".join(_remedies(column, reader))
        column.faults = [column.definition.fault(reader.place(row, column), text, column.bad, remedy)]


def _remedies(column: InferredColumn, reader: TableReader) -> Iterator[str]:
    name, role, is_input, text = column.name, column.role, column.role == "input", column.bad_texts[0]
    alone = f" data.target={shlex.quote(name)}" if len(reader.spec.named("target")) > 1 else ""
    categorical = typed(name, "categorical") if is_input else f"task=multiclass{alone}"
    if re.fullmatch(LONG_INTEGER, text) and role in ("input", "target"):
        yield f"if it is a name or a class, {typed(name, 'categorical')} keeps all digits"
        yield f"{typed(name, 'drop')} leaves it out" if is_input else "else write it in a larger unit"
        return
    may_be_number = role in ("input", "target") and column.kind == "numeric"
    if is_categorical := may_be_number and may_be_categories(column.bad_texts, reader.values(column)):
        yield f"if its values are {'categories' if is_input else 'classes'}: {categorical}"
    if missing := _missing_texts(column):
        yield f"if it stands for a missing value: {reader.spec.typed_missing(name, missing, role)}"
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


def column_note(column: InferredColumn, reader: TableReader) -> str:
    """How a column is read where that may surprise, and what may be wrong with it; empty if nothing is."""
    if column.sentinels:
        cells = listed(f"{text} in {count:,} cells" for text, count in column.sentinels.items())
        missing = reader.spec.typed_missing(column.name, column.sentinels, column.role)
        return f"{cells} may stand for a missing value; if so: {missing}"
    if (texts := column.texts) is not None:
        return "; ".join(filter(None, _text_notes(column, texts, reader)))
    if column.kind == "numeric" and column.definition.format and not column.faults:
        texts = parse_str(
            cells_of(reader.sample, column.name), reader.spec.na_values_of(column.name)
        ).drop_nulls()
        values = parse_number(texts, (), column.definition.format)
        read = values.is_not_null() & texts.cast(pl.Float64, strict=False).is_null()
        examples = (f": {shortened(texts[row])} is {values[row]:.10g}" for row in read.arg_true().head(1))
        return f"read as numbers written like {column.definition.format}{next(examples, '')}"
    if column.role == "target" and not column.classes and not column.faults:
        return whole_target_note(column, reader)
    if column.is_input and column.kind == "numeric":
        return compact_date_note(column, reader)
    is_clock = column.is_input and column.definition.format in CLOCK_FORMATS[:2] and not column.declared
    if is_clock and column.low[0] >= 0:  # the sine of the hour's angle: no time is after noon
        silenced = f"({typed(column.name, 'date')} removes this line)"
        return f"read as times of day; if they are durations: {typed(column.name, DURATION)} {silenced}"
    if column.is_input and "%y" in column.definition.format and column.range:
        first, last = map(int, column.range)
        years = f"two-digit years are read as {FIRST_YEAR} to {LAST_YEAR}, here from {first} to {last}"
        return f"{years}; if that is wrong, use four-digit years"
    return ""


def _text_notes(column: InferredColumn, texts: pl.Series, reader: TableReader) -> Iterator[str]:
    if column.kind == "categorical":
        noun = "classes" if column.classes else "categories"
        yield similar_labels_note(texts, noun)
        odd = texts.filter(texts.cast(pl.Float64, strict=False).is_null()).sort()
        must_be_classes = column.role == "target" and reader.spec.asks_for_classes
        if column.is_input and not len(odd) and column.name not in reader.spec.declared:
            why, numbers = "because of its name", f"to read numbers instead: {typed(column.name, 'numeric')}"
            yield f"read as {len(texts):,} categories, {why}; {numbers}"
            return
        if not (column.declared or must_be_classes) and 0 < 2 * len(odd) < len(texts):
            missing = reader.spec.typed_missing(column.name, odd, column.role)
            numbers = f"; to read numbers instead, and such cells as missing: {missing}"
            why = f"because of {listed(map(shortened, odd), 3)} beside numbers"
            yield f"read as {noun}, {why}{numbers if can_be_typed(odd) else ''}"
    if column.is_input and column.name not in reader.spec.declared:
        if len(texts) <= 100:  # more take long to compare
            yield _order_note(column, texts, reader)
        yield mixed_dates_note(column.name, texts)


def _order_note(column: InferredColumn, texts: pl.Series, reader: TableReader) -> str:
    """A note that offers to use the order of a column's values; empty if none is known."""
    ordinal, is_answer = typed(column.name, "ordinal"), ~texts.str.contains(NO_ANSWER)
    if is_answer.sum() < 3:  # the order of two does not matter
        return ""
    levels = known_order(texts.to_list())
    if not levels and not is_answer.all():  # without answers such as Refused
        levels = known_order(texts.filter(is_answer).to_list())
        ordinal += f" {reader.spec.typed_missing(column.name, texts.filter(~is_answer))}"
    shown = listed(map(shortened, levels))
    return f"its values have an order: {shown}; to use it: {ordinal}" if levels else ""


def similar_labels_note(labels: pl.Series, noun: str) -> str:
    """A note about labels that are the same but for case or inner spaces; empty if there are none."""
    normalized = labels.str.to_lowercase().str.replace_all(r"\s+", " ").alias("normalized")
    frame = pl.DataFrame([labels.alias("label"), normalized]).filter(pl.col("normalized").is_duplicated())
    similar = listed(map(shortened, frame.sort("normalized", "label")["label"]))
    what = f"{similar} differ only by case or inner spaces and are separate {noun}"
    return f"{what}; to merge them, write them in the same way in the table" if similar else ""


def mixed_dates_note(name: str, texts: pl.Series) -> str:
    """A note that offers to read a column's texts as dates in several formats; empty if they are not."""
    formats = mixed_formats(texts)
    return f"dates in several formats; to read them: {typed_formats(name, formats)}" if formats else ""


def class_fault(column: InferredColumn, reader: TableReader) -> Fault | None:
    """Why the classes of a target cannot be predicted."""
    where, spec, labels = reader.where(column), reader.spec, list(column.classes)
    is_number = column.class_kind == "number"
    count, examples = len(labels), listed(map(shortened, labels[:3]))
    found = f"{count:,} classes: {listed(map(shortened, labels), 5)}"
    if count == 1:
        return constant_fault(shortened(labels[0]), where)
    if is_number and max(abs(column.low[0]), abs(column.high[0])) > LARGEST_INTEGER:
        remedy = f"keep all their digits: {typed(column.name, 'categorical')}"
        return Fault("has integers of more than 53 bits", where, examples, remedy=remedy)
    if count > most_classes(column.filled, asked=spec.asks_for_classes):
        what = f"has {count:,} different values in {column.filled:,} rows, too many to be classes"
        return Fault(what, where, examples, remedy="; ".join(_instead_of_classes(column, reader)))
    if spec.task == "binary" and count > 2:
        return Fault("task=binary needs two classes", where, found, remedy="use task=multiclass")
    if spec.positive is not None and (count > 2 or find_label(spec.positive, labels) is None):
        what, key = f"must be one of two classes of column '{column.name}'", "data.positive="
        near = nearest(spec.positive, labels) if count == 2 else []
        return Fault(what, key + spec.positive, found, remedy=did_you_mean(near, key, "remove it"))
    return None


def _instead_of_classes(column: InferredColumn, reader: TableReader) -> Iterator[str]:
    """What to do about a target with too many values to be classes."""
    if formats := date_formats(pl.Series([*column.classes], dtype=pl.String)):
        regression = " task=regression" * reader.spec.asks_for_classes
        is_clock = formats[0] in CLOCK_FORMATS[:2]
        durations = f"if these are durations: {typed(column.name, DURATION)}{regression}"
        yield durations if is_clock else DATES_AS_NUMBERS
        return
    if column.class_kind == "number":
        yield "if it is a number: task=regression"
    elif column.filled >= 2 * len(column.classes) and not reader.spec.asks_for_classes:
        yield "if these are classes: task=multiclass"
    yield "if it is an identifier, choose a different data.target"


def constant_fault(value: str, where: str) -> Fault:
    """A target with a single value."""
    return Fault(f"all values are {value}", where, remedy="choose a different data.target, or give more rows")


def row_faults(
    is_bad: Bool[np.ndarray, " row"], what: str, remedy: str, column: InferredColumn, reader: TableReader
) -> Iterator[Fault]:
    """A fault of the first of some rows, with their number; none if there are none."""
    if count := int(is_bad.sum()):
        what += f"; {count:,} such rows" if count > 1 else ""
        yield Fault(what, reader.place(int(is_bad.argmax()), column), remedy=remedy)


def value_faults(column: InferredColumn, reader: TableReader) -> Iterator[Fault]:
    """Weights that are missing, negative or all 0; numbers that are beyond float32 or lack the sign of their
    format; ambiguous years."""
    where, written = reader.where(column), column.definition.format
    if column.role == "weight":
        values = reader.values(column)
        if values.any():
            remedy = "give each row a weight of 0 or more, or remove data.weight"
            is_bad = np.isnan(values) | (values < 0)
            yield from row_faults(is_bad, "is missing or negative", remedy, column, reader)
        else:
            yield Fault("all weights are 0", where, remedy="remove data.weight")
    is_target = column.role == "target" and not column.classes and column.low != column.high
    if column.kind == "numeric" and column.filled and not column.bad and (column.is_input or is_target):
        largest = max(column.high[0], -column.low[0])
        if largest and not 1e-30 <= largest <= 1e30:  # float32 has the squares of these
            what = "the values are too small or too large for float32"
            expected = "a largest magnitude between 1e-30 and 1e+30"
            yield Fault(what, where, f"{largest:.3g}", expected, "convert them to a different unit")
    first, last = column.range or (0, 0)
    if column.is_input and "%y" in written and first < FIRST_YEAR + 1 and last >= LAST_YEAR:
        found = f"both {LAST_YEAR % 100} and {FIRST_YEAR % 100}, which would be {LAST_YEAR} and {FIRST_YEAR}"
        remedy = f"use four-digit years; or {typed(column.name, 'drop')} leaves it out"
        yield Fault("two-digit years are ambiguous", where, found, remedy=remedy)
    may_be_other_units = column.unsigned > (1 - MIN_SIGNED) * column.filled
    if may_be_other_units and not column.declared:
        what = f"{column.unsigned:,} of {column.filled:,} numbers are not written like {written}"
        remedy = f"if they have the same unit: {typed(column.name, written)}; else convert them"
        yield Fault(what, where, remedy=remedy)
