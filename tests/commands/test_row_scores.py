"""Scores of predicted rows that have a target."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl
import pytest
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, r2_score, root_mean_squared_error
from support import SMALL, Ended, train_into

from mlplab.commands import predict as predict_module
from mlplab.console import wrapped
from mlplab.data.synthetic import functions as synthetic


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train_into(folder / "numbers", SMALL)
    train_into(folder / "classes", [*SMALL, "data.function=moons"])
    for name, function in {"weighted": "friedman1", "weighted classes": "moons"}.items():
        frame = synthetic.draw(function, rows=60, features=None, noise=1.0, seed=3)
        frame.with_columns(w=pl.Series([1.0, 2.0, 3.0] * 20)).write_csv(folder / "t.csv")
        of_file = ("data=csv", f"data.path={folder / 't.csv'}", "data.target=target", "data.weight=w")
        train_into(folder / name, [*of_file, *SMALL[2:]])
    return folder


@pytest.fixture
def last_line(
    run_script: Callable[..., Ended], trained: Path, tmp_path: Path
) -> Callable[[str, pl.DataFrame], str]:
    """What the script predict says at its end."""

    def last_line(run: str, frame: pl.DataFrame) -> str:
        frame.write_parquet(tmp_path / "n.parquet")
        arguments = (f"run={trained / run / '0'}", "input=n.parquet", "output=o.parquet", "overwrite=true")
        ended = run_script("predict", *arguments)
        assert ended.status == 0, ended
        assert ended.err.startswith("loading torch and ")
        return ended.err.splitlines()[-1]

    return last_line


def scores_in(line: str) -> Mapping[str, float]:
    return {
        name: float(value) for name, value in re.findall(r"(\w+) ([-+.\de]+)[,;]", line.partition(": ")[2])
    }


@pytest.mark.parametrize("rows_at_once", [7, 1000])
def test_numbers_are_scored_over_all_blocks(
    last_line: Callable[[str, pl.DataFrame], str],
    monkeypatch: pytest.MonkeyPatch,
    rows_at_once: int,
) -> None:
    monkeypatch.setattr(predict_module, "ROWS_IN_MEMORY", rows_at_once)
    frame = synthetic.draw("friedman1", rows=40, features=None, noise=1.0, seed=9)
    line = last_line("numbers", frame.with_columns(target=pl.col("target") + 1e6))
    back = pl.read_parquet("o.parquet")
    y, predicted = back["target"], back["prediction"]
    assert re.match(r"predicted 40 rows in \d+\.\d\d s; on the 40 rows with a target: ", line)
    assert scores_in(line) == pytest.approx(
        {
            "rmse": root_mean_squared_error(y, predicted),
            "mae": mean_absolute_error(y, predicted),
            "r2": r2_score(y, predicted),
        },
        rel=1e-3,
    )


@pytest.mark.parametrize("rows_at_once", [7, 1000])
def test_scores_are_weighted_as_in_training(
    last_line: Callable[[str, pl.DataFrame], str],
    monkeypatch: pytest.MonkeyPatch,
    rows_at_once: int,
) -> None:
    monkeypatch.setattr(predict_module, "ROWS_IN_MEMORY", rows_at_once)
    weights = pl.Series("w", ["0", "1", "2.5", None, "-1", "?", *map(str, range(1, 35))])
    known = [1, 2, *range(6, 40)]
    frame = synthetic.draw("friedman1", rows=40, features=None, noise=1.0, seed=9).with_columns(weights)
    line = last_line("weighted", frame)
    assert "; on the 36 rows with a target, weighted by w: rmse " in line
    back = pl.read_parquet("o.parquet")[known]
    y, predicted, weight = back["target"], back["prediction"], back["w"].cast(pl.Float64).to_numpy()
    assert scores_in(line) == pytest.approx(
        {
            "rmse": root_mean_squared_error(y, predicted, sample_weight=weight),
            "mae": mean_absolute_error(y, predicted, sample_weight=weight),
            "r2": r2_score(y, predicted, sample_weight=weight),
        },
        rel=1e-3,
    )
    moons = synthetic.draw("moons", rows=40, features=None, noise=0.3, seed=9).with_columns(weights)
    line = last_line("weighted classes", moons)
    back = pl.read_parquet("o.parquet")[known]
    probabilities = back.select("probability_a", "probability_b").to_numpy()
    assert scores_in(line) == pytest.approx(
        {
            "log_loss": log_loss(back["target"], probabilities, sample_weight=weight),
            "accuracy": accuracy_score(back["target"], back["prediction"], sample_weight=weight),
        },
        rel=1e-3,
    )
    assert "; on the 40 rows with a target: rmse " in last_line("weighted", frame.drop("w"))
    nothing = frame.with_columns(w=pl.lit(0))
    assert re.fullmatch(r"predicted 40 rows in \d+\.\d\d s", last_line("weighted", nothing))


def test_scores_are_called_no_test(last_line: Callable[[str, pl.DataFrame], str]) -> None:
    line = last_line("numbers", FRIEDMAN)
    assert line.endswith("; no test on training rows: evaluate.py leaves them out")
    assert len(wrapped(line, 80).splitlines()) == 2


def test_classes_are_scored(last_line: Callable[[str, pl.DataFrame], str]) -> None:
    line = last_line("classes", synthetic.draw("moons", rows=50, features=None, noise=0.3, seed=9))
    back = pl.read_parquet("o.parquet")
    probabilities = back.select("probability_a", "probability_b").to_numpy()
    assert scores_in(line) == pytest.approx(
        {
            "log_loss": log_loss(back["target"], probabilities),
            "accuracy": accuracy_score(back["target"], back["prediction"]),
        },
        rel=1e-3,
    )


def test_only_rows_with_a_known_target_count(last_line: Callable[[str, pl.DataFrame], str]) -> None:
    frame = synthetic.draw("friedman1", rows=40, features=None, noise=1.0, seed=9)
    texts = [None if row < 3 else "?" if row < 5 else str(value) for row, value in enumerate(frame["target"])]
    assert "; on the 35 rows with a target: rmse " in last_line(
        "numbers", frame.with_columns(target=pl.Series(texts))
    )
    moons = synthetic.draw("moons", rows=50, features=None, noise=0.3, seed=9)
    other = moons.with_columns(target=pl.Series(["c", "", None, *moons["target"][3:]]))
    assert "; on the 47 rows with a target: log_loss " in last_line("classes", other)


FRIEDMAN = synthetic.draw("friedman1", rows=6, features=None, noise=1.0, seed=9)


@pytest.mark.parametrize(
    "target",
    [
        pl.Series([None] * 6),
        pl.Series(["?"] * 6),
        pl.Series([[1.0]] * 6),
        pl.Series([{"a": 1}] * 6),
        pl.Series([b"x"] * 6),
        pl.Series([0] * 6).cast(pl.Date),
        pl.Series([float("nan"), float("inf"), -float("inf"), None, None, None]),
    ],
    ids=lambda cells: str(cells.dtype),
)
@pytest.mark.parametrize("run", ["numbers", "classes"])
def test_an_unreadable_target_gives_no_score(
    last_line: Callable[[str, pl.DataFrame], str], target: pl.Series, run: str
) -> None:
    frame = FRIEDMAN.with_columns(target=target)
    assert re.fullmatch(r"predicted 6 rows in \d+\.\d\d s", last_line(run, frame))


@pytest.mark.parametrize("target", [pl.Series([1e300] * 6), pl.Series([True] * 6), pl.Series([5] * 6)])
def test_unusual_targets_are_scored(last_line: Callable[[str, pl.DataFrame], str], target: pl.Series) -> None:
    assert "; on the 6 rows with a target: rmse " in last_line(
        "numbers", FRIEDMAN.with_columns(target=target)
    )


def test_without_a_target_there_is_no_score(last_line: Callable[[str, pl.DataFrame], str]) -> None:
    assert re.fullmatch(r"predicted 6 rows in \d+\.\d\d s", last_line("numbers", FRIEDMAN.drop("target")))
