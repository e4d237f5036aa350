"""The tables that ship with mlplab and scikit-learn, written as a folder for `tables`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from sklearn import datasets
from sklearn.model_selection import KFold, StratifiedKFold

import mlplab
from benchmarks.quality.tables import SPLITS

TARGET = "target"
"""Also the name of the target in mlplab's tables."""

LOADERS = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
}
"""scikit-learn's tables with classes."""


def write_tables(folder: Path, folds: int) -> None:
    """Writes each table and a split for each of its folds, which are stratified by its classes."""
    (folder / SPLITS).mkdir()
    for name, frame in _frames():
        frame.write_csv(folder / f"{name}.csv")
        kind = KFold if frame[TARGET].dtype.is_numeric() else StratifiedKFold
        parts = kind(folds, shuffle=True, random_state=0).split(frame, frame[TARGET])
        for number, (_, test) in enumerate(parts):
            words = np.full(frame.height, "train")
            words[test] = "test"
            path = folder / SPLITS / f"{name}-{number}.txt"
            path.write_text("\n".join(words) + "\n", encoding="utf-8")


def _frames() -> Iterator[tuple[str, pl.DataFrame]]:
    """The tables with their targets last; classes are text."""
    for name in ("concrete", "penguins"):
        frame = pl.read_csv(Path(mlplab.__file__).parent / f"data/{name}.csv")
        yield name, frame.select(pl.exclude(TARGET), TARGET)
    diabetes = datasets.load_diabetes()
    yield "diabetes", _frame(diabetes.data, diabetes.feature_names, diabetes.target)
    x, y = datasets.make_friedman1(2000, noise=1, random_state=0)
    yield "friedman1", _frame(x, [f"x{number}" for number in range(x.shape[1])], y)
    for name, load in LOADERS.items():
        data = load()
        yield name, _frame(data.data, data.feature_names, [f"class {label}" for label in data.target])


def _frame(x: np.ndarray, names: list[str], y: np.ndarray | list[str]) -> pl.DataFrame:
    return pl.DataFrame(x, schema=list(names)).with_columns(pl.Series(TARGET, y))
