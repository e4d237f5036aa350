"""A table of numbers: read from a CSV file, with every fault of the file told where it stands."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.resources import as_file, files
from pathlib import Path

import polars as pl

from mlplab.data.diagnosis import number_faults, text_faults
from mlplab.errors import Fault, UserError, listed, nearest

DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}


PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "Zstandard", b"PK\x03\x04": "ZIP", b"BZh": "bzip2"}
"""How archives begin, which polars would unfold in memory whatever their size."""

UNFOLDED = 2**30
"""Bytes that a Parquet file may unfold to, however small it is."""

UNFOLDED_TIMES = 200
"""Its size, that it may unfold to."""

NOTHING = pl.all_horizontal(pl.all().is_null())
"""Rows without anything: to polars an empty line is one (most files with it end so), to us it is none."""


@dataclass(frozen=True)
class Table:
    """Rows of Float64 columns, of which `target` is to be predicted from the others."""

    source: str
    frame: pl.DataFrame
    target: str

    def fingerprint(self) -> dict[str, int | str]:
        """Number of rows, and a hash of names and values: what tells whether data are the same later."""
        digest = sha256(repr(self.frame.columns).encode())
        for column in self.frame.iter_columns():
            digest.update(column.to_numpy().data)
        return {"rows": self.frame.height, "sha256": digest.hexdigest()}

    @property
    def features(self) -> list[str]:
        """The input columns, in the order of the file."""
        return [name for name in self.frame.columns if name != self.target]


def concrete() -> Table:
    """The concrete compressive strength table of the package (see concrete.md beside it)."""
    with as_file(files(__package__) / "concrete.csv") as path:
        return replace(read_csv(path, "target"), source="concrete")


def read_csv(path: str | Path, target: str) -> Table:
    """A CSV file whose cells are all finite numbers.

    Raises:
        UserError: naming the file, and the column, line and value of what is not a finite number.
    """
    path = Path(path)
    header = read_header(path)
    if target not in header:
        near = nearest(target, header)
        typed = near[0] if near and near[0].isidentifier() else repr(near[0]) if near else ""
        remedy = f"did you mean data.target={typed}?" if near else "name one of them: data.target=…"
        raise UserError(
            Fault(f"has no column '{target}'; its columns are {listed(header)}", str(path), remedy=remedy)
        )
    try:
        frame = pl.read_csv(path, schema=dict.fromkeys(header, pl.Float64), glob=False)
    except pl.exceptions.PolarsError as error:
        raise UserError(*number_faults(path, header, target)) from error
    if frame.select(NOTHING.any()).item():
        frame = frame.filter(~NOTHING)
    if frame.height == 0:
        raise UserError(Fault("has a header but no rows", str(path), remedy="give it rows of data"))
    if frame.width < 2:
        raise UserError(Fault(f"has no column but the target '{target}'", str(path)))
    finite = frame.select(pl.all_horizontal(pl.all().is_finite().fill_null(False)).all()).item()
    if not finite:
        raise UserError(*number_faults(path, header, target))
    return Table(str(path), frame, target)


def scan(path: Path, where: str) -> tuple[pl.LazyFrame, list[str]]:
    """A CSV or Parquet file's rows, those of CSV as the text they are without empty lines, and its columns.

    Raises:
        UserError: if there is no such file, or its beginning cannot be read.
    """
    if not is_parquet(path):
        names = read_header(path)
        return pl.scan_csv(path, infer_schema=False, glob=False).filter(~NOTHING), names
    _check_is_file(path)
    try:
        rows = pl.scan_parquet(path, glob=False)
        names = rows.collect_schema().names()
        unfolded = 8 * len(names) * rows.select(pl.len()).collect().item()
        if unfolded > max(UNFOLDED, UNFOLDED_TIMES * path.stat().st_size):
            what = f"unfolds from {path.stat().st_size:,} bytes to about {unfolded / 2**30:,.0f} GiB"
            raise UserError(Fault(what, where, remedy="give its rows in parts, or as CSV"))
        return rows, names
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(Fault(f"cannot be read as Parquet: {_first_line(error)}", where)) from error


@contextmanager
def faults_told(path: Path, width: int, where: str) -> Iterator[None]:
    """Turns what polars raises while it reads a file of `width` columns into what is wrong with the file."""
    try:
        yield
    except pl.exceptions.PolarsError as error:
        faults = [] if is_parquet(path) else text_faults(path, width)
        raise UserError(*(faults or [Fault(f"cannot be read: {_first_line(error)}", where)])) from error


def is_parquet(path: Path | str) -> bool:
    """Whether a file is Parquet, by its ending."""
    return Path(path).suffix.lower() in (".parquet", ".pq")


def _check_is_file(path: Path) -> None:
    where = str(path)
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:
        raise UserError(Fault(f"cannot be looked at: {error.strerror}", f"{where[:60]}…")) from error
    if is_folder:
        raise UserError(Fault("is a folder, not a file", where, remedy="name a file in it"))
    if not exists:
        parent = path.parent if path.parent.is_dir() else Path()
        near = nearest(path.name, [entry.name for entry in parent.iterdir()])
        remedy = f"did you mean {parent / near[0]}?" if near else f"relative paths start at {Path.cwd()}"
        raise UserError(Fault("no such file", where, remedy=remedy))


def read_header(path: Path) -> list[str]:
    """The names of a CSV file's columns.

    Raises:
        UserError: if there is no such file, or no header line in it.
    """
    _check_is_file(path)
    where = str(path)
    with path.open("rb") as file:
        beginning = file.read(4)
    for magic, name in PACKED.items():
        if beginning.startswith(magic):
            raise UserError(Fault(f"is a {name} archive, not text", where, remedy="unpack it first"))
    try:
        header = pl.read_csv(path, n_rows=0, infer_schema=False, glob=False).columns
    except pl.exceptions.NoDataError:
        raise UserError(Fault("is empty", where, expected="a header line and rows of numbers")) from None
    except (pl.exceptions.PolarsError, OSError, UnicodeError) as error:
        raise UserError(Fault(f"cannot be read as CSV: {_first_line(error)}", where)) from error
    for name in header:
        first, renamed, _ = name.rpartition("_duplicated_")
        if renamed and first in header:
            raise UserError(Fault(f"has two columns '{first}'", where, remedy="give each a name of its own"))
    if len(header) == 1:
        for mark, name in DELIMITERS.items():
            if mark in header[0]:
                raise UserError(
                    Fault(
                        "the columns seem to be separated by " + name,
                        where,
                        found=f"one column '{header[0]}'",
                        expected="columns separated by commas",
                        remedy="save the file with commas between its columns",
                    )
                )
    return header


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
