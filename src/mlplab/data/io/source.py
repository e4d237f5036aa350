"""The rows of a table, scanned block by block: of a frame, or of the files that a path names."""

import glob
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

import numpy as np
import polars as pl

from mlplab.config import DETECT, CsvFormat
from mlplab.data.cells.parse import DataType, is_text, named
from mlplab.data.io.csv_file import CsvFile, Scan
from mlplab.data.io.decompression import DECODERS, plain_text
from mlplab.data.io.dialect import ROW_INDEX
from mlplab.errors import Fault, UserError, did_you_mean, listed, nearest, refusal

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".tsv", ".txt")
TABLES = (*PARQUET, *CSV, *(f"{suffix}{packed}" for suffix in CSV for packed in DECODERS))

MAX_PARQUET_BYTES = 2**30  # bytes to which any Parquet file may expand; larger ones 200-fold


class Source:
    """The rows of a table: of one or several scans with the same columns, one after another.

    Raises:
        UserError: if the columns of a file differ from those of the first.
    """

    def __init__(self, where: str, scans: Sequence[Scan], paths: Sequence[Path] = ()) -> None:
        _check_same_columns(scans)
        self.where, self.paths, self._scans = where, paths, scans
        self.dialect = scans[0].dialect
        self.decimal_comma = self.dialect is not None and self.dialect.decimal == ","
        self.rows = pl.concat([scan.rows for scan in scans], how="vertical_relaxed")
        self.schema: Mapping[str, DataType] = self.rows.collect_schema()
        self.names = [name for name in self.schema if name != ROW_INDEX]

    @classmethod
    def of_frame(cls, where: str, frame: pl.DataFrame) -> "Source":
        """The rows of a frame."""
        return cls(where, [Scan(where, frame.lazy())])

    @property
    def height(self) -> int:
        """The number of scanned rows, blank lines of CSV included."""
        return sum(scan.height for scan in self._scans)

    def blocks(
        self,
        rows: int,
        columns: Iterable[str] | None = None,
        floats: Collection[str] = (),
        na_values: Collection[str] = (),
    ) -> Iterator[pl.DataFrame]:
        """Yields rows without blank lines, up to `rows` at a time.

        The last column is always read, since it shows which lines are blank or too short.

        Args:
            floats: columns of CSV to parse as Float64.
            na_values: cells of CSV that are null.

        Raises:
            UserError: if the text of a file is faulty.
            PolarsError: if a cell of `floats` is not a number.
        """
        last, start, checked = list(self.schema)[-1], 0, False
        names = dict.fromkeys([*(self.schema if columns is None else columns), last])
        scans = [scan.with_floats(floats, na_values) for scan in self._scans]
        all_rows = pl.concat(scans, how="vertical_relaxed")
        chosen = all_rows.select(map(named, names))
        try:
            for scanned in chosen.collect_batches(chunk_size=rows, lazy=True, maintain_order=True):
                frame = scanned
                if frame[last].null_count():
                    frame = self._without_blank_lines(scanned, start)
                    if frame[last].null_count() and not checked:  # a line may be too short
                        checked = True
                        self.check_lines()
                start += scanned.height
                yield frame.rechunk()  # wide tables come in chunks of few rows; each operation pays for each
        except pl.exceptions.PolarsError as error:
            if floats:
                raise
            self.explain(error)

    def _without_blank_lines(self, frame: pl.DataFrame, start: int) -> pl.DataFrame:
        empty = frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
        if not empty.any():  # finding blank lines reads the files again
            return frame
        starts = np.cumsum([0, *(scan.height for scan in self._scans[:-1])])
        blank = [first + scan.blank_rows for first, scan in zip(starts, self._scans, strict=True)]
        return frame.filter(~np.isin(np.arange(start, start + frame.height), np.concatenate(blank)))

    def explain(self, error: Exception) -> NoReturn:
        """Raises what is behind a polars error during scanning as a UserError."""
        self.check_lines()
        raise UserError(Fault(f"cannot be read: {first_line(error)}", self.where)) from error

    def check_lines(self) -> None:
        """Checks the lines of all CSV files; raises what `Scan.check_lines` raises."""
        for scan in self._scans:
            scan.check_lines()

    def location(self, row: int, column: str) -> str:
        """How messages refer to a cell; rows are counted from 0, without blank lines."""
        scan, *rest = self._scans
        while rest and row >= (height := scan.height - len(scan.blank_rows)):
            row, (scan, *rest) = row - height, rest
        return scan.location(row, column)


