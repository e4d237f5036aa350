"""What each column of a table turned out to be: an input of some kind, left out, or a mistake."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isinf

import numpy as np
import polars as pl
from jaxtyping import Float64

from mlplab.data.cells import BAD, EXPECTED, ISO, LONG
from mlplab.data.reading.extent import BadCells, Extent
from mlplab.data.reading.kinds import kind_of_text
from mlplab.data.reading.readers import ColumnReader
from mlplab.data.reading.reading import Reading
from mlplab.data.reading.spec import LEFT_OUT, TableSpec, titled, typed
from mlplab.data.schema import DATE_PARTS, Column
from mlplab.data.sources.dialect import COMMA, ROW_INDEX
from mlplab.data.sources.source import Source
from mlplab.errors import Fault
from mlplab.keys import quoted

MAGNITUDES = (1e-30, 1e30)
"""Smallest and largest centred values of a column, with room to square them in float32."""

INFINITE = re.compile(r"[+-]?(inf|infinity|\d[\d.]*e\+?\d{3,})", re.IGNORECASE)
"""A number that is none, or too large for any."""

AS_ROW_INDEX = "read as the row index; to use it as an input, name it in the header"
"""Why a first column without a name is left out."""

DOUBLE = '"'

LONGEST = 60
"""Characters of a cell that are shown."""


@dataclass(frozen=True)
class Finding:
    """A column in its role.

    Attributes:
        kind: as users read it.
        low: the smallest value in the column's own units; of dates a year. None where there is no such thing.
        texts: the distinct ones, in the order of their codes while reading.
        column: as an input; None if it is none.
        keep: which features of its reader the input has.
        left_out: why it is no input.
        faults: what is wrong with it.
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


def findings(reading: Reading, spec: TableSpec, source: Source) -> list[Finding]:
    """What was found of each reader, and of the columns that are left out unread."""
    found = [_finding(reading, place, spec, source) for place in range(len(reading.readers))]
    found += [
        Finding(name, "input", kind, 0, left_out="as data.columns says")
        for name, kind in spec.declared.items()
        if kind in LEFT_OUT
    ]
    if ROW_INDEX in source.schema:
        found.append(Finding(ROW_INDEX, "input", "row index", 0, left_out=AS_ROW_INDEX))
    return found


def _finding(reading: Reading, place: int, spec: TableSpec, source: Source) -> Finding:
    reader, extent, bad_cells = reading.readers[place], reading.extent(place), reading.bad_cells[place]
    filled = reading.filled(place)
    if bad_cells.count:
        fault = _bad_cell(reader, bad_cells, reading.rows, source)
        missing = reading.rows - filled - bad_cells.count
        return Finding(reader.name, reader.role, _kind(reader), missing, faults=(fault,))
    if reader.role == "input":
        return _input(reader, extent, filled, reading.rows, source)
    return _other(reader, extent, filled, reading, spec, source, place)


def _input(reader: ColumnReader, extent: Extent, filled: int, rows: int, source: Source) -> Finding:
    missing, where = rows - filled, f"{source.where}, column '{reader.name}'"
    if filled == 0:
        return Finding(reader.name, "input", "empty", missing, left_out="all values are missing")
    if reader.form == "text":
        return _text(reader, filled, rows, where)
    varies = extent.low < extent.high
    tells = varies if reader.form == "date" else varies | (extent.missing > 0)
    keep = tuple(np.flatnonzero(tells).tolist())
    low, high = (float(each[0]) + reader.offset for each in (extent.low, extent.high))
    if not keep:
        what = f"all values are {low:g}" if reader.form != "date" else "all are the same day and hour"
        return Finding(reader.name, "input", "constant", missing, low, high, left_out=what)
    kind = _kind(reader)
    column = Column(
        reader.name,
        "date" if kind == "date" else "boolean" if kind == "boolean" else "numeric",
        missing > 0,
        reader.offset,
        format=(reader.days or ISO) if reader.form == "date" else "",
        parts=tuple(DATE_PARTS[part] for part in keep) if reader.form == "date" else (),
    )
    faults = _magnitude_faults(extent, where) if reader.form == "number" else ()
    return Finding(reader.name, "input", kind, missing, low, high, None, column, keep, faults=faults)


