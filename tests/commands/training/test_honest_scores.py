"""What is called a test is scored on rows that took no part in training, however one fools oneself."""

import re
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from commands.mistakes import Command
from commands.people import people
from runs.unfinished import untrained
from support import assert_short_answer, metrics_of, resolved, status_of, train_into, without_notes

import mlplab
from mlplab.commands.evaluation_rows import rows_of
from mlplab.data.cache import DataCache
from mlplab.errors import UserError
from mlplab.runs.observers.messages import show_warnings
from mlplab.runs.trained.ensemble import Ensemble

Words = tuple[str, ...]

ROWS = 200
RUN = Path("outputs/r")
TABLE = ("data=csv", "data.path=t.csv", "data.target=y", "model.hidden=[8]")
SMALL = (*TABLE, "baselines=[linear]", "trainer.max_epochs=2")
FILE = ("data/split=file", "data.split.path=parts.txt")
GROUP = ("data/split=group", "data.split.group=customer")


def write_parts(seed: int) -> None:
    words = np.array(["train"] * 120 + ["val"] * 40 + ["test"] * 40)
    Path("parts.txt").write_text("\n".join(np.random.default_rng(seed).permutation(words)))


@pytest.fixture(autouse=True)
def frame(here: Path) -> pl.DataFrame:
    source = np.random.default_rng(0)
    x = source.normal(size=(ROWS, 2))
    columns = {
        "a": x[:, 0],
        "b": x[:, 1],
        "customer": [f"c{each}" for each in source.integers(0, 40, ROWS)],
        "y": x[:, 0] - 2 * x[:, 1] + 0.3 * source.normal(size=ROWS),
    }
    (frame := pl.DataFrame(columns)).write_csv("t.csv")
    write_parts(0)
    return frame


@pytest.mark.parametrize("split", [FILE, GROUP], ids=["file", "group"])
def test_a_split_that_has_changed_is_no_longer_that_of_the_run(frame: pl.DataFrame, split: Words) -> None:
    run = resolved(*SMALL, *split)
    before = DataCache().data(run).fingerprint
    DataCache().data(run).check_unchanged(before, "restore it")
    if split == FILE:
        write_parts(1)
    else:
        frame.with_columns(customer=frame["customer"].shuffle(seed=1)).write_csv("t.csv")
    what = "the train, val, test rows differ from those used in training: what splits them"
    with pytest.raises(UserError, match=rf"t\.csv: {what}.*\n  restore it"):
        DataCache().data(run).check_unchanged(before, "restore it")


def test_a_split_that_has_changed_is_refused_by_all_commands(succeed: Command, run_script: Command) -> None:
    sweep = ("train", "-m", *SMALL, *FILE, "seed=0,1", "name=s")
    succeed(*sweep)
    shutil.copytree("outputs/s/seed=1", "outputs/stopped")
    Path("outputs/stopped/metrics.json").write_text('{"status": "running"}')
    succeed("evaluate", "run=outputs/s")
    write_parts(1)
    for words in (("evaluate", "run=outputs/s/seed=0"), ("train", "resume=outputs/stopped"), sweep):
        assert_short_answer(run_script(*words), ["rows differ from those used in training"])
    assert status_of(Path("outputs/stopped")) == "running"


def test_rows_of_training_are_left_out_of_a_test(succeed: Command, frame: pl.DataFrame) -> None:
    succeed("train", *TABLE, *FILE, "trainer.max_epochs=2", "name=r")
    frame.sample(fraction=1, shuffle=True, seed=3).select("y", "customer", "b", "a").write_csv("n.csv")
    evaluate = ("evaluate", "run=outputs/r", "data.path=n.csv")
    ended = succeed(*evaluate)
    assert "n.csv: 160 of 200 rows were in training or validation and are left out" in ended.err
    assert "n.csv: 40 rows" in ended.out
    metrics, found = metrics_of(RUN), metrics_of(RUN, "evaluation")
    for score in ("rmse", "mae", "r2"):
        for name in (f"{prefix}test/{score}" for prefix in ("", "boosting/", "linear/", "constant/")):
            assert found[name] == pytest.approx(metrics[name])
    assert "all rows, not a test" in succeed(*evaluate, "training_rows=include").out
    found = metrics_of(RUN, "evaluation")
    assert (found["rows"], "all/rmse" in found) == (200, True)
    assert not any(name.startswith("test/") or "/test/" in name for name in found)


def test_where_no_row_is_left_nothing_is_called_a_test(succeed: Command, run_script: Command) -> None:
    folds = ("data/split=kfold", "data.split.folds=3", "data.split.fold=range(3)")
    succeed("train", "-m", *SMALL, *folds, "name=k")
    ended = run_script("evaluate", "run=outputs/k", "data.path=t.csv")
    assert_short_answer(ended, ["t.csv: all 200 rows were in training or validation"])  # in some fold
    succeed("evaluate", "run=outputs/k", "data.path=t.csv", "training_rows=include")
    ended = succeed("evaluate", "run=outputs/k")
    assert "no ensemble scores: the runs have different splits" in ended.err
    assert "their ensemble" not in ended.out


