"""Finds the files that a path names, and opens them as one source of rows."""

import glob
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

from mlplab.data.io.csv_source import CsvSource
from mlplab.data.io.decompression import plain_text
from mlplab.data.io.dialect import CsvOptions
from mlplab.data.io.multi_file_source import MultiFileSource
from mlplab.data.io.parquet_source import ParquetSource
from mlplab.data.io.source import Source
from mlplab.errors import Fault, UserError, did_you_mean, nearest

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".tsv", ".txt")
COMPRESSED = (".gz", ".zst")


@contextmanager
def opened(path: str | Path, options: CsvOptions | None = None, where: str = "") -> Iterator[Source]:
    """Opens a CSV or Parquet file, a folder of such files, or all files that match `part-*.csv` or the like.

    Args:
        path: the file, folder or pattern.
        options: the CSV format, as set by the user.
        where: the name in messages; by default, the path.

    Raises:
        UserError: if there is no such file, its beginning cannot be read, or the files differ in columns.
    """
    paths = _files(Path(path))
    where, options = where or str(path), options or CsvOptions()
    with ExitStack() as files:
        parts: list[Source] = []
        for each in paths:
            title = where if len(paths) == 1 else str(each)
            if is_parquet(each):
                parts.append(ParquetSource(each, title))
            else:
                text = files.enter_context(plain_text(each, options.encoding, title))
                parts.append(CsvSource(each, text, options, title, parts[0].dialect if parts else None))
        yield parts[0] if len(parts) == 1 else MultiFileSource(parts, where)


def is_parquet(path: Path | str) -> bool:
    """Whether a file's name has the suffix of a Parquet file."""
    return Path(path).suffix.lower() in PARQUET


def _files(path: Path) -> list[Path]:
    """Finds the files that a path names, sorted by name."""
    where = str(path)
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:
        raise UserError(Fault(f"cannot be read: {error.strerror}", f"{where[:60]}…")) from error
    if exists and not is_folder:
        if not path.is_file():  # a pipe, which cannot be read twice
            raise UserError(Fault("is not a regular file", where, remedy="save it as a file first"))
        return [path]
    if is_folder:
        found = [entry for entry in sorted(path.iterdir()) if _ending(entry) in (*CSV, *PARQUET)]
        what, remedy = "is a folder without CSV or Parquet files", "give a file, or a folder with such files"
    elif glob.has_magic(where):
        found = [Path(name) for name in sorted(glob.glob(where)) if Path(name).is_file()]  # noqa: PTH207 - may be absolute
        what, remedy = "no file matches", "check the pattern"
    else:
        parent = path.parent if path.parent.is_dir() else Path()
        near = nearest(path.name, [entry.name for entry in parent.iterdir()])
        remedy = did_you_mean(
            [str(parent / each) for each in near], "", f"relative paths start at {Path.cwd()}"
        )
        found, what = [], "no such file"
    if not found:
        raise UserError(Fault(what, where, remedy=remedy))
    for one, other in pairwise(found):
        if is_parquet(one) != is_parquet(other):
            what = f"contains both CSV and Parquet, such as {one.name} and {other.name}"
            raise UserError(
                Fault(what, where, remedy="choose one format by a pattern such as 'folder/*.csv'")
            )
    return found


def _ending(path: Path) -> str:
    """The suffix of a file's name, without that of compression."""
    return Path(path.stem if path.suffix.lower() in COMPRESSED else path.name).suffix.lower()
