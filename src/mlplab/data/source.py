"""Where a table's rows come from: CSV text, Parquet, or a frame in memory."""

import glob
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import polars as pl
from typing_extensions import override

from mlplab.data.cells import DataType, is_text, named
from mlplab.data.dialect import Dialect, Given, header_names, look
from mlplab.data.lines import blank_lines, line_faults, record_lines
from mlplab.data.unfold import plain_text
from mlplab.errors import Fault, UserError, listed, nearest

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".tsv", ".txt")
PACKED = (".gz", ".zst")

Schema = Mapping[str, DataType]

SAMPLE = 4096
"""Rows at a table's beginning by which it is decided how to read the others."""

PARSED = "1000000"
"""Bytes of text that polars parses at a time: its own choice takes 200 MB for what is under way, and longer.
It does not promise to heed this (2.1 does); where it does not, nothing is lost but that."""

UNFOLDED = 2**30
"""Bytes that a Parquet file may unfold to, however small it is."""

UNFOLDED_TIMES = 200
"""Its size, that it may unfold to."""


class Source:
    """Rows with named columns: those of a frame, if it is not a subclass for files.

    Attributes:
        where: what messages call it.
        schema: the columns, with their types; those of CSV are text.
        comma: whether its text has a decimal comma.
        paths: the files it is read from, as the user has them.
        written: how its text is written, if it is text.
    """

    schema: Schema
    comma = False
    paths: Sequence[Path] = ()
    written: Dialect | None = None

    def __init__(self, where: str, frame: pl.DataFrame) -> None:
        self.where, self._frame = where, frame
        self.schema = frame.schema

    def rows(self) -> int:
        """How many there are at most."""
        return self._frame.height

    def scan(self, floats: Collection[str] = (), nulls: Sequence[str] = ()) -> pl.LazyFrame:
        """All rows; of CSV these columns as numbers, which is fast but stops at what is none, and these words
        as missing values."""
        return self._frame.lazy()

    def faults(self, error: Exception) -> list[Fault]:
        """What is wrong, if scanning has raised this."""
        return [Fault(f"cannot be read: {first_line(error)}", self.where)]

    def line_faults(self) -> list[Fault]:
        """Lines of text with too many fields or too few, and what is no text."""
        return []

    def blanks(self) -> Sequence[int]:
        """Which of the scanned rows are none, having nothing in them, not even a separator."""
        return []

    def place(self, row: int, column: str) -> str:
        """Where a cell stands, its row counted from 0 without blanks."""
        return f"{self.where}, {column}, data row {row + 1}"


@contextmanager
def opened(path: str | Path, given: Given | None = None, where: str = "") -> Iterator[Source]:
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
    given = given or Given()
    with ExitStack() as files:
        texts = [
            files.enter_context(plain_text(each, given.encoding, _of(each, paths, where))) for each in paths
        ]
        yield CsvSource(where, paths, texts, given)


def is_parquet(path: Path | str) -> bool:
    """Whether a file is Parquet, by its ending."""
    return Path(path).suffix.lower() in PARQUET


def _of(path: Path, paths: Sequence[Path], where: str) -> str:
    """What messages call one of several files."""
    return where if len(paths) == 1 else str(path)


class CsvSource(Source):
    """Rows of CSV text."""

    def __init__(self, where: str, paths: Sequence[Path], texts: Sequence[Path], given: Given) -> None:
        os.environ.setdefault("POLARS_CSV_CHUNK_SIZE", PARSED)
        self.where, self.paths, self._texts = where, paths, texts
        self.names_of_files = [_of(path, paths, where) for path in paths]
        self.written = self.dialect = look(texts[0], given, self.names_of_files[0])
        self.comma = self.dialect.decimal == ","
        names = header_names(texts[0], self.dialect, self.names_of_files[0])
        self.schema = dict.fromkeys(names, pl.String())
        for text, file in zip(texts[1:], self.names_of_files[1:], strict=True):
            other = dict.fromkeys(header_names(text, self.dialect, file), pl.String())
            _check_alike(self.schema, other, file, self.names_of_files[0])

    @override
    def rows(self) -> int:
        return sum(self._heights())

    def _heights(self) -> list[int]:
        return [self._scan(text).select(pl.len()).collect().item() for text in self._texts]

    @override
    def scan(self, floats: Collection[str] = (), nulls: Sequence[str] = ()) -> pl.LazyFrame:
        return pl.concat([self._scan(text, floats, nulls) for text in self._texts])

    def _scan(self, text: Path, floats: Collection[str] = (), nulls: Sequence[str] = ()) -> pl.LazyFrame:
        return pl.scan_csv(
            text,
            schema={**self.schema, **dict.fromkeys(floats, pl.Float64())},
            has_header=False,  # the names may have been mended
            skip_rows=_empty_lines(text) + 1 if self.dialect.header else 0,
            missing_columns="insert",  # or a first row that is too short would be another schema to polars
            separator=self.dialect.delimiter,
            quote_char=self.dialect.quote,
            decimal_comma=self.comma and bool(floats),
            null_values=list(nulls) or None,
            glob=False,
        )

    @override
    def faults(self, error: Exception) -> list[Fault]:
        faults = self.line_faults()
        return faults or [Fault(f"cannot be read as CSV: {first_line(error)}", self.where)]

    @override
    def line_faults(self) -> list[Fault]:
        return [
            fault
            for text, file in zip(self._texts, self.names_of_files, strict=True)
            for fault in line_faults(text, self.dialect, len(self.schema), file)
        ]

    @override
    def blanks(self) -> Sequence[int]:
        before, found = 0, []
        for text, height in zip(self._texts, self._heights(), strict=True):
            found += [before + row for row in blank_lines(text, self.dialect, len(self.schema))]
            before += height
        return found

    @override
    def place(self, row: int, column: str) -> str:
        blanks, start = set(self.blanks()), 0
        for text, file, height in zip(self._texts, self.names_of_files, self._heights(), strict=True):
            filled = height - sum(start <= blank < start + height for blank in blanks)
            if row < filled:
                [line] = record_lines(text, self.dialect, [row])
                return f"{file}, {column}, line {line}, data row {row + 1}"
            row, start = row - filled, start + height
        raise IndexError(row)


