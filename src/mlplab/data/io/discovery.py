"""Finds the files that a path names, and opens them as one source of rows."""

import glob
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import polars as pl

from mlplab.config import DETECT, CsvFormat
from mlplab.data.io.csv_file import CsvFile
from mlplab.data.io.decompression import DECODERS, plain_text
from mlplab.data.io.source import Scan, Source, first_line
from mlplab.errors import did_you_mean, nearest, refusal

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".tsv", ".txt")
TABLES = (*PARQUET, *CSV, *(f"{suffix}{packed}" for suffix in CSV for packed in DECODERS))

MAX_PARQUET_BYTES = 2**30  # bytes to which any Parquet file may expand
MAX_PARQUET_RATIO = 200  # factor by which a larger file may expand


@contextmanager
def opened(path: str | Path, options: CsvFormat = DETECT, where: str = "") -> Iterator[Source]:
    """Opens a CSV or Parquet file, a folder of such files, or all files that match `part-*.csv` or the like.

    Raises:
        UserError: if there is no such file, its beginning cannot be read, or the files differ in columns.
    """
    paths = _files(Path(path))
    where = where or str(path)
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
    """The rows of a Parquet file.

    Raises:
        UserError: if it cannot be read, or is a bomb: a small file that expands to fill the memory.
    """
    try:
        scan = Scan(where, pl.scan_parquet(path, glob=False))
        expanded, size = 8 * len(scan.schema) * scan.height, path.stat().st_size
    except (pl.exceptions.PolarsError, OSError) as error:
        what = f"cannot be read as Parquet: {first_line(error)}"
        raise refusal(what, where, "copy it again; if it is CSV, let it end in .csv") from error
    if expanded > max(MAX_PARQUET_BYTES, MAX_PARQUET_RATIO * size):
        what = f"expands from {size:,} bytes to about {expanded / 2**30:,.0f} GiB"
        raise refusal(what, where, "split it into several files, or save it as CSV")
    return scan


def _files(path: Path) -> list[Path]:
    """Finds the files that a path names, sorted by name."""
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
