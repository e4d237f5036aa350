"""A table of numbers: read from a CSV file, with every fault of the file told where it stands."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path

import polars as pl

from mlplab.data.numbers import cell_faults
from mlplab.errors import Fault, UserError, listed, nearest

DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Table:
    """Rows of Float64 columns, of which `target` is to be predicted from the others."""

    source: str
    frame: pl.DataFrame
    target: str

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
        remedy = f"did you mean data.target={near[0]}?" if near else "name one of them: data.target=…"
        raise UserError(
            Fault(f"has no column '{target}'; its columns are {listed(header)}", str(path), remedy=remedy)
        )
    try:
        frame = pl.read_csv(path, schema=dict.fromkeys(header, pl.Float64))
    except pl.exceptions.PolarsError as error:
        raise UserError(*_faults(path, header, target)) from error
    if frame.height == 0:
        raise UserError(Fault("has a header but no rows", str(path), remedy="give it rows of data"))
    if frame.width < 2:
        raise UserError(Fault(f"has no column but the target '{target}'", str(path)))
    finite = frame.select(pl.all_horizontal(pl.all().is_finite().fill_null(False)).all()).item()
    if not finite:
        raise UserError(*_faults(path, header, target))
    return Table(str(path), frame, target)


def scan(path: Path, where: str) -> tuple[pl.LazyFrame, list[str]]:
    """A CSV or Parquet file's rows, those of CSV as the text they are, and its columns.

    Raises:
        UserError: if there is no such file, or its beginning cannot be read.
    """
    if not is_parquet(path):
        names = read_header(path)
        return pl.scan_csv(path, infer_schema=False), names
    _check_is_file(path)
    try:
        rows = pl.scan_parquet(path)
        return rows, rows.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(Fault(f"cannot be read as Parquet: {_first_line(error)}", where)) from error


def is_parquet(path: Path | str) -> bool:
    """Whether a file is Parquet, by its ending."""
    return Path(path).suffix.lower() in (".parquet", ".pq")


def _check_is_file(path: Path) -> None:
    where = str(path)
    if path.is_dir():
        raise UserError(Fault("is a folder, not a file", where, remedy="name a CSV file in it"))
    if not path.exists():
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
    try:
        header = pl.read_csv(path, n_rows=0, infer_schema=False).columns
    except pl.exceptions.NoDataError:
        raise UserError(Fault("is empty", where, expected="a header line and rows of numbers")) from None
    except (pl.exceptions.PolarsError, OSError, UnicodeError) as error:
        raise UserError(Fault(f"cannot be read as CSV: {_first_line(error)}", where)) from error
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


def _faults(path: Path, header: Sequence[str], target: str) -> list[Fault]:
    """What is wrong with a file that does not read as finite numbers; looks at every line."""
    faults = text_faults(path, len(header))
    if not faults:
        text = pl.read_csv(path, infer_schema=False)
        faults = cell_faults(text, header, str(path), target=target, missing=False)
    return faults or [Fault("cannot be read as CSV of numbers", str(path))]


def text_faults(path: Path, width: int) -> list[Fault]:
    """What is wrong with a file as text in lines of `width` fields; reads all of it."""
    with path.open("rb") as file:
        for line, content in enumerate(file, 1):
            try:
                content.decode("utf-8")
            except UnicodeDecodeError as error:
                return [
                    Fault(
                        f"byte {content[error.start]:#04x} is not UTF-8 text",
                        f"{path}, line {line}",
                        remedy="save the file with the encoding UTF-8",
                    )
                ]
    return _ragged(path, width)


def _ragged(path: Path, width: int) -> list[Fault]:
    """The lines with more or fewer fields than the header."""
    faults: list[Fault] = []
    count = 0
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.reader(file)
        for fields in reader:
            if fields and len(fields) != width:
                count += 1
                if len(faults) < 3:
                    faults.append(
                        Fault(
                            f"the line has {len(fields)} fields, the header {width}",
                            f"{path}, line {reader.line_num}",
                            remedy="give every line as many fields as the header; quote text with commas",
                        )
                    )
    if count > len(faults):
        faults[-1] = Fault(f"and {count - 2} more lines of another length than the header", str(path))
    return faults


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