def _text(reader: ColumnReader, filled: int, rows: int, where: str) -> Finding:
    texts, missing = reader.texts(), rows - filled
    kind = "categorical" if reader.certain else kind_of_text(texts, filled, rows)
    out = ""
    match kind:
        case "constant":
            out = f"all values are {shortened(texts[0])}"
        case "identifier":
            example = shortened(texts[0], 20)
            out = f"an identifier: {len(texts):,} different texts in {filled:,} rows, such as {example}"
        case "text":
            drop, keep = typed(reader.name, "drop"), typed(reader.name, "categorical")
            fault = Fault(
                "holds free text, which no network here reads",
                where,
                shortened(texts[0]),
                remedy=f"{drop} leaves it out; {keep} takes each text for a category",
            )
            return Finding(reader.name, "input", "text", missing, texts=texts, faults=(fault,))
    if out:
        return Finding(reader.name, "input", kind, missing, texts=texts, left_out=out)
    if kind == "boolean":
        column = Column(reader.name, "boolean", missing > 0)
    else:
        column = Column(reader.name, "categorical", missing > 0, categories=tuple(texts.sort()))
    return Finding(reader.name, "input", kind, missing, texts=texts, column=column, keep=(0,))


def _other(
    reader: ColumnReader,
    extent: Extent,
    filled: int,
    reading: Reading,
    spec: TableSpec,
    source: Source,
    place: int,
) -> Finding:
    values = reading.others[:, reading.columns[place]][:, 0]
    missing, faults = reading.rows - filled, list[Fault]()
    if reader.role == "target":
        faults = _target_faults(reader, extent, filled, values, spec, source)
    elif reader.role == "weight":
        faults = _weight_faults(reader, values, source)
    texts = reader.texts() if reader.form == "text" else None
    found = Finding(reader.name, reader.role, _kind(reader), missing, texts=texts, faults=tuple(faults))
    if reader.form == "text" or reader.role == "time":
        return found
    return replace(found, low=float(extent.low[0]), high=float(extent.high[0]))


def _target_faults(
    reader: ColumnReader,
    extent: Extent,
    filled: int,
    values: Float64[np.ndarray, " row"],
    spec: TableSpec,
    source: Source,
) -> list[Fault]:
    title = titled(reader.name, reader.role)
    where, missing = f"{source.where}, {title}", len(values) - filled
    faults = []
    if missing and not spec.drop_missing_targets:
        first = source.place(int(np.isnan(values).argmax()), title)
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
        return [Fault(f"is missing or negative{more}", source.place(int(bad.argmax()), title), remedy=remedy)]
    if not values.any():
        return [Fault("all weights are 0", f"{source.where}, {title}", remedy="leave out data.weight")]
    return []


def _kind(reader: ColumnReader) -> str:
    """As users read it."""
    return {"number": "numeric", "text": "categorical"}.get(reader.form, reader.form)


def _bad_cell(reader: ColumnReader, bad_cells: BadCells, rows: int, source: Source) -> Fault:
    text, remedies = bad_cells.text.strip(), []
    if source.written and not source.comma and COMMA.fullmatch(text):
        remedies = ["if its comma marks decimals: 'data.decimal=\",\"'"]
    elif (
        2 * bad_cells.count <= rows
        and len(text) <= LONGEST
        and text.isprintable()
        and reader.role != "weight"
    ):
        declared = shlex.quote(f"data.missing=[{quoted(text, DOUBLE)}]")
        remedies = [f"if it stands for a missing value: {declared}"]
    others = f"another kind: {typed(reader.name, 'categorical')} or =drop"
    match reader.form:
        case "date":
            what, expected = BAD["date"], f"one written as {reader.days}"
            remedies.append(others)
        case "boolean":
            what, expected = BAD["boolean"], EXPECTED["boolean"]
            remedies.append(others)
        case _ if re.fullmatch(LONG, text):
            what, expected = "is an integer of more than 64 bits", "a number, as 1.2e23 if digits may be lost"
            remedies = [f"{typed(reader.name, 'identifier')} leaves it out, =categorical keeps all digits"]
        case _:
            what = BAD["number"] if INFINITE.fullmatch(text) else "is not a number"
            expected = EXPECTED["number"]
            remedies.append("write plain numbers (no thousands separators, no units)")
            remedies += [others] if reader.role == "input" else []
    more = f"; {bad_cells.count:,} such cells in this column" if bad_cells.count > 1 else ""
    place = source.place(bad_cells.row, titled(reader.name, reader.role))
    return Fault(what + more, place, shortened(bad_cells.text), expected, "; ".join(remedies))


def _magnitude_faults(extent: Extent, where: str) -> tuple[Fault, ...]:
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


def shortened(text: str, longest: int = LONGEST) -> str:
    """A cell as it is shown."""
    return repr(text if len(text) <= longest else f"{text[:longest]}…")


def faults_of(found: Sequence[Finding]) -> list[Fault]:
    """All that is wrong."""
    return [fault for each in found for fault in each.faults]