def test_new_rows_need_no_baselines(succeed: Command, frame: pl.DataFrame) -> None:
    succeed("train", *SMALL, "name=r")
    frame.with_columns(pl.col("a") + 1).write_csv("n.csv")
    ended = succeed("evaluate", "run=outputs/r", "data.path=n.csv")
    assert (without_notes(ended.err), "ridge regression" in ended.out) == ("", True)
    frame[:-1].write_csv("t.csv")
    ended = succeed("evaluate", "run=outputs/r", "data.path=n.csv")
    assert "no baselines, because their training rows are not available: t.csv: has changed" in ended.err
    assert "ridge regression" not in ended.out


def test_runs_that_read_a_column_differently_are_not_averaged() -> None:
    """What a date means decides a split in time, too."""
    days = [f"{1 + i % 12:02}.{1 + i * 5 % 12:02}.2024" for i in range(ROWS)]
    pl.read_csv("t.csv").with_columns(day=pl.Series(days)).write_csv("t.csv")
    split = ("data/split=time", "data.split.time=day")
    kinds = (f"data.columns.day={written}" for written in ("%d.%m.%Y", "%m.%d.%Y"))
    runs = [run for kind in kinds for run in untrained([*SMALL, *split, kind])]
    with pytest.raises(UserError, match="has other columns, classes, quantiles or precision than r0"):
        Ensemble(runs)


def test_a_warm_start_across_splits_is_warned_of(succeed: Command) -> None:
    """Which rows count is in tests/runs/test_warm_start.py."""
    succeed("train", *SMALL, "ensemble=1", "name=r")
    ended = succeed("train", *SMALL, "init_from=outputs/r", "data.split.seed=1", "name=other")
    lines = [line for line in ended.out.splitlines() if line.startswith("warning: init_from=outputs/r: ")]
    assert "test rows were in its training or validation, so the test" in lines[0]
    assert "held-out rows were in its training, so validation scores" in lines[1]
    assert f"  {lines[0]}\n" in Path("outputs/other/train.log").read_text()
    assert "test/coverage_0.9" not in metrics_of(Path("outputs/other"))
    with pytest.raises(UserError, match="held out were in the training of outputs/r"):
        mlplab.load("outputs/other").predict("t.csv", interval=0.9)


def test_rows_equal_by_chance_are_new_rows(succeed: Command) -> None:
    """Of four columns of few categories; a file with rows of training beyond chance is not called a test."""
    source = np.random.default_rng(0)

    def drawn(rows: int) -> pl.DataFrame:
        columns = {name: source.choice(["p", "q", "r"], rows) for name in "abcd"}
        is_yes = (columns["a"] == columns["b"]) ^ (source.random(rows) < 0.15)
        return pl.DataFrame({**columns, "y": np.where(is_yes, "yes", "no")})

    table, new = drawn(ROWS), drawn(300)
    table.write_csv("t.csv")
    new.write_csv("n.csv")
    pl.concat([table, table, new[:20]]).write_csv("copies.csv")
    quick = ("trainer.max_epochs=2", "baselines=[]", "ensemble=1", "name=r")
    assert "warning" not in succeed("train", *TABLE, *quick).out
    ended = succeed("evaluate", "run=outputs/r", "data.path=n.csv")
    assert "n.csv: 300 rows" in ended.out
    assert re.search(r"2\d\d of 300 rows equal a row of training, and about \d\d % of new rows do", ended.err)
    ended = succeed("evaluate", "run=outputs/r", "data.path=copies.csv")
    assert "none is left out, or only unusual rows would be scored" in ended.err
    assert "unchecked/accuracy" in metrics_of(RUN, "evaluation")


def test_copies_of_rows_and_of_the_target_are_named(succeed: Command, frame: pl.DataFrame) -> None:
    pl.concat([frame, frame]).with_columns(copy=3 * pl.col("y") + 1).write_csv("t.csv")
    copies = "test rows equal a row of train or val in all columns; if they are copies, the test"
    leak = "warning: column 'copy' alone predicts 'y' almost perfectly"
    printed = succeed("train", "name=r", *SMALL).out
    assert (printed.count(copies), printed.count(leak)) == (1, 1)
    assert (RUN / "train.log").read_text().count(leak) == 1
    sweep = succeed("train", "-m", "model.norm=none,layer", "name=sweep", *SMALL)
    assert sweep.out.count(leak) == 1  # though there are two stacks


