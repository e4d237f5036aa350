"""A source's rows as numbers, in one pass over blocks of them.

How a column is to be read is guessed from the first rows. Where others turn out not to be so, the pass is
begun again, with closer looks, until all is understood.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Float64, Int64

from mlplab.data.cells import NOTHING, DataType, is_text, named
from mlplab.data.kinds import kind_of_text
from mlplab.data.lanes import LONGEST_INTEGER, Lane, Wanted, form_of, lanes_of, nothing_known
from mlplab.data.source import Source
from mlplab.data.table import BLOCK
from mlplab.errors import UserError

Allocate = Callable[[str, tuple[int, int], type[np.floating]], np.ndarray]
"""Makes the memory of a matrix: by a name, its rows and columns, and the type of its numbers."""

FAR = 1000
"""Times its spread, that a column's values may be away from 0 before digits are lost."""


@dataclass
class Extent:
    """What the columns of a matrix hold: how many values are missing, the smallest and the largest."""

    missing: Int64[np.ndarray, " column"]
    low: Float64[np.ndarray, " column"]
    high: Float64[np.ndarray, " column"]

    @classmethod
    def of_nothing(cls, columns: int) -> "Extent":
        """Of a matrix without rows."""
        return cls(np.zeros(columns, dtype=np.int64), np.full(columns, np.inf), np.full(columns, -np.inf))

    def add(self, block: Float[np.ndarray, "row column"]) -> None:
        """Adds rows."""
        if len(block):
            self.missing += np.isnan(block).sum(0)
            self.low = np.fmin(self.low, np.fmin.reduce(block, 0))
            self.high = np.fmax(self.high, np.fmax.reduce(block, 0))

    def infinite(self, rows: int) -> Bool[np.ndarray, " column"]:
        """Which columns of so many rows hold an infinite value."""
        return (self.missing < rows) & (np.isinf(self.low) | np.isinf(self.high))


@dataclass
class Misfits:
    """Cells of a column that do not hold what they should: how many, and the first one's row and text.

    Attributes:
        scanned: the row, counting those that are blank.
    """

    count: int = 0
    row: int = 0
    scanned: int = 0
    text: str = ""

    def add(self, wrong: pl.Series, start: int, scanned: Int64[np.ndarray, " row"]) -> None:
        """Adds rows, from row `start` on, that were scanned as these."""
        if count := int(wrong.sum()):
            if not self.count:
                row = int(wrong.arg_max() or 0)
                self.row, self.scanned = start + row, int(scanned[row])
            self.count += count


@dataclass
class Reading:
    """All rows of a source as its lanes give them.

    Attributes:
        features: a column for each feature of the input lanes.
        others: one for each other lane.
        columns: of each lane, its columns in the one or the other.
        misfits: of each lane.
    """

    lanes: list[Lane]
    features: Float[np.ndarray, "row feature"]
    others: Float64[np.ndarray, "row other"]
    columns: list[slice]
    of_features: Extent
    of_others: Extent
    misfits: list[Misfits] = field(default_factory=list)
    rows: int = 0

    def extent(self, place: int) -> Extent:
        """Of a lane's columns."""
        whole = self.of_features if self.lanes[place].role == "input" else self.of_others
        columns = self.columns[place]
        return Extent(whole.missing[columns], whole.low[columns], whole.high[columns])

    def filled(self, place: int) -> int:
        """Rows in which a lane has a value."""
        return self.rows - int(self.extent(place).missing[0])


def read(
    source: Source,
    wanted: Wanted,
    dtype: type[np.floating],
    allocate: Allocate,
    progress: Callable[[int], None],
) -> Reading:
    """Reads all rows. What the cells of a column should not hold is counted, not told.

    Args:
        dtype: of features.
        progress: is told how many rows have been read.

    Raises:
        UserError: with all that is wrong with the text.
    """
    lanes, sample = lanes_of(source, wanted)
    nulls, careful = _nulls(source, sample, wanted), False
    while True:
        try:
            reading = _read(source, lanes, wanted, dtype, allocate, progress, careful=careful, nulls=nulls)
        except pl.exceptions.PolarsError as error:
            faults = source.faults(error) if careful else source.line_faults()
            if faults:
                raise UserError(*faults) from error
            careful = True
            continue
        if any(lane.holds_nul() for lane in lanes) and (faults := source.line_faults()):
            raise UserError(*faults)
        if not careful and _is_doubtful(reading):
            careful = True
        elif not _mended(reading, wanted, source):
            return reading


