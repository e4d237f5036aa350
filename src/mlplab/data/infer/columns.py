"""What each column of a table turned out to be: an input of some kind, left out, or a mistake."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isinf

import numpy as np
import polars as pl
from jaxtyping import Float, Float64

from mlplab.data.dates import ISO
from mlplab.data.infer.bad_cells import cell_faults
from mlplab.data.infer.column_readers import ColumnReader
from mlplab.data.infer.column_statistics import ColumnStatistics
from mlplab.data.infer.date_checks import COMPACT_RANGE, century_faults
from mlplab.data.infer.kinds import kind_of_text
from mlplab.data.infer.notes import label_note, sentinel_note
from mlplab.data.infer.one_pass import Reading
from mlplab.data.infer.row_numbers import distinct_integers, may_identify, numbers_rows
from mlplab.data.infer.sentinels import sentinels
from mlplab.data.infer.table_spec import LEFT_OUT, TableSpec, titled, typed
from mlplab.data.io.header import ROW_INDEX
from mlplab.data.io.source import Source
from mlplab.data.schema import DATE_PARTS, Column
from mlplab.errors import Fault, shortened

MAGNITUDES = (1e-30, 1e30)
"""Smallest and largest centred values of a column, with room to square them in float32."""

AS_ROW_INDEX = "the row index; to use it, name it in the header"
"""Why a first column without a name is left out."""


@dataclass(frozen=True)
class InferredColumn:
    """A column in its role.

    Attributes:
        kind: as users read it.
        low: the smallest value in the column's own units; of dates a year. None where there is no such thing.
        texts: the distinct ones, in the order of their codes while reading.
        column: as an input; None if it is none.
        keep: which features of its reader the input has.
        left_out: why it is no input.
        faults: what is wrong with it.
        sentinels: numbers that may stand for missing values, and how many cells hold each.
        note: what may be wrong with it.
    """

    name: str
    role: str
    kind: str
    missing: int
    low: float | None = None
    high: float | None = None
    texts: pl.Series | None = None
    column: Column | None = None
    keep: tuple[int, ...] = ()
    left_out: str = ""
    faults: tuple[Fault, ...] = ()
    sentinels: Mapping[str, int] = field(default_factory=dict)
    note: str = ""


def infer_columns(reading: Reading, spec: TableSpec, source: Source) -> list[InferredColumn]:
    """What was found of each reader, and of the columns that are left out unread."""
    of_cells = cell_faults(reading, spec, source)
    found = [
        _finding(reading, place, spec, source, of_cells.get(place)) for place in range(len(reading.readers))
    ]
    found = _without_row_numbers(found, reading, spec, source)
    found += [
        InferredColumn(name, "input", kind, 0, left_out="as data.columns says")
        for name, kind in spec.declared.items()
        if kind in LEFT_OUT
    ]
    if ROW_INDEX in source.schema:
        found.append(InferredColumn(ROW_INDEX, "input", "row index", 0, left_out=AS_ROW_INDEX))
    na_values = dict.fromkeys((*spec.na_values, *(text for each in found for text in each.sentinels)))
    return [replace(each, note=each.note or _note(each, na_values, spec)) for each in found]


def _without_row_numbers(
    found: Sequence[InferredColumn], reading: Reading, spec: TableSpec, source: Source
) -> list[InferredColumn]:
    """Columns that number the rows left out, and a note at those that may number something else; not where
    the user says what they are, where there is no other input, or where the split goes by them."""
    exempt = {*spec.declared, *(name for name, _ in spec.roles)}
    numbered, possible = [], []
    for place, each in enumerate(found):
        if each.column and each.kind == "numeric" and not each.missing and each.name not in exempt:
            values = reading.features[:, reading.columns[place]][:, 0]
            low, high, offset = float(each.low or 0), float(each.high or 0), each.column.offset
            are_days = (
                COMPACT_RANGE[0] <= low and high <= COMPACT_RANGE[1]
            )  # which have a warning of their own
            if numbers_rows(values, low, high, offset):
                numbered.append(each.name)
            elif not are_days and may_identify(values, low, high, offset):
                possible.append(each.name)
    if len(numbered) == sum(each.column is not None for each in found):
        numbered = []
    notes = {
        name: f"another whole number in each row; if it is no quantity, {typed(name, 'drop')} leaves it out"
        for name in distinct_integers(possible, reading.rows, source)
    }
    return [
        replace(each, kind="row number", column=None, keep=(), left_out=_as_row_number(each.name))
        if each.name in numbered and each.column
        else replace(each, note=notes.get(each.name, "") if each.column else "")
        for each in found
    ]


def _as_row_number(name: str) -> str:
    return f"it numbers the rows, which says nothing of new ones; {typed(name, 'numeric')} keeps it"


def _note(found: InferredColumn, na_values: Iterable[str], spec: TableSpec) -> str:
    if found.sentinels:
        drop_rows = found.role == "target" and not spec.drop_missing_targets
        return sentinel_note(found.sentinels, na_values, drop_rows=drop_rows)
    if found.texts is not None and found.kind == "categorical":
        return label_note(found.texts)
    return ""


def _finding(
    reading: Reading, place: int, spec: TableSpec, source: Source, fault: Fault | None
) -> InferredColumn:
    reader, extent, filled = reading.readers[place], reading.extent(place), reading.filled(place)
    if fault:
        missing = reading.rows - filled - reading.bad_cells[place].count
        return InferredColumn(reader.name, reader.role, _kind(reader), missing, faults=(fault,))
    if reader.role == "input":
        values = reading.features[:, reading.columns[place]][:, 0]
        return _input(reader, extent, filled, values, source)
    return _other(reader, extent, filled, reading, spec, source, place)


def _input(
    reader: ColumnReader,
    extent: ColumnStatistics,
    filled: int,
    values: Float[np.ndarray, " row"],
    source: Source,
) -> InferredColumn:
    missing, where = len(values) - filled, f"{source.where}, column '{reader.name}'"
    if filled == 0:
        return InferredColumn(reader.name, "input", "empty", missing, left_out="all values are missing")
    if reader.form == "text":
        return _text(reader, filled, len(values))
    varies = extent.low < extent.high
    tells = varies if reader.form == "date" else varies | (extent.missing > 0)
    keep = tuple(np.flatnonzero(tells).tolist())
    low, high = (float(each[0]) + reader.offset for each in (extent.low, extent.high))
    if not keep:
        what = f"all values are {low:g}" if reader.form != "date" else "all are the same day and hour"
        return InferredColumn(reader.name, "input", "constant", missing, low, high, left_out=what)
    kind = _kind(reader)
    column = Column(
        reader.name,
        "date" if kind == "date" else "boolean" if kind == "boolean" else "numeric",
        missing > 0,
        reader.offset,
        format=(reader.days or ISO) if reader.form == "date" else "",
        parts=tuple(DATE_PARTS[part] for part in keep) if reader.form == "date" else (),
    )
    found = InferredColumn(reader.name, "input", kind, missing, low, high, None, column, keep)
    if reader.form != "number":
        return replace(found, faults=century_faults(reader, low, high, where))
    if faults := _magnitude_faults(extent, where):
        return replace(found, faults=faults)
    return replace(found, sentinels=sentinels(values, low, high, reader.offset))


def _text(reader: ColumnReader, filled: int, rows: int) -> InferredColumn:
    texts, missing = reader.texts(), rows - filled
    kind = "categorical" if reader.certain else kind_of_text(texts, filled, rows)
    out = ""
    match kind:
        case "constant":
            out = f"all values are {shortened(texts[0])}"
        case "identifier":
            example = shortened(texts[0], 20)
            out = f"an identifier: {len(texts):,} different texts in {filled:,} rows, such as {example}; "
            out += f"to use it: {typed(reader.name, 'categorical')}"
    if out:
        return InferredColumn(reader.name, "input", kind, missing, texts=texts, left_out=out)
    if kind == "boolean":
        column = Column(reader.name, "boolean", missing > 0)
    else:
        column = Column(reader.name, "categorical", missing > 0, categories=tuple(texts.sort()))
    return InferredColumn(reader.name, "input", kind, missing, texts=texts, column=column, keep=(0,))


def _other(
    reader: ColumnReader,
    extent: ColumnStatistics,
    filled: int,
    reading: Reading,
    spec: TableSpec,
    source: Source,
    place: int,
) -> InferredColumn:
    values = reading.others[:, reading.columns[place]][:, 0]
    missing, faults = reading.rows - filled, list[Fault]()
    if reader.role == "target":
        faults = _target_faults(reader, extent, filled, values, spec, source)
    elif reader.role == "weight":
        faults = _weight_faults(reader, values, source)
    texts = reader.texts() if reader.form == "text" else None
    found = InferredColumn(
        reader.name, reader.role, _kind(reader), missing, texts=texts, faults=tuple(faults)
    )
    if reader.form == "text" or reader.role == "time":
        return found
    low, high = float(extent.low[0]), float(extent.high[0])
    codes = sentinels(values, low, high, 0.0) if reader.role == "target" and not faults else {}
    return replace(found, low=low, high=high, sentinels=codes)


def _target_faults(
    reader: ColumnReader,
    extent: ColumnStatistics,
    filled: int,
    values: Float64[np.ndarray, " row"],
    spec: TableSpec,
    source: Source,
) -> list[Fault]:
    title = titled(reader.name, reader.role)
    where, missing = f"{source.where}, {title}", len(values) - filled
    faults = []
    if missing and not spec.drop_missing_targets:
        first = source.location(int(np.isnan(values).argmax()), title)
        remedy = "data.missing_target=drop leaves such rows out; or fill in the values"
        what = f"a value is missing; {missing:,} such rows" if missing > 1 else "a value is missing"
        faults.append(Fault(what, first, remedy=remedy))
    if not filled:
        return [*faults, Fault("all its values are missing", where, remedy="name another data.target")]
    if extent.low[0] == extent.high[0]:
        remedy = "there is nothing to predict: name another data.target"
        remedy = remedy if len(values) > 1 else "give the table more rows"
        return [*faults, Fault(f"all its values are {extent.low[0]:g}", where, remedy=remedy)]
    return [*faults, *_magnitude_faults(extent, where)]


def _weight_faults(reader: ColumnReader, values: Float64[np.ndarray, " row"], source: Source) -> list[Fault]:
    title = titled(reader.name, reader.role)
    bad = np.isnan(values) | (values < 0)
    if count := int(bad.sum()):
        more = f"; {count:,} such rows" if count > 1 else ""
        remedy = "give each row a weight of 0 or more, or leave out data.weight"
        return [
            Fault(f"is missing or negative{more}", source.location(int(bad.argmax()), title), remedy=remedy)
        ]
    if not values.any():
        return [Fault("all weights are 0", f"{source.where}, {title}", remedy="leave out data.weight")]
    return []


def _kind(reader: ColumnReader) -> str:
    """As users read it."""
    return {"number": "numeric", "text": "categorical"}.get(reader.form, reader.form)


def _magnitude_faults(extent: ColumnStatistics, where: str) -> tuple[Fault, ...]:
    smallest, greatest = MAGNITUDES
    largest = float(max(extent.high[0], -extent.low[0]))
    if not largest or smallest <= largest <= greatest:
        return ()
    return (
        Fault(
            "its values are too small or too large for float32",
            where,
            "more than 3e38" if isinf(largest) else f"{largest:.3g} as the largest",
            f"one between {smallest:g} and {greatest:g}",
            "give them in another unit",
        ),
    )


def faults_of(found: Sequence[InferredColumn]) -> list[Fault]:
    """All that is wrong."""
    return [fault for each in found for fault in each.faults]
