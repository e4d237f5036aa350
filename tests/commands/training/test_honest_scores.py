"""What is called a test is scored on rows that took no part in training, however one fools oneself."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support import Ended, status_of, without_notes

import mlplab
from mlplab.errors import UserError
from mlplab.runs.compare.ranking import select_runs
from mlplab.runs.observers.messages import show_warnings

Command = Callable[..., Ended]
ROWS = 200
TABLE = ("data=csv", "data.path=t.csv", "data.target=y", "model.hidden=[8]")
SMALL = (*TABLE, "baselines=[linear]", "trainer.max_epochs=2")
QUICK = (*SMALL, "scheduler=constant")
FILE = ("data/split=file", "data.split.path=parts.txt")
GROUP = ("data/split=group", "data.split.group=customer")


def write_parts(seed: int) -> None:
    words = np.array(["train"] * 120 + ["val"] * 40 + ["test"] * 40)
    Path("parts.txt").write_text("\n".join(np.random.default_rng(seed).permutation(words)))


@pytest.fixture(autouse=True)
def frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    monkeypatch.chdir(tmp_path)
    source = np.random.default_rng(0)
    x = source.normal(size=(ROWS, 2))
    frame = pl.DataFrame(
        {
            "a": x[:, 0],
            "b": x[:, 1],
            "customer": [f"c{each}" for each in source.integers(0, 40, ROWS)],
            "y": x[:, 0] - 2 * x[:, 1] + 0.3 * source.normal(size=ROWS),
        }
    )
    frame.write_csv("t.csv")
    write_parts(0)
    return frame


def permute_customers(frame: pl.DataFrame) -> None:
    frame.with_columns(customer=frame["customer"].shuffle(seed=1)).write_csv("t.csv")


CHANGES: dict[str, tuple[tuple[str, ...], Callable[[pl.DataFrame], None]]] = {
    "a split file": (FILE, lambda frame: write_parts(1)),
    "a group column": (GROUP, permute_customers),
}


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_split_that_has_changed_is_refused(
    command: Command, run_script: Command, frame: pl.DataFrame, change: str
) -> None:
    split, changes = CHANGES[change]
    assert command(*QUICK, *split, "name=r").status == 0
    sweep = ("-m", *QUICK, *split, "seed=0,1", "name=s")
    assert command(*sweep).status == 0
    shutil.copytree("outputs/s", "outputs/stopped")
    shutil.copytree("outputs/r", "outputs/stopped run")
    for run in (Path("outputs/stopped/seed=1"), Path("outputs/stopped run")):
        (run / "metrics.json").write_text('{"status": "running"}')
    assert run_script("evaluate", "run=outputs/s").status == 0
    changes(frame)
    parts = "the train, val, test rows differ from those used in training"
    for ended in (
        run_script("evaluate", "run=outputs/r"),
        run_script("evaluate", "run=outputs/s"),
        command("resume=outputs/stopped run"),
        command(*sweep),
        command(*sweep[:-1], "name=stopped"),
    ):
        assert ended.status == 2, ended
        assert f"t.csv: {parts}: what splits them" in ended.err
    assert status_of(Path("outputs/stopped run")) == "running"


def test_the_training_state_of_a_run_in_a_sweep_knows_the_split_too(command: Command) -> None:
    """A stack that was stopped before its runs had ended."""
    sweep = ("-m", *QUICK, *FILE, "seed=0,1", "name=s")
    assert command(*sweep).status == 0
    for run in Path("outputs/s").glob("seed=*"):
        (run / "metrics.json").write_text('{"status": "running"}')
        (run / "checkpoints/best.ckpt").unlink()
    write_parts(1)
    ended = command(*sweep)
    assert ended.status == 1
    assert "rows differ from those used in training" in ended.err
    assert {status_of(run) for run in Path("outputs/s").glob("seed=*")} == {"failed"}


def test_rows_of_training_are_left_out_of_a_test(
    command: Command, run_script: Command, frame: pl.DataFrame
) -> None:
    assert command(*TABLE, *FILE, "trainer.max_epochs=2", "name=r").status == 0
    metrics = json.loads(Path("outputs/r/metrics.json").read_text())
    frame.sample(fraction=1, shuffle=True, seed=3).select("y", "customer", "b", "a").write_csv("n.csv")
    ended = run_script("evaluate", "run=outputs/r", "data.path=n.csv")
    assert ended.status == 0, ended
    assert "n.csv: 160 of 200 rows were in training or validation and are left out" in ended.err
    assert "n.csv: 40 rows" in ended.out
    found = json.loads(Path("outputs/r/evaluation.json").read_text())
    for score in ("rmse", "mae", "r2"):
        for prefix in ("", "boosting/", "linear/", "constant/"):
            assert found[f"{prefix}test/{score}"] == pytest.approx(metrics[f"{prefix}test/{score}"])
    ended = run_script("evaluate", "run=outputs/r", "data.path=n.csv", "training_rows=include")
    assert ended.status == 0, ended
    assert "all rows, not a test" in ended.out
    found = json.loads(Path("outputs/r/evaluation.json").read_text())
    assert found["rows"] == 200
    assert "all/rmse" in found
    assert not any(name.startswith("test/") or "/test/" in name for name in found)


def test_where_no_row_is_left_nothing_is_called_a_test(
    command: Command, run_script: Command, frame: pl.DataFrame
) -> None:
    folds = ("data/split=kfold", "data.split.folds=3", "data.split.fold=range(3)")
    assert command("-m", *SMALL, *folds, "name=k").status == 0
    ended = run_script(
        "evaluate", "run=outputs/k", "data.path=t.csv"
    )  # each row was in training in some fold
    assert ended.status == 2
    assert "t.csv: all 200 rows were in training or validation" in ended.err
    assert run_script("evaluate", "run=outputs/k", "data.path=t.csv", "training_rows=include").status == 0
    ended = run_script("evaluate", "run=outputs/k")
    assert "no ensemble scores: the runs have different splits" in ended.err
    assert "their ensemble" not in ended.out


def test_new_rows_need_no_baselines(command: Command, run_script: Command, frame: pl.DataFrame) -> None:
    assert command(*SMALL, "name=r").status == 0
    (frame.with_columns(pl.col("a") + 1)).write_csv("n.csv")
    ended = run_script("evaluate", "run=outputs/r", "data.path=n.csv")
    assert (ended.status, without_notes(ended.err)) == (0, "")
    assert "ridge regression" in ended.out
    frame[:-1].write_csv("t.csv")
    ended = run_script("evaluate", "run=outputs/r", "data.path=n.csv")
    assert ended.status == 0
    assert "no baselines, because their training rows are not available: t.csv: has changed" in ended.err
    assert "ridge regression" not in ended.out


def test_runs_that_read_a_column_differently_are_not_averaged(command: Command, run_script: Command) -> None:
    """What a date means decides a split in time, too."""
    days = [f"{1 + i % 12:02}.{1 + i * 5 % 12:02}.2024" for i in range(ROWS)]
    pl.read_csv("t.csv").with_columns(day=pl.Series(days)).write_csv("t.csv")
    split = ("data/split=time", "data.split.time=day")
    for name, written in {"a": "%d.%m.%Y", "b": "%m.%d.%Y"}.items():
        folder = f"hydra.run.dir=outputs/s/{name}"
        assert command(*SMALL, *split, f"data.columns.day={written}", folder).status == 0
    ended = run_script("evaluate", "run=outputs/s", "runs=all")
    assert ended.status == 2, ended
    assert "outputs/s/b: has other columns, classes, quantiles or precision than the first" in ended.err


def test_a_warm_start_across_splits_is_warned_of(command: Command) -> None:
    assert command(*SMALL, "ensemble=1", "name=r").status == 0
    ended = command(*SMALL, "init_from=outputs/r", "name=same")
    assert "were in its training" not in ended.out
    assert "test/coverage_0.9" in json.loads(Path("outputs/same/metrics.json").read_text())
    ended = command(*SMALL, "init_from=outputs/r", "data.split.seed=1", "name=other")
    assert ended.status == 0
    lines = [line for line in ended.out.splitlines() if line.startswith("warning")]
    start = "warning: init_from=outputs/r: "
    tested, held_out = (int(line.removeprefix(start).partition(" ")[0]) for line in lines)
    assert 15 < min(tested, held_out) <= 30
    assert f"{tested} of the 30 test rows were in its training or validation, so the test" in lines[0]
    assert f"{held_out} of the 30 held-out rows were in its training, so validation scores" in lines[1]
    assert f"  {lines[0]}\n" in Path("outputs/other/train.log").read_text()
    assert "test/coverage_0.9" not in json.loads(Path("outputs/other/metrics.json").read_text())
    with pytest.raises(UserError, match="held out were in the training of outputs/r"):
        mlplab.load("outputs/other").predict("t.csv", interval=0.9)


def test_a_warm_start_from_an_ensemble_holds_out_what_each_network_held_out(command: Command) -> None:
    assert command(*SMALL, "ensemble=2", "name=r").status == 0
    for ensemble in (1, 2):
        ended = command(*SMALL, "init_from=outputs/r", f"ensemble={ensemble}", f"name=s{ensemble}")
        assert ("held-out rows were in its training" in ended.out) == (ensemble == 1)


def test_rows_equal_by_chance_are_new_rows(command: Command, run_script: Command) -> None:
    """Of four columns of few categories; a file with rows of training beyond chance is not called a test."""
    source = np.random.default_rng(0)

    def drawn(rows: int) -> pl.DataFrame:
        columns = {name: source.choice(["p", "q", "r"], rows) for name in "abcd"}
        is_yes = (columns["a"] == columns["b"]) ^ (source.random(rows) < 0.15)
        return pl.DataFrame({**columns, "y": np.where(is_yes, "yes", "no")})

    table, new = drawn(ROWS), drawn(300)
    table.write_csv("t.csv")
    new.write_csv("n.csv")
    warm = ("init_from=outputs/r", "name=s")
    run = (
        "data=csv",
        "data.path=t.csv",
        "data.target=y",
        "trainer.max_epochs=2",
        "baselines=[]",
        "ensemble=1",
    )
    for words in (("name=r",), warm):
        ended = command(*run, *words)
        assert (ended.status, "warning" in ended.out) == (0, False)
    ended = run_script("evaluate", "run=outputs/s", "data.path=n.csv")
    assert "n.csv: 300 rows" in ended.out
    assert re.search(r"2\d\d of 300 rows equal a row of training, and about \d\d % of new rows do", ended.err)
    pl.concat([table, table, new[:20]]).write_csv("copies.csv")
    ended = run_script("evaluate", "run=outputs/s", "data.path=copies.csv")
    assert "none is left out, or only unusual rows would be scored" in ended.err
    assert "unchecked/accuracy" in json.loads(Path("outputs/s/evaluation.json").read_text())


def test_a_warm_start_hands_on_what_was_seen(
    command: Command, run_script: Command, frame: pl.DataFrame
) -> None:
    assert command(*SMALL, "name=r").status == 0
    shutil.copy("t.csv", "first.csv")
    frame[:40].with_columns(pl.col("y") + 1).write_csv("t.csv")
    assert command(*SMALL, "init_from=outputs/r", "name=s", "data.columns.customer=drop").status == 2
    frame.with_columns(pl.col("y") + 1).write_csv("t.csv")  # the same inputs, centred alike
    assert command(*SMALL, "init_from=outputs/r", "name=s").status == 0
    ended = run_script("evaluate", "run=outputs/s", "data.path=first.csv")
    assert "first.csv: 170 of 200 rows were in training or validation" in ended.err


def test_what_was_seen_is_remembered_without_the_source(
    run_script: Command, frame: pl.DataFrame, tmp_path: Path
) -> None:
    """A run that was killed resumes, whatever has become of the run that it started from."""
    words = [*TABLE, "baselines=[]", "figures=none", "ensemble=1", "scheduler=constant"]
    assert run_script("train", *words, "trainer.max_epochs=2", "hydra.run.dir=r").status == 0
    shutil.copy("t.csv", "first.csv")
    frame.with_columns(pl.col("y") + 1).write_csv("t.csv")
    warm = run_script("train", *words, "trainer.max_epochs=2", "hydra.run.dir=s", "init_from=r")
    assert warm.status == 0, warm
    shutil.rmtree("r")
    assert run_script("train", "resume=s", "trainer.max_epochs=3").status == 0
    ended = run_script("evaluate", "run=s", "data.path=first.csv")
    assert "first.csv: 170 of 200 rows were in training or validation" in ended.err
    Path("s/checkpoints/source.ckpt").unlink()
    assert run_script("train", "resume=s", "trainer.max_epochs=4").status == 0
    assert "unchecked" in mlplab.load("s").evaluate("first.csv").__repr__()


def test_rows_that_stand_in_training_and_test_are_counted(command: Command, frame: pl.DataFrame) -> None:
    pl.concat([frame, frame]).write_csv("t.csv")
    ended = command(*SMALL, "name=many")
    [warning] = [line for line in ended.out.splitlines() if line.startswith("warning: ")]
    assert "test rows equal a row of train or val in all columns; if they are copies, the test" in warning


def test_a_column_that_may_contain_the_target_is_named(command: Command, frame: pl.DataFrame) -> None:
    frame.with_columns(copy=3 * pl.col("y") + 1).write_csv("t.csv")
    warning = "warning: column 'copy' alone predicts 'y' almost perfectly"
    assert command("name=leak", *SMALL).out.count(warning) == 1
    assert Path("outputs/leak/train.log").read_text().count(warning) == 1
    assert "predicts" not in command("name=none", "data.columns.copy=drop", *SMALL).out
    sweep = command("-m", "model.norm=none,layer", "name=sweep", *SMALL)
    assert sweep.out.count(warning) == 1  # though there are two stacks


def test_columns_whose_names_differ_in_a_figure_are_both_named(caplog: pytest.LogCaptureFixture) -> None:
    names = ["'top 5%'", "'top 10%'", '"it\'s 0.5"', '"it\'s 0.6"']
    warnings = [f"column {name} removes {share}% of 0.{share}" for name in names for share in (91, 92)]
    with caplog.at_level("WARNING"):
        show_warnings(set(), warnings)
    assert caplog.messages == warnings[::2]


def test_neighbours_in_time_are_named_once(
    command: Command, run_script: Command, frame: pl.DataFrame
) -> None:
    days = pl.date(2020, 1, 1) + pl.duration(days=pl.int_range(ROWS))
    frame.with_columns(day=days, y=pl.int_range(ROWS) / 20 % 5 + 0.2 * pl.col("y").cum_sum()).write_csv(
        "t.csv"
    )
    warning = "warning: neighbours in the order of 'day' are similar: a tree explains "
    described = run_script("describe", *TABLE).err
    assert warning in described
    assert described.endswith("to score later rows: data/split=time 'data.split.time=\"day\"'\n")
    folds = ("data/split=kfold", "data.split.fold=0,1", "name=folds")
    sweep = command(
        "-m", *TABLE, *folds, "trainer.max_epochs=1", "baselines=[]", "figures=none", "test=false"
    )
    assert sweep.out.count(warning) == 1  # though its figures differ


def test_an_ensemble_is_of_the_runs_that_are_best_on_validation(
    command: Command, run_script: Command, frame: pl.DataFrame
) -> None:
    words = ("optimizer.lr=0.1,1e-6", "seed=0,1", "model.linear_path=false", "name=s")
    assert command("-m", *SMALL, *words).status == 0
    runs = {
        path.name: json.loads((path / "metrics.json").read_text()) for path in Path("outputs/s").glob("*=*")
    }
    best = [f"lr=0.1,seed={seed}" for seed in (0, 1)]
    for name, chosen in {"best": best, "3": [*best, "lr=1e-06,seed=0"], "all": list(runs)}.items():
        found = [path.name for path in select_runs(Path("outputs/s"), name)]
        ranked = sorted(runs, key=lambda run: runs[run]["val/mae"])
        assert set(found) == set(ranked[: len(chosen)])
    ended = run_script("evaluate", "run=outputs/s")
    assert "outputs/s: 2 of 4 runs, those with lr=0.1: the best of 2 configurations by val/mae" in ended.err
    assert "mean of 2 networks" in ended.out
    ended = run_script("predict", "run=outputs/s", "runs=1", "input=t.csv", "output=o.csv")
    assert "outputs/s: the 1 best of 4 runs by val/mae" in ended.err
    ended = run_script("evaluate", "run=outputs/s", "runs=some")
    assert ended.status == 2
    assert "runs: invalid value (found 'some', expected best, all, or a number of runs)" in ended.err