def test_neighbours_in_time_are_named(succeed: Command, frame: pl.DataFrame) -> None:
    days = pl.date(2020, 1, 1) + pl.duration(days=pl.int_range(ROWS))
    y = pl.int_range(ROWS) / 20 % 5 + 0.2 * pl.col("y").cum_sum()
    frame.with_columns(day=days, y=y).write_csv("t.csv")
    warning = "warning: neighbours in the order of 'day' are similar: a tree explains "
    assert warning in succeed("describe", *TABLE).err


@pytest.mark.parametrize(("lowest", "keys"), [(1, 2), (0, 1), (-1, 0)])
def test_negative_predictions_of_amounts_are_counted(
    succeed: Command, frame: pl.DataFrame, lowest: int, keys: int
) -> None:
    """0 has no logarithm, so that key is not offered."""
    parts = Path("parts.txt").read_text().splitlines()
    y = np.maximum(5 * frame["a"].to_numpy(), 0) + max(lowest, 0)
    y[parts.index("train")] = lowest
    frame.with_columns(y=y).write_csv("t.csv")
    words = ("t.csv", "data.target=y", "model=linear", "ensemble=1", "baselines=[]", "trainer.max_epochs=60")
    words += ("optimizer.lr=0.1", *FILE)
    printed = succeed("train", "name=r", *words).out
    predicted = mlplab.load(RUN).predict(frame.filter(pl.Series(parts) == "val"))
    found = re.findall(r"(\d+) of 40 held-out predictions of 'y' are below 0.*; (.*) prevents", printed)
    remedies = ["model.preprocessing.clip_predictions=true", "model.preprocessing.target=log"][:keys]
    assert found == ([(str((predicted < 0).sum()), " or ".join(remedies))] if keys else [])
    for remedy in remedies:
        assert "below 0" not in succeed("train", *words, remedy).out


def test_columns_whose_names_differ_in_a_figure_are_both_named(caplog: pytest.LogCaptureFixture) -> None:
    names = ["'top 5%'", "'top 10%'", '"it\'s 0.5"', '"it\'s 0.6"']
    warnings = [f"column {name} removes {share}% of 0.{share}" for name in names for share in (91, 92)]
    with caplog.at_level("WARNING"):
        show_warnings(set(), warnings)
    assert caplog.messages == warnings[::2]


LINEAR = ("data=csv", "data.target=price", "model=linear", "ensemble=1")
LINEAR += ("trainer.max_epochs=1", "baselines=[]")
TEST = 30  # rows


def of_all_digits(seed: int) -> pl.DataFrame:
    """Rows with all the digits of a float64, also far from 0 and with long tails."""
    tails = (2 * pl.col("size")).exp()
    return people(seed, ROWS).with_columns(far=1e6 + pl.col("price"), tails=tails)


def trained(folder: Path, frame: pl.DataFrame) -> Ensemble:
    frame.write_csv(folder / "t.csv")
    train_into(folder, (*LINEAR, f"data.path={folder / 't.csv'}"))
    return mlplab.load(folder / "0").model


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    return trained(tmp_path_factory.mktemp("run"), of_all_digits(0))


def targets_left(run: Ensemble, path: str) -> list[float]:
    """The targets of the rows that are not recognised."""
    return rows_of(run, path, include=False)[0].y[:, 0].tolist()


@pytest.mark.parametrize(("form", "share"), [(".17g", 1), (".15g", 1), (".6g", 0.95), (".6f", 0.95)])
def test_rows_in_another_order_are_recognised_by_their_digits(run: Ensemble, form: str, share: float) -> None:
    rows = of_all_digits(0)
    far = [] if form == ".6g" else ["far"]  # 6 digits of this column are the same in all rows
    texts = {
        name: pl.Series([None if number is None else format(number, form) for number in rows[name]])
        for name in ("size", "price", "tails", *far)
    }
    rows.with_columns(**texts)[::-1].write_csv("n.csv")
    assert TEST <= len(targets_left(run, "n.csv")) <= TEST + (1 - share) * (ROWS - TEST)


def test_new_rows_and_new_targets_are_not_recognised(run: Ensemble) -> None:
    rows, new = of_all_digits(0), of_all_digits(1)
    floats, moved = rows.cast({pl.Float64: pl.Float32}), rows.with_columns(pl.col("price") + 1)
    for frame, left in ((floats, TEST), (new, ROWS), (moved, ROWS)):
        frame.write_parquet("n.parquet")
        assert len(targets_left(run, "n.parquet")) == left


def test_targets_with_a_sign_are_read_as_in_training(tmp_path: Path) -> None:
    prices = [f"${row * 97 % 5000 - 7.5:,.2f}" for row in range(ROWS)]
    run = trained(tmp_path, of_all_digits(0).with_columns(price=pl.Series(prices)))
    new = of_all_digits(1)[:4].with_columns(price=pl.Series(["$1,250.00", "($7.50)", "12.5", "$0"]))
    new.write_csv("n.csv")
    assert targets_left(run, "n.csv") == [1250, -7.5, 12.5, 0]
