"""A source's rows as numbers, in one pass over blocks of them.

How a column is to be read is guessed from the first rows. Where others turn out not to be so, the pass is
begun again, with closer looks, until all is understood.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from jaxtyping import Float, Float64, Int64

from mlplab.data.infer.column_readers import ColumnReader, form_of, nothing_known, readers_of
from mlplab.data.infer.column_statistics import BadCells, ColumnStatistics
from mlplab.data.infer.date_checks import warn_about_numbers, warn_about_years
from mlplab.data.infer.kinds import kind_of_text
from mlplab.data.infer.table_spec import TableSpec
from mlplab.data.io.source import Source
from mlplab.data.parse import LONGEST_INTEGER, NA_VALUES, cells_of, is_text, named
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
    of_features: ColumnStatistics
    of_others: ColumnStatistics
    bad_cells: list[BadCells] = field(default_factory=list)
    rows: int = 0

    def extent(self, place: int) -> ColumnStatistics:
        """Of a reader's columns."""
        whole = self.of_features if self.readers[place].role == "input" else self.of_others
        columns = self.columns[place]
        return ColumnStatistics(whole.missing[columns], whole.low[columns], whole.high[columns])

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
            _warn(reading, sample, spec, source)
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
    last = list(source.schema)[-1]
    names = dict.fromkeys([*(reader.name for reader in readers), last])
    reading = _prepared(readers, spec, source, dtype, allocate)
    scanned, any_short = 0, False
    rows = source.scan(floats, nulls if floats else ()).select(map(named, names))
    for frame in rows.collect_batches(chunk_size=BLOCK, lazy=True, maintain_order=True):
        first, scanned = scanned, scanned + frame.height
        scanned_as = np.arange(first, scanned)
        if frame[last].null_count():
            filled = source.is_row(frame, first)
            frame, scanned_as = frame.filter(filled), scanned_as[filled]
            any_short = any_short or frame[last].null_count() > 0
        _take(reading, frame, scanned_as, spec, source, careful=careful)
        progress(reading.rows)
    if any_short and (faults := source.line_faults()):
        raise UserError(*faults)
    for reader, bad_cells in zip(readers, reading.bad_cells, strict=True):
        if bad_cells.count:
            cell = source.scan().select(named(reader.name)).slice(bad_cells.scanned, 1)
            bad_cells.text = str(cell.collect().item())
    reading.features, reading.others = reading.features[: reading.rows], reading.others[: reading.rows]
    return reading


def _take(
    reading: Reading,
    frame: pl.DataFrame,
    scanned: Int64[np.ndarray, " row"],
    spec: TableSpec,
    source: Source,
    *,
    careful: bool,
) -> None:
    """Adds rows that were scanned as these."""
    start, reading.rows = reading.rows, reading.rows + frame.height
    features: list[pl.Series] = []
    others: list[pl.Series] = []
    for reader, found in zip(reading.readers, reading.bad_cells, strict=True):
        cells = cells_of(frame, reader.name)
        checked = careful or reader.form != "number" or is_text(cells.dtype)
        each, bad = reader.read(cells, spec.na_values, decimal_comma=source.decimal_comma, checked=checked)
        (features if reader.role == "input" else others).extend(each)
        found.add(bad, start, scanned)
    for matrix, extent, columns in (
        (reading.features, reading.of_features, features),
        (reading.others, reading.of_others, others),
    ):
        if columns:
            dtype = pl.Float64 if matrix.dtype == np.float64 else pl.Float32
            numbers = [each.cast(dtype).alias(f"{place}") for place, each in enumerate(columns)]
            values = pl.DataFrame(numbers).to_numpy()
            extent.add(values)  # column by column, as it lies here, in a tenth of the time
            matrix[start : reading.rows] = values


def _prepared(
    readers: Sequence[ColumnReader],
    spec: TableSpec,
    source: Source,
    dtype: type[np.floating],
    allocate: Allocate,
) -> Reading:
    """An empty reading."""
    columns = []
    widths = {"features": 0, "others": 0}
    for reader in readers:
        reader.known = nothing_known()
        matrix = "features" if reader.role == "input" else "others"
        start = widths[matrix]
        widths[matrix] += reader.width
        columns.append(slice(start, widths[matrix]))
    height = source.height
    return Reading(
        list(readers),
        allocate("features", (height, widths["features"]), dtype),
        allocate("others", (height, widths["others"]), np.float64),
        columns,
        ColumnStatistics.of_nothing(widths["features"]),
        ColumnStatistics.of_nothing(widths["others"]),
        [BadCells() for _ in readers],
    )


def _warn(reading: Reading, sample: pl.DataFrame, spec: TableSpec, source: Source) -> None:
    for place, reader in enumerate(reading.readers):
        extent = reading.extent(place)
        if reading.filled(place) and not reading.bad_cells[place].count:
            low, high = (float(each[0]) + reader.offset for each in (extent.low, extent.high))
            warn_about_years(reader, low, high, source)
            warn_about_numbers(reader, low, high, sample, spec, source)


def _only_numbers(source: Source, readers: Sequence[ColumnReader]) -> set[str]:
    """Columns of text that are read as numbers and as nothing else. With a decimal comma none is: polars
    would take points for decimal ones too."""
    if source.decimal_comma:
        return set()
    others = {reader.name for reader in readers if reader.form != "number"}
    return {reader.name for reader in readers if source.schema[reader.name] == pl.String} - others


def _nulls(source: Source, sample: pl.DataFrame, spec: TableSpec) -> list[str]:
    """Words for missing values, in the spelling that they have in the sample."""
    found: set[str] = set()
    for name, kind in source.schema.items():
        if kind == pl.String:
            cells = cells_of(sample, name).drop_nulls().unique()
            found |= set(cells.filter(cells.str.strip_chars().is_in(NA_VALUES)))
    return sorted((found - {""}) | set(spec.na_values))


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
