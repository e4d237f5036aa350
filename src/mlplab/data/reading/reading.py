"""A source's rows as numbers, in one pass over blocks of them.

How a column is to be read is guessed from the first rows. Where others turn out not to be so, the pass is
begun again, with closer looks, until all is understood.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from jaxtyping import Float, Float64

from mlplab.data.cells import LONGEST_INTEGER, NOTHING, DataType, is_text, named
from mlplab.data.reading.extent import BadCells, Extent
from mlplab.data.reading.kinds import kind_of_text
from mlplab.data.reading.readers import ColumnReader, form_of, nothing_known, readers_of
from mlplab.data.reading.spec import TableSpec
from mlplab.data.sources.source import Source
from mlplab.data.table import BLOCK
from mlplab.errors import UserError

Allocate = Callable[[str, tuple[int, int], type[np.floating]], np.ndarray]
"""Makes the memory of a matrix: by a name, its rows and columns, and the type of its numbers."""

FAR = 1000
"""Times its spread, that a column's values may be away from 0 before digits are lost."""


@dataclass
class Reading:
    """All rows of a source as its readers give them.

    Attributes:
        features: a column for each feature of the input readers.
        others: one for each other reader.
        columns: of each reader, its columns in the one or the other.
        bad_cells: of each reader.
    """

    readers: list[ColumnReader]
    features: Float[np.ndarray, "row feature"]
    others: Float64[np.ndarray, "row other"]
    columns: list[slice]
    of_features: Extent
    of_others: Extent
    bad_cells: list[BadCells] = field(default_factory=list)
    rows: int = 0

    def extent(self, place: int) -> Extent:
        """Of a reader's columns."""
        whole = self.of_features if self.readers[place].role == "input" else self.of_others
        columns = self.columns[place]
        return Extent(whole.missing[columns], whole.low[columns], whole.high[columns])

    def filled(self, place: int) -> int:
        """Rows in which a reader has a value."""
        return self.rows - int(self.extent(place).missing[0])


