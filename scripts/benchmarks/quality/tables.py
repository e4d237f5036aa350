"""Tables in a folder: `NAME.csv`, whose last column is the target, and its splits `splits/NAME-0.txt`, ….

A split has a word for each data row: train, val or test. A target of text is a class, other targets are
numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
from jaxtyping import Bool, Float64, Int64

from mlplab.config.keys import quoted
from mlplab.data.parse import NA_VALUES
from mlplab.data.schema import Task
from mlplab.errors import Fault, UserError, listed

SPLITS, WORDS = "splits", ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Which rows of a table are for testing.

    Attributes:
        hash: of the table and of the split.
    """

    number: int
    path: Path
    hash: str
    test: Bool[np.ndarray, " row"]


@dataclass(frozen=True)
class BenchmarkTable:
    """A table, as all contenders get it.

    Attributes:
        frame: numbers as Float64, everything else as text; null is a missing value.
    """

    path: Path
    frame: pl.DataFrame
    splits: Sequence[Split]

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.path.stem

    @property
    def target(self) -> str:
        """The last column."""
        return self.frame.columns[-1]

    @cached_property
    def classes(self) -> list[str]:
        """The classes of the target in order; none if it is a number."""
        target = self.frame[self.target]
        return [] if target.dtype.is_numeric() else target.unique().sort().to_list()

    @property
    def task(self) -> Task:
        """As mlplab calls it."""
        return ("binary" if len(self.classes) == 2 else "multiclass") if self.classes else "regression"

    @cached_property
    def y(self) -> Float64[np.ndarray, " row"] | Int64[np.ndarray, " row"]:
        """The target: numbers, or the number of each row's class."""
        target = self.frame[self.target]
        if self.classes:
            return target.cast(pl.Enum(self.classes)).to_physical().cast(pl.Int64).to_numpy()
        return target.to_numpy()

    @cached_property
    def x(self) -> pd.DataFrame:
        """The inputs as pandas has them: numbers and categories, without their names, which not all take."""
        columns = self.frame.drop(self.target).iter_columns()
        return pd.DataFrame(
            {
                f"x{number}": cells.to_numpy()
                if cells.dtype.is_numeric()
                else pd.Categorical(cells.to_list())
                for number, cells in enumerate(columns)
            }
        )


def overrides_of(table: BenchmarkTable, split: Split) -> tuple[str, ...]:
    """The overrides that make mlplab train on a table and its split."""
    return (
        *("data=csv", f"data.path={quoted(str(table.path))}", f"data.target=[{quoted(table.target)}]"),
        *("data/split=file", f"data.split.path={quoted(str(split.path))}", f"task={table.task}"),
    )


def read_tables(folder: Path, only: Sequence[str]) -> list[BenchmarkTable]:
    """Reads the tables of a folder, or `only` some.

    Raises:
        UserError: if there is none, or one of them or of their splits cannot be used.
    """
    paths = {path.stem: path for path in sorted(folder.glob("*.csv"))}
    if not paths:
        raise UserError(Fault("has no table", str(folder), expected="NAME.csv"))
    if unknown := [name for name in only if name not in paths]:
        raise UserError(Fault("no such table", "only", listed(unknown), f"some of {listed(paths, 20)}"))
    return [_read(path) for name, path in paths.items() if not only or name in only]


def _read(path: Path) -> BenchmarkTable:
    text = pl.read_csv(path, infer_schema=False, null_values=NA_VALUES).select(pl.all().str.strip_chars())
    numbers = text.select(pl.all().cast(pl.Float64, strict=False))
    frame = pl.DataFrame(
        [
            numbers[name] if numbers[name].null_count() == text[name].null_count() else text[name]
            for name in text.columns
        ]
    )
    if missing := frame[frame.columns[-1]].null_count():
        where = f"{path}, column '{frame.columns[-1]}'"
        raise UserError(Fault(f"{missing} rows have no target", where, remedy="leave these rows out"))
    splits = sorted(
        (int(number), split)
        for split in (path.parent / SPLITS).glob(f"{path.stem}-*.txt")
        if (number := split.stem.removeprefix(f"{path.stem}-")).isdigit()
    )
    if not splits:
        remedy = f"write {path.parent / SPLITS / f'{path.stem}-0.txt'}, with a word for each row"
        raise UserError(Fault("has no split", str(path), remedy=remedy))
    return BenchmarkTable(path, frame, [_split(number, split, path, frame) for number, split in splits])


def _split(number: int, path: Path, table: Path, frame: pl.DataFrame) -> Split:
    content = path.read_bytes()
    words = np.array(content.decode("utf-8").split())
    if len(words) != frame.height:
        raise UserError(
            Fault("does not fit the table", str(path), f"{len(words)} words", f"{frame.height}, one a row")
        )
    if unknown := {*words.tolist()} - {*WORDS}:
        raise UserError(Fault("has unknown words", str(path), listed(sorted(unknown)), listed(WORDS)))
    test = words == "test"
    if test.all() or not test.any():
        raise UserError(Fault("needs rows for training and for testing", str(path)))
    return Split(number, path, sha256(table.read_bytes() + content).hexdigest()[:16], test)
