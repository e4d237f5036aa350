"""The files that a path names, as one source of rows."""

import glob
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

from mlplab.data.io.csv_source import CsvSource
from mlplab.data.io.decompression import plain_text
from mlplab.data.io.dialect import CsvOptions
from mlplab.data.io.parquet_source import ParquetSource
from mlplab.data.io.same_columns import title
from mlplab.data.io.source import Source
from mlplab.errors import Fault, UserError, nearest

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".tsv", ".txt")
PACKED = (".gz", ".zst")


@contextmanager
def opened(path: str | Path, given: CsvOptions | None = None, where: str = "") -> Iterator[Source]:
    """The rows of a CSV or Parquet file, plain or packed, of a folder of such files, or of those that a
    pattern like `part-*.csv` names.

    Args:
        given: how CSV text is written, as far as the user says.
        where: what messages call it; its path if empty.

    Raises:
        UserError: if there is no such file, its beginning cannot be read, or its files differ in columns.
    """
    paths = _found(Path(path))
    where = where or str(path)
    if is_parquet(paths[0]):
        yield ParquetSource(where, paths)
        return
    given = given or CsvOptions()
    with ExitStack() as files:
        texts = [
            files.enter_context(plain_text(each, given.encoding, title(each, paths, where))) for each in paths
        ]
        yield CsvSource(where, paths, texts, given)


def is_parquet(path: Path | str) -> bool:
    """Whether a file is Parquet, by its ending."""
    return Path(path).suffix.lower() in PARQUET


def _found(path: Path) -> list[Path]:
    """The files that a path names, in the order of their names."""
    where = str(path)
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:
        raise UserError(Fault(f"cannot be looked at: {error.strerror}", f"{where[:60]}…")) from error
    if exists and not is_folder:
        if not path.is_file():
            raise UserError(
                Fault("is no file, which can be read twice", where, remedy="save it as one first")
            )
        return [path]
    if is_folder:
        found = [entry for entry in sorted(path.iterdir()) if _ending(entry) in (*CSV, *PARQUET)]
        what, remedy = "is a folder without CSV or Parquet files", "name a file, or a folder of such"
    elif glob.has_magic(where):
        found = [Path(name) for name in sorted(glob.glob(where)) if Path(name).is_file()]  # noqa: PTH207 - may be absolute
        what, remedy = "no file is called so", "check the pattern"
    else:
        parent = path.parent if path.parent.is_dir() else Path()
        near = nearest(path.name, [entry.name for entry in parent.iterdir()])
        remedy = f"did you mean {parent / near[0]}?" if near else f"relative paths start at {Path.cwd()}"
        found, what = [], "no such file"
    if not found:
        raise UserError(Fault(what, where, remedy=remedy))
    for one, other in pairwise(found):
        if is_parquet(one) != is_parquet(other):
            what = f"holds CSV and Parquet, as {one.name} and {other.name}"
            raise UserError(
                Fault(what, where, remedy="take those of one kind: a pattern such as 'folder/*.csv'")
            )
    return found


def _ending(path: Path) -> str:
    """A file's ending, below that of an archive."""
    return Path(path.stem if path.suffix.lower() in PACKED else path.name).suffix.lower()
