"""What each column of a table turned out to be: an input of some kind, left out, or a mistake."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isinf

import numpy as np
import polars as pl

from mlplab.data.cells import DAYS, TRUTH
from mlplab.data.dialect import COMMA
from mlplab.data.kinds import kind_of_text
from mlplab.data.lanes import LEFT_OUT, LONG, Lane, Wanted, titled, typed
from mlplab.data.reading import Extent, Misfits, Reading
from mlplab.data.schema import PARTS, Column
from mlplab.data.source import Source
from mlplab.errors import Fault
from mlplab.keys import quoted

MAGNITUDES = (1e-30, 1e30)
"""Smallest and largest centred values of a column, with room to square them in float32."""

INFINITE = re.compile(r"[+-]?(inf|infinity|\d[\d.]*e\+?\d{3,})", re.IGNORECASE)
"""A number that is none, or too large for any."""

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
        keep: which features of its lane the input has.
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


def findings(reading: Reading, wanted: Wanted, source: Source) -> list[Finding]:
    """What was found of each lane, and of the columns that the user leaves out."""
    found = [_finding(reading, place, wanted, source) for place in range(len(reading.lanes))]
    out = [name for name, kind in wanted.declared.items() if kind in LEFT_OUT]
    return found + [
        Finding(name, "input", wanted.declared[name], 0, left_out="as data.columns says") for name in out
    ]


def _finding(reading: Reading, place: int, wanted: Wanted, source: Source) -> Finding:
    lane, extent, misfits = reading.lanes[place], reading.extent(place), reading.misfits[place]
    filled = reading.filled(place)
    if misfits.count:
        fault = _misfit(lane, misfits, reading.rows, source)
        missing = reading.rows - filled - misfits.count
        return Finding(lane.name, lane.role, _kind(lane), missing, faults=(fault,))
    if lane.role == "input":
        return _input(lane, extent, filled, reading.rows, source)
    return _other(lane, extent, filled, reading, wanted, source, place)


def _input(lane: Lane, extent: Extent, filled: int, rows: int, source: Source) -> Finding:
    missing, where = rows - filled, f"{source.where}, column '{lane.name}'"
    if filled == 0:
        return Finding(lane.name, "input", "empty", missing, left_out="all values are missing")
    if lane.form == "text":
        return _text(lane, filled, rows, where)
    varies = extent.low < extent.high
    tells = varies if lane.form == "date" else varies | (extent.missing > 0)
    keep = tuple(np.flatnonzero(tells).tolist())
    low, high = (float(each[0]) + lane.offset for each in (extent.low, extent.high))
    if not keep:
        what = f"all values are {low:g}" if lane.form != "date" else "all are the same day and hour"
        return Finding(lane.name, "input", "constant", missing, low, high, left_out=what)
    kind = _kind(lane)
    column = Column(
        lane.name,
        "date" if kind == "date" else "boolean" if kind == "boolean" else "numeric",
        missing > 0,
        lane.offset,
        format=(lane.days or DAYS[0]) if lane.form == "date" else "",
        parts=tuple(PARTS[part] for part in keep) if lane.form == "date" else (),
    )
    faults = _magnitude_faults(extent, where) if lane.form == "number" else ()
    return Finding(lane.name, "input", kind, missing, low, high, None, column, keep, faults=faults)


def _text(lane: Lane, filled: int, rows: int, where: str) -> Finding:
    texts, missing = lane.texts(), rows - filled
    kind = "categorical" if lane.certain else kind_of_text(texts, filled, rows)
    out = ""
    match kind:
        case "constant":
            out = f"all values are {shortened(texts[0])}"
        case "identifier":
            example = shortened(texts[0], 20)
            out = f"an identifier: {len(texts):,} different texts in {filled:,} rows, such as {example}"
        case "text":
            drop, keep = typed(lane.name, "drop"), typed(lane.name, "categorical")
            fault = Fault(
                "holds free text, which no network here reads",
                where,
                shortened(texts[0]),
                remedy=f"{drop} leaves it out; {keep} takes each text for a category",
            )
            return Finding(lane.name, "input", "text", missing, texts=texts, faults=(fault,))
    if out:
        return Finding(lane.name, "input", kind, missing, texts=texts, left_out=out)
    if kind == "boolean":
        column = Column(lane.name, "boolean", missing > 0)
    else:
        column = Column(lane.name, "categorical", missing > 0, categories=tuple(texts.sort()))
    return Finding(lane.name, "input", kind, missing, texts=texts, column=column, keep=(0,))


def _other(
    lane: Lane, extent: Extent, filled: int, reading: Reading, wanted: Wanted, source: Source, place: int
) -> Finding:
    missing = reading.rows - filled
    low, high = float(extent.low[0]), float(extent.high[0])
    values = reading.others[:, reading.columns[place]][:, 0]
    faults: list[Fault] = []
    if lane.role == "target":
        where = f"{source.where}, target column '{lane.name}'"
        if missing and not wanted.drop_missing_targets:
            first = source.place(int(np.isnan(values).argmax()), f"target column '{lane.name}'")
            remedy = "data.missing_target=drop leaves such rows out; or fill in the values"
            what = f"a value is missing; {missing:,} such rows" if missing > 1 else "a value is missing"
            faults.append(Fault(what, first, remedy=remedy))
        if filled and low == high:
            remedy = "there is nothing to predict: name another data.target"
            remedy = remedy if reading.rows > 1 else "give the table more rows"
            faults.append(Fault(f"all its values are {low:g}", where, remedy=remedy))
        elif not filled:
            faults.append(Fault("all its values are missing", where, remedy="name another data.target"))
        else:
            faults += _magnitude_faults(extent, where)
    if lane.role == "weight":
        bad = np.isnan(values) | (values < 0)
        if bad.any():
            first = source.place(int(bad.argmax()), f"weight column '{lane.name}'")
            what = (
                f"is missing or negative; {int(bad.sum()):,} such rows"
                if bad.sum() > 1
                else "is missing or negative"
            )
            remedy = "give each row a weight of 0 or more, or leave out data.weight"
            faults.append(Fault(what, first, remedy=remedy))
        elif not values.any():
            where = f"{source.where}, weight column '{lane.name}'"
            faults.append(Fault("all weights are 0", where, remedy="leave out data.weight"))
    texts = lane.texts() if lane.form == "text" else None
    found = Finding(lane.name, lane.role, _kind(lane), missing, texts=texts, faults=tuple(faults))
    return found if lane.form == "text" or lane.role == "time" else replace(found, low=low, high=high)


def _kind(lane: Lane) -> str:
    """As users read it."""
    return {"number": "numeric", "text": "categorical"}.get(lane.form, lane.form)


def _misfit(lane: Lane, misfits: Misfits, rows: int, source: Source) -> Fault:
    text, remedies = misfits.text.strip(), []
    if source.written and not source.comma and COMMA.fullmatch(text):
        remedies = ["if its comma marks decimals: 'data.decimal=\",\"'"]
    elif 2 * misfits.count <= rows and len(text) <= LONGEST and text.isprintable() and lane.role != "weight":
        declared = shlex.quote(f"data.missing=[{quoted(text, DOUBLE)}]")
        remedies = [f"if it stands for a missing value: {declared}"]
    others = f"another kind: {typed(lane.name, 'categorical')} or =drop"
    match lane.form:
        case "date":
            what, expected = "is no date as the others are", f"one written as {lane.days}"
            remedies.append(others)
        case "boolean":
            what, expected = "is neither true nor false", f"one of {', '.join(TRUTH)}"
            remedies.append(others)
        case _ if re.fullmatch(LONG, text):
            what, expected = "is an integer of more than 64 bits", "a number, as 1.2e23 if digits may be lost"
            remedies = [f"{typed(lane.name, 'identifier')} leaves it out, =categorical keeps all digits"]
        case _:
            what = "is not a finite number" if INFINITE.fullmatch(text) else "is not a number"
            expected = "a number such as 1176.2"
            remedies.append("write plain numbers (no thousands separators, no units)")
            remedies += [others] if lane.role == "input" else []
    more = f"; {misfits.count:,} such cells in this column" if misfits.count > 1 else ""
    place = source.place(misfits.row, titled(lane.name, lane.role))
    return Fault(what + more, place, shortened(misfits.text), expected, "; ".join(remedies))


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
