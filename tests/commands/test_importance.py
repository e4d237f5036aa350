"""evaluate with importance=true."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from commands.mistakes import Mistake, assert_refused, each
from support import SMALL, Ended, train_into

from mlplab.commands.report.report import report
from mlplab.data.synthetic import functions as synthetic

Command = Callable[..., Ended]
FRAME = synthetic.draw("friedman1", rows=40, features=None, noise=0.5, seed=5)
WIDE = (*SMALL, "data.function=friedman1", "data.features=25")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train_into(folder / "s", *([*SMALL, f"seed={seed}"] for seed in range(2)))
    train_into(folder / "splits", *([*SMALL, f"data.split.seed={seed}"] for seed in range(2)))
    train_into(folder / "wide", WIDE)
    return folder


@pytest.fixture
def here(trained: Path, tmp_path: Path) -> Path:
    """A folder with runs, sweeps and a table."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    FRAME.write_csv(tmp_path / "t.csv")
    return tmp_path


@pytest.mark.parametrize("run", ["s", "wide"])
def test_it_is_printed_and_written(
    run_script: Command, here: Path, monkeypatch: pytest.MonkeyPatch, run: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    plain = run_script("evaluate", f"run={run}")
    before = json.loads((here / run / "evaluation.json").read_text())
    (here / run / "figures").mkdir(exist_ok=True)
    (here / run / "figures/curves.png").touch()
    of_training = {path.name for path in (here / run / "figures").iterdir()}
    ended = run_script("evaluate", f"run={run}", "importance=true")
    assert (ended.status, ended.err) == (0, plain.err)
    assert ended.out.startswith(plain.out)
    assert max(map(len, ended.out.splitlines())) <= 80
    assert json.loads((here / run / "evaluation.json").read_text()) == before
    written = json.loads((here / run / "importance.json").read_text())
    names = ("runs", "source", "part", "targets", "metric", "error", "rows", "repeats", "columns")
    assert tuple(written) == (*names, "partial_dependence")
    assert written["runs"] == (["0", "1"] if run == "s" else ["0"])
    assert (written["source"], written["part"]) == (before["data"], "test")
    assert written["targets"] == ["target"]
    assert "not a test" not in ended.out
    metric = "rmse"
    assert written["metric"] == metric
    prefix = "ensemble/" if run == "s" else ""
    assert written["error"] == pytest.approx(before[f"{prefix}test/{metric}"], rel=1e-5)
    assert written["rows"] == before["rows"] == 9
    assert f"increase of {metric} (mean ± SD)" in ended.out
    assert ("… and 5 less important columns: importance.json has all" in ended.out) == (run == "wide")
    assert set(written["columns"][0]) == {"name", "mean", "sd"}
    assert all(f" {column['name']} " in ended.out for column in written["columns"][:20])
    figures = {path.name for path in (here / run / "figures").iterdir()}
    added = {f"{name}{end}" for name in ("importance", "partial_dependence") for end in (".vl.json", ".png")}
    assert figures == of_training | added


@pytest.mark.usefixtures("line_at_end")
def test_long_work_has_lines(run_script: Command, here: Path) -> None:
    ended = run_script("evaluate", "run=splits", "data.path=t.csv", "importance=true")
    for line in (
        *("loading splits", "reading t.csv: 40 rows", "t.csv: preparing 40 rows"),
        *("fitting and scoring the baselines", "t.csv: scoring 40 rows", "importance: 5 of 5 columns"),
    ):
        assert f"{line}, 0 s\n" in ended.err


def test_training_rows_that_are_included_are_told(run_script: Command, here: Path) -> None:
    train_into(here / "own", ("data=csv", *SMALL[2:], "data.path=t.csv", "data.target=target"))
    words = ("run=own", "data.path=t.csv", "training_rows=include", "importance=true")
    ended = run_script("evaluate", *words)
    assert ended.status == 0, ended
    written = json.loads((here / "own/importance.json").read_text())
    assert (written["rows"], written["part"]) == (40, "all")
    assert "\nnot a test: training rows are included\n" in ended.out
    specification = json.loads((here / "own/figures/importance.vl.json").read_text())
    assert "not a test: training rows are included" in specification["title"]["subtitle"]
    page = report(here / "own").read_text()
    assert "Of 1 run (0), on 40 rows (t.csv); not a test: training rows are included." in page


def test_a_chosen_ensemble_is_replaced_with_its_importance(run_script: Command, here: Path) -> None:
    assert run_script("evaluate", "run=s", "select=2").status == 0
    assert run_script("evaluate", "run=s/ensemble-2", "importance=true").status == 0
    assert run_script("evaluate", "run=s", "select=2").status == 0
    assert not (here / "s/ensemble-2/importance.json").exists()


MISTAKES = [
    Mistake(
        "with a choice",
        {},
        ("evaluate", "run=s", "select=2", "importance=true"),
        ("select=2: takes no key but run=", "run=s/ensemble-2"),
    ),
    Mistake(
        "different splits",
        {},
        ("evaluate", "run=splits", "runs=all", "importance=true"),
        ("importance=true: the runs have different splits", "data.path=…"),
    ),
    Mistake(
        "values far outside",
        lambda here: FRAME.with_columns(x1=pl.lit(1e300)).write_csv(here / "far.csv"),
        ("evaluate", "run=s/0", "data.path=far.csv", "importance=true"),
        ("the prediction is not finite; 40 such rows", "correct them, or drop the row"),
    ),
]


@each(MISTAKES)
def test_mistakes(mistake: Mistake, here: Path, run_script: Command) -> None:
    assert_refused(mistake, here, run_script)