class ParquetSource(Source):
    """Rows of Parquet files."""

    def __init__(self, where: str, paths: Sequence[Path]) -> None:
        self.where, self.paths = where, paths
        self._parts: list[pl.LazyFrame] = []
        for path in paths:
            file = _of(path, paths, where)
            try:
                part = pl.scan_parquet(path, glob=False)
                schema = dict(part.collect_schema())
                height = part.select(pl.len()).collect().item()
            except (pl.exceptions.PolarsError, OSError) as error:
                what = f"cannot be read as Parquet: {first_line(error)}"
                remedy = "copy it anew from where it came from; if it is CSV, let its name end in .csv"
                raise UserError(Fault(what, file, remedy=remedy)) from error
            unfolded, size = 8 * len(schema) * height, path.stat().st_size
            if unfolded > max(UNFOLDED, UNFOLDED_TIMES * size):
                what = f"unfolds from {size:,} bytes to about {unfolded / 2**30:,.0f} GiB"
                raise UserError(Fault(what, file, remedy="give its rows in parts, or as CSV"))
            if self._parts:
                _check_alike(self.schema, schema, file, str(paths[0]))
            else:
                self.schema = schema
            self._parts.append(part)
        self.schema = dict(self.scan().collect_schema())
        self._heights = [part.select(pl.len()).collect().item() for part in self._parts]

    @override
    def rows(self) -> int:
        return sum(self._heights)

    @override
    def scan(self, floats: Collection[str] = (), nulls: Sequence[str] = ()) -> pl.LazyFrame:
        return pl.concat(
            [part.select(map(named, self.schema)) for part in self._parts], how="vertical_relaxed"
        )

    @override
    def faults(self, error: Exception) -> list[Fault]:
        return [Fault(f"cannot be read as Parquet: {first_line(error)}", self.where)]

    @override
    def blanks(self) -> Sequence[int]:
        return []

    @override
    def place(self, row: int, column: str) -> str:
        for path, height in zip(self.paths, self._heights, strict=True):
            if row < height:
                return f"{_of(path, self.paths, self.where)}, {column}, data row {row + 1}"
            row -= height
        raise IndexError(row)


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


def _empty_lines(path: Path) -> int:
    """How many there are before the header."""
    with path.open("rb") as file:
        return next((number for number, line in enumerate(file) if line.strip(b"\xef\xbb\xbf \r\n")), 0)


def _check_alike(first: Schema, other: Schema, where: str, first_where: str) -> None:
    """Refuses a file that has not the columns of the first one."""
    if list(first) != list(other):
        lacks = listed(name for name in first if name not in other)
        more = listed(name for name in other if name not in first)
        details = "; ".join(
            f"{what} {named}" for what, named in (("lacks", lacks), ("also has", more)) if named
        )
        what = f"has other columns than {first_where}: {details or 'in another order'}"
        faults = [Fault(what, where, remedy="give all files the same columns")]
    else:
        faults = [
            Fault(
                f"holds {other[name]}, but {kind} in {first_where}",
                f"{where}, column '{name}'",
                remedy="give it the same type in all files",
            )
            for name, kind in first.items()
            if _family(kind) != _family(other[name]) and pl.Null not in (kind, other[name])
        ]
    if faults:
        raise UserError(*faults)


def _family(kind: DataType) -> str:
    """Types of one family can be read together."""
    return "number" if kind.is_numeric() else "text" if is_text(kind) else str(kind.base_type())


def first_line(error: Exception) -> str:
    """What polars says, without what follows."""
    return str(error).strip().partition("\n")[0]
