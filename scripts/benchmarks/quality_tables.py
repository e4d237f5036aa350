"""The tables of `quality`: those that ship with mlplab and scikit-learn, or those of a folder.

A folder has `NAME.csv`, whose last column is the target, and splits `splits/NAME-0.txt`, … with a word for
each row: `test`, or another one. A target of text is a class, other targets are numbers.
"""
# mypy: disable-error-code="import-untyped"

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from sklearn import datasets
from sklearn.model_selection import KFold, StratifiedKFold

from benchmarks.checkout import ROOT
from mlplab.errors import Fault, UserError, listed

LOADERS = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
}
"""scikit-learn's tables with classes."""


@dataclass(frozen=True)
class BenchmarkTable:
    """A table, as all contenders get it.

    Attributes:
        frame: numbers as Float64, everything else as text; null is a missing value. The target is last.
        tests: the rows for testing of each split.
        group: of tables with a mean of their own, in summaries.
    """

    name: str
    frame: pl.DataFrame
    tests: Sequence[np.ndarray]
    group: str = ""

    def digest(self, test: np.ndarray) -> str:
        """A hash of the cells and of the rows for testing."""
        return sha256(self.frame.write_csv().encode() + test.tobytes()).hexdigest()[:16]

    @cached_property
    def classes(self) -> list[str]:
        """The classes of the target in order; none if it is a number."""
        target = self.frame[:, -1]
        return [] if target.dtype.is_numeric() else target.unique().sort().to_list()

    @cached_property
    def y(self) -> np.ndarray:
        """The target: numbers, or the number of each row's class."""
        target = self.frame[:, -1]
        return np.searchsorted(self.classes, target.to_numpy()) if self.classes else target.to_numpy()

    @cached_property
    def x(self) -> pd.DataFrame:
        """The inputs in pandas: numbers and categories, without their names, which not all peers take."""
        columns = [
            pd.Series(cells.to_numpy() if cells.dtype.is_numeric() else pd.Categorical(cells.to_list()))
            for cells in self.frame[:, :-1].iter_columns()
        ]
        return pd.concat(columns, axis=1).rename(columns="x{}".format)


def bundled_tables(folds: int) -> Iterator[BenchmarkTable]:
    """Tables of numbers and of classes, which are text; a split for each fold."""
    for name, frame in _frames():
        target = frame["target"]
        folder = (KFold if target.dtype.is_numeric() else StratifiedKFold)(
            folds, shuffle=True, random_state=0
        )
        parts = folder.split(frame, target)
        yield BenchmarkTable(name, frame, [np.isin(np.arange(len(frame)), test) for _, test in parts])


def _frames() -> Iterator[tuple[str, pl.DataFrame]]:
    for name in ("concrete", "penguins"):
        frame = pl.read_csv(ROOT / f"src/mlplab/data/{name}.csv", null_values=["", "NA"])
        yield name, frame.select(pl.exclude("target"), "target")
    x, y = datasets.make_friedman1(2000, noise=1, random_state=0)
    yield "friedman1", pl.DataFrame(x).with_columns(target=pl.Series(y))
    data = datasets.load_diabetes()
    yield "diabetes", pl.DataFrame(data.data).with_columns(target=pl.Series(data.target))
    for name, load in LOADERS.items():
        data = load()
        classes = pl.Series([f"class {label}" for label in data.target])
        yield name, pl.DataFrame(data.data).with_columns(target=classes)


def tables_of(folder: Path) -> Iterator[BenchmarkTable]:
    """The tables of a folder.

    Raises:
        UserError: if there is none, or one of them has no split, or one that does not fit.
    """
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise UserError(Fault("has no table", str(folder), expected="NAME.csv"))
    for path in paths:
        frame = pl.read_csv(path, infer_schema_length=None, null_values=["", "NA", "NaN", "nan", "?"])
        numbers = [name for name, dtype in frame.schema.items() if dtype.is_numeric()]
        frame = frame.with_columns(pl.col(numbers).cast(pl.Float64))
        tests = []
        for split in sorted(folder.glob(f"splits/{path.stem}-[0-9]*.txt")):
            words = split.read_text(encoding="utf-8").split()
            if len(words) != len(frame) or set(words) <= {"test"} or "test" not in words:
                expected = f"{len(frame)}, one a row, some of them test"
                raise UserError(Fault("does not fit the table", str(split), f"{len(words)} words", expected))
            tests.append(np.array(words) == "test")
        if not tests:
            raise UserError(Fault("has no split", str(path), expected=f"splits/{path.stem}-0.txt"))
        yield BenchmarkTable(path.stem, frame, tests)


def chosen_tables(tables: Iterator[BenchmarkTable], only: Sequence[str]) -> list[BenchmarkTable]:
    """All tables, or `only` some.

    Raises:
        UserError: if one of these does not exist.
    """
    by_name = {table.name: table for table in tables}
    if unknown := [name for name in only if name not in by_name]:
        raise UserError(Fault("no such table", "only", listed(unknown), f"some of {listed(by_name, 20)}"))
    return [table for name, table in by_name.items() if not only or name in only]