def _read(
    source: Source,
    lanes: Sequence[Lane],
    wanted: Wanted,
    dtype: type[np.floating],
    allocate: Allocate,
    progress: Callable[[int], None],
    *,
    careful: bool,
    nulls: Sequence[str],
) -> Reading:
    """One pass. `careful` reads CSV as text, to tell what cells hold that are no numbers."""
    floats = set() if careful else _only_numbers(source, lanes)
    kinds = dict(source.schema) | dict.fromkeys(floats, pl.Float64())
    last = list(source.schema)[-1]
    reading, read_as = _prepared(lanes, kinds, wanted, source, dtype, allocate)
    checked = [
        place
        for place, lane in enumerate(lanes)
        if lane.form != "text" and (careful or is_text(kinds[lane.name]))
    ]
    checks = [
        lanes[place]
        .misfits(kinds[lanes[place].name], wanted.marks, comma=source.comma)
        .alias(f"misfit {place}")
        for place in checked
    ]
    width, scanned = reading.features.shape[1], 0
    names = dict.fromkeys([*(lane.name for lane in lanes), last])
    empty = pl.all_horizontal(named(name).is_null() for name in names).alias("empty")
    short = named(last).is_null().alias("short")
    rows = source.scan(floats, nulls if floats else ()).select(*read_as, *checks, empty, short)
    any_short = False
    for frame in rows.collect_batches(chunk_size=BLOCK, lazy=True, maintain_order=True):
        filled = source.filled(frame["empty"], scanned)
        height, scanned_as = frame.height, np.arange(scanned, scanned + frame.height)[filled]
        frame = frame.filter(filled)
        any_short = any_short or frame["short"].any()
        start, stop = reading.rows, reading.rows + frame.height
        for matrix, extent, columns in (
            (reading.features, reading.of_features, frame.columns[:width]),
            (reading.others, reading.of_others, frame.columns[width : len(read_as)]),
        ):
            if columns:
                values = frame.select(columns).to_numpy()
                extent.add(values)  # column by column, as it lies here, in a tenth of the time
                matrix[start:stop] = values
        for place in checked:
            reading.misfits[place].add(frame[f"misfit {place}"], start, scanned_as)
        reading.rows, scanned = stop, scanned + height
        progress(stop)
    if any_short and (faults := source.line_faults()):
        raise UserError(*faults)
    for lane, misfits in zip(lanes, reading.misfits, strict=True):
        if misfits.count:
            cell = source.scan().select(named(lane.name)).slice(misfits.scanned, 1)
            misfits.text = str(cell.collect().item())
    reading.features, reading.others = reading.features[: reading.rows], reading.others[: reading.rows]
    return reading


def _prepared(
    lanes: Sequence[Lane],
    kinds: dict[str, DataType],
    wanted: Wanted,
    source: Source,
    dtype: type[np.floating],
    allocate: Allocate,
) -> tuple[Reading, list[pl.Expr]]:
    """An empty reading, and the expressions of its columns, features first."""
    numbers = pl.Float64 if dtype is np.float64 else pl.Float32
    features: list[pl.Expr] = []
    others: list[pl.Expr] = []
    columns = []
    for lane in lanes:
        lane.known = nothing_known()
        each = lane.features(kinds[lane.name], wanted.marks, comma=source.comma)
        whole = features if lane.role == "input" else others
        columns.append(slice(len(whole), len(whole) + len(each)))
        whole += [one.cast(numbers) for one in each] if lane.role == "input" else each
    height = source.rows()
    reading = Reading(
        list(lanes),
        allocate("features", (height, len(features)), dtype),
        allocate("others", (height, len(others)), np.float64),
        columns,
        Extent.of_nothing(len(features)),
        Extent.of_nothing(len(others)),
        [Misfits() for _ in lanes],
    )
    return reading, [each.alias(f"{place}") for place, each in enumerate((*features, *others))]


def _only_numbers(source: Source, lanes: Sequence[Lane]) -> set[str]:
    """Columns of text that are read as numbers and as nothing else."""
    others = {lane.name for lane in lanes if lane.form != "number"}
    return {lane.name for lane in lanes if source.schema[lane.name] == pl.String} - others


def _nulls(source: Source, sample: pl.DataFrame, wanted: Wanted) -> list[str]:
    """Words for missing values, in the spelling that they have in the sample."""
    found: set[str] = set()
    for name, kind in source.schema.items():
        if kind == pl.String:
            cells = sample[name].alias("").drop_nulls().unique()
            found |= set(cells.filter(cells.str.strip_chars().str.to_lowercase().is_in(NOTHING)))
    return sorted((found - {""}) | set(wanted.marks))


def _is_doubtful(reading: Reading) -> bool:
    """Whether there are infinite numbers, or such large ones that as integers they may have lost digits."""
    for place, lane in enumerate(reading.lanes):
        extent = reading.extent(place)
        if extent.infinite(reading.rows).any():
            return True
        if lane.form == "number" and reading.filled(place):
            low, high = extent.low[0] + lane.offset, extent.high[0] + lane.offset
            if max(-low, high) >= LONGEST_INTEGER / 2:
                return True
    return False


def _mended(reading: Reading, wanted: Wanted, source: Source) -> bool:
    """Whether a column must be read in another way than it was; its lane is set to it."""
    mended = False
    for place, lane in enumerate(reading.lanes):
        filled, extent, misfits = reading.filled(place), reading.extent(place), reading.misfits[place].count
        if lane.form in ("number", "date") and not lane.certain and misfits > filled:
            lane.form, mended = "text", True
        elif lane.form == "text" and not lane.certain:
            texts = lane.texts()
            form = form_of(kind_of_text(texts, filled, reading.rows))
            if form != "text":
                lane.form, lane.certain, mended = form, True, True
                lane.settle_days(texts, source.where)
        elif lane.form == "number" and lane.role == "input" and not wanted.raw and filled:
            low, high = float(extent.low[0]), float(extent.high[0])
            if max(low, -high) > FAR * (high - low):  # also where they are one number, but only rounded
                lane.offset, mended = lane.offset + low, True
    return mended
