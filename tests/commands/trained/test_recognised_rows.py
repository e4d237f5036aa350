"""Rows of training are recognised in copies of their table, whatever digits those have."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support import train_into

import mlplab
from mlplab.commands.evaluation_rows import rows_of
from mlplab.runs.trained.ensemble import Ensemble

ROWS, TEST = 400, 60
SMALL = ("data=csv", "data.target=y", "model=linear", "ensemble=1", "trainer.max_epochs=1", "baselines=[]")


def drawn(seed: int) -> pl.DataFrame:
    """Rows with all the digits of a float64, also far from 0 and with long tails; dates and categories."""
    source = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            **{name: source.normal(size=ROWS) for name in "abcd"},
            "far": 1e6 + source.normal(size=ROWS),
            "offset": 50 + 10 * source.normal(size=ROWS),
            "tails": np.where(source.random(ROWS) < 0.1, np.nan, np.exp(2 * source.normal(size=ROWS))),
            "day": [f"202{i % 3}-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(ROWS)],
            "kind": [f"k{kind}" for kind in source.integers(0, 5, ROWS)],
            "y": source.normal(size=ROWS),
        }
    ).with_columns(pl.col("tails").fill_nan(None))


def trained(folder: Path, frame: pl.DataFrame) -> Ensemble:
    frame.write_csv(folder / "t.csv")
    train_into(folder, (*SMALL, f"data.path={folder / 't.csv'}"))
    return mlplab.load(folder / "0").model


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    return trained(tmp_path_factory.mktemp("run"), drawn(0))


def targets_left(run: Ensemble, path: Path) -> list[float]:
    """The targets of the rows that are not recognised."""
    return rows_of(run, str(path), include=False)[0].y[:, 0].tolist()


def copied(frame: pl.DataFrame, form: str) -> pl.DataFrame:
    """The rows in another order, and their numbers as texts of that form."""
    far = [] if form == ".6g" else ["far"]  # 6 digits of this column are the same in all rows
    texts = {
        name: [None if number is None else format(number, form) for number in frame[name]]
        for name in (*"abcd", "offset", "tails", "y", *far)
    }
    shuffled = frame.with_columns(**{name: pl.Series(text) for name, text in texts.items()})
    return shuffled.sample(fraction=1, shuffle=True, seed=1)


@pytest.mark.parametrize(("form", "share"), [(".17g", 1), (".15g", 1), (".6g", 0.95), (".6f", 0.95)])
def test_rows_are_recognised_by_their_digits(run: Ensemble, tmp_path: Path, form: str, share: float) -> None:
    copied(drawn(0), form).write_csv(path := tmp_path / "n.csv")
    assert TEST <= len(targets_left(run, path)) <= TEST + (1 - share) * (ROWS - TEST)


def test_new_rows_and_new_targets_are_not_recognised(run: Ensemble, tmp_path: Path) -> None:
    floats = drawn(0).cast({pl.Float64: pl.Float32})
    for frame, left in ((floats, TEST), (drawn(1), ROWS), (drawn(0).with_columns(pl.col("y") + 1), ROWS)):
        frame.write_parquet(path := tmp_path / "n.parquet")
        assert len(targets_left(run, path)) == left


def test_targets_with_a_sign_are_read_as_in_training(tmp_path: Path) -> None:
    prices = [f"${row * 97 % 5000 - 7.5:,.2f}" for row in range(ROWS)]
    run = trained(tmp_path, drawn(0).with_columns(y=pl.Series(prices)))
    new = drawn(1)[:4].with_columns(y=pl.Series(["$1,250.00", "($7.50)", "12.5", "$0"]))
    new.write_csv(path := tmp_path / "new.csv")
    assert targets_left(run, path) == [1250, -7.5, 12.5, 0]