def read(
    source: Source,
    spec: TableSpec,
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
    readers, sample = readers_of(source, spec)
    nulls, careful = _nulls(source, sample, spec), False
    while True:
        try:
            reading = _read(source, readers, spec, dtype, allocate, progress, careful=careful, nulls=nulls)
        except pl.exceptions.PolarsError as error:
            faults = source.faults(error) if careful else source.line_faults()
            if faults:
                raise UserError(*faults) from error
            careful = True
            continue
        if any(reader.holds_nul() for reader in readers) and (faults := source.line_faults()):
            raise UserError(*faults)
        if not careful and _is_doubtful(reading):
            careful = True
        elif not _mended(reading, spec, source):
            return reading


def _read(
    source: Source,
    readers: Sequence[ColumnReader],
    spec: TableSpec,
    dtype: type[np.floating],
    allocate: Allocate,
    progress: Callable[[int], None],
    *,
    careful: bool,
    nulls: Sequence[str],
) -> Reading:
    """One pass. `careful` reads CSV as text, to tell what cells hold that are no numbers."""
    floats = set() if careful else _only_numbers(source, readers)
    kinds = dict(source.schema) | dict.fromkeys(floats, pl.Float64())
    last = list(source.schema)[-1]
    reading, read_as = _prepared(readers, kinds, spec, source, dtype, allocate)
    checked = [
        place
        for place, reader in enumerate(readers)
        if reader.form != "text" and (careful or reader.form != "number" or is_text(kinds[reader.name]))
    ]
    checks = [
        readers[place]
        .bad_cells(kinds[readers[place].name], spec.marks, comma=source.comma)
        .alias(f"bad cell {place}")
        for place in checked
    ]
    width, scanned = reading.features.shape[1], 0
    names = dict.fromkeys([*(reader.name for reader in readers), last])
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
            reading.bad_cells[place].add(frame[f"bad cell {place}"], start, scanned_as)
        reading.rows, scanned = stop, scanned + height
        progress(stop)
    if any_short and (faults := source.line_faults()):
        raise UserError(*faults)
    for reader, bad_cells in zip(readers, reading.bad_cells, strict=True):
        if bad_cells.count:
            cell = source.scan().select(named(reader.name)).slice(bad_cells.scanned, 1)
            bad_cells.text = str(cell.collect().item())
    reading.features, reading.others = reading.features[: reading.rows], reading.others[: reading.rows]
    return reading


def _prepared(
    readers: Sequence[ColumnReader],
    kinds: dict[str, DataType],
    spec: TableSpec,
    source: Source,
    dtype: type[np.floating],
    allocate: Allocate,
) -> tuple[Reading, list[pl.Expr]]:
    """An empty reading, and the expressions of its columns, features first."""
    numbers = pl.Float64 if dtype is np.float64 else pl.Float32
    features: list[pl.Expr] = []
    others: list[pl.Expr] = []
    columns = []
    for reader in readers:
        reader.known = nothing_known()
        each = reader.features(kinds[reader.name], spec.marks, comma=source.comma)
        whole = features if reader.role == "input" else others
        columns.append(slice(len(whole), len(whole) + len(each)))
        whole += [one.cast(numbers) for one in each] if reader.role == "input" else each
    height = source.rows()
    reading = Reading(
        list(readers),
        allocate("features", (height, len(features)), dtype),
        allocate("others", (height, len(others)), np.float64),
        columns,
        Extent.of_nothing(len(features)),
        Extent.of_nothing(len(others)),
        [BadCells() for _ in readers],
    )
    return reading, [each.alias(f"{place}") for place, each in enumerate((*features, *others))]


def _only_numbers(source: Source, readers: Sequence[ColumnReader]) -> set[str]:
    """Columns of text that are read as numbers and as nothing else. With a decimal comma none is: polars
    would take points for decimal ones too."""
    if source.comma:
        return set()
    others = {reader.name for reader in readers if reader.form != "number"}
    return {reader.name for reader in readers if source.schema[reader.name] == pl.String} - others


def _nulls(source: Source, sample: pl.DataFrame, spec: TableSpec) -> list[str]:
    """Words for missing values, in the spelling that they have in the sample."""
    found: set[str] = set()
    for name, kind in source.schema.items():
        if kind == pl.String:
            cells = sample[name].alias("").drop_nulls().unique()
            found |= set(cells.filter(cells.str.strip_chars().str.to_lowercase().is_in(NOTHING)))
    return sorted((found - {""}) | set(spec.marks))


def _is_doubtful(reading: Reading) -> bool:
    """Whether there are infinite numbers, or such large ones that as integers they may have lost digits."""
    for place, reader in enumerate(reading.readers):
        extent = reading.extent(place)
        if extent.infinite(reading.rows).any():
            return True
        if reader.form == "number" and reading.filled(place):
            low, high = extent.low[0] + reader.offset, extent.high[0] + reader.offset
            if max(-low, high) >= LONGEST_INTEGER / 2:
                return True
    return False


def _mended(reading: Reading, spec: TableSpec, source: Source) -> bool:
    """Whether a column must be read in another way than it was; its reader is set to it."""
    mended = False
    for place, reader in enumerate(reading.readers):
        filled, extent, bad_cells = (
            reading.filled(place),
            reading.extent(place),
            reading.bad_cells[place].count,
        )
        if reader.form in ("number", "date") and not reader.certain and bad_cells > filled:
            reader.form, mended = "text", True
        elif reader.form == "text" and not reader.certain:
            texts = reader.texts()
            form = form_of(kind_of_text(texts, filled, reading.rows))
            if form != "text":
                reader.form, reader.certain, mended = form, True, True
                reader.settle_days(texts, source.where)
        elif reader.form == "number" and reader.role == "input" and not spec.raw and filled:
            low, high = float(extent.low[0]), float(extent.high[0])
            if max(low, -high) > FAR * (high - low):  # also where they are one number, but only rounded
                reader.offset, mended = reader.offset + low, True
    return mended