@contextmanager
def opened(path: str | Path, options: CsvFormat = DETECT, where: str = "") -> Iterator[Source]:
    """Opens a CSV or Parquet file, a folder of such files, or all files that match `part-*.csv` or the like.

    Raises:
        UserError: if there is no such file, its beginning cannot be read, the files differ in columns, or the
            path is an address of the web.
    """
    where = where or str(path)
    if "://" in where:
        raise refusal("is an address, and not a file", where, "download it first, and give the file")
    paths = _files(Path(path))
    with ExitStack() as files:
        scans: list[Scan] = []
        for file in paths:
            title = where if len(paths) == 1 else str(file)
            if is_parquet(file):
                scans.append(_parquet_scan(title, file))
            else:
                text = files.enter_context(plain_text(file, options.encoding, title))
                scans.append(CsvFile(title, text, options, scans[0].dialect if scans else None))
        yield Source(where, scans, paths)


def is_parquet(path: Path | str) -> bool:
    """Whether a file's name has the suffix of a Parquet file."""
    return Path(path).suffix.lower() in PARQUET


def _parquet_scan(where: str, path: Path) -> Scan:
    try:
        scan = Scan(where, pl.scan_parquet(path, glob=False))
        expanded, size = 8 * len(scan.schema) * scan.height, path.stat().st_size
    except (pl.exceptions.PolarsError, OSError) as error:
        what = f"cannot be read as Parquet: {first_line(error)}"
        raise refusal(what, where, "copy it again; if it is CSV, let it end in .csv") from error
    # A bomb is a small file that expands to fill the memory.
    if expanded > max(MAX_PARQUET_BYTES, 200 * size):
        what = f"expands from {size:,} bytes to about {expanded / 2**30:,.0f} GiB"
        raise refusal(what, where, "split it into several files, or save it as CSV")
    return scan


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.name.lower().endswith(TABLES)]
        what, remedy = "is a folder without CSV or Parquet files", "give a file, or a folder with such files"
    elif path.exists():
        files = [path] if path.is_file() else []
        what, remedy = "is not a regular file", "save it as a file first"  # a pipe cannot be read twice
    elif files := [Path(name) for name in sorted(glob.glob(str(path))) if Path(name).is_file()]:  # noqa: PTH207 - may be absolute
        what = remedy = ""
    else:
        folder = path.parent if path.parent.is_dir() else Path()
        near = [str(folder / name) for name in nearest(path.name, [file.name for file in folder.iterdir()])]
        remedy = did_you_mean(near, otherwise=f"relative paths start at {Path.cwd()}")
        what = "no such file"
    if not files:
        raise refusal(what, path, remedy)
    return files


def first_line(error: Exception) -> str:
    """The message of a polars error without its hints."""
    return str(error).strip().partition("\n")[0]


def _check_same_columns(scans: Sequence[Scan]) -> None:
    for scan in scans[1:]:
        expected, found = _columns(scans[0], scan), _columns(scan, scans[0])
        if found != expected:
            more = listed(name for name in found if name not in expected)
            lacks = listed(name for name in expected if name not in found)
            what = f"has different columns than {scans[0].where}, or has them in a different order"
            raise UserError(Fault(what, scan.where, more, lacks, "give all files the same columns"))


def _columns(scan: Scan, other: Scan) -> list[str]:
    """Names and families of types; a column of nulls has the type that it has in the other scan."""
    types = {name: other.schema.get(name, t) if t == pl.Null else t for name, t in scan.schema.items()}
    return [f"{name or 'no name'} ({_family(dtype)})" for name, dtype in types.items()]


def _family(dtype: DataType) -> str:
    """The family of a type; types of the same family can be read together."""
    of_text = is_text(dtype) and dtype != pl.Time
    return "number" if dtype.is_numeric() else "text" if of_text else str(dtype.base_type())
