"""evaluate with importance=true."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from commands.mistakes import Mistake, assert_refused, each
from support import SMALL, Ended, train_into

from mlplab.commands.importance import Importance
from mlplab.commands.report.report import report
from mlplab.data import synthetic

Command = Callable[..., Ended]
FRAME = synthetic.draw("friedman1", rows=40, features=None, noise=0.5, seed=5)
WIDE = (*SMALL, "data.function=friedman1", "data.features=25")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train_into(folder / "s", *([*SMALL, f"seed={seed}"] for seed in range(2)))
    train_into(folder / "splits", *([*SMALL, f"data.split.seed={seed}"] for seed in range(2)))
    train_into(folder / "wide", WIDE)
    train_into(folder / "quantiles", [*SMALL, "loss=quantile", "loss.levels=[0.1,0.5,0.9]"])
    return folder


@pytest.fixture
def here(trained: Path, tmp_path: Path) -> Path:
    """A folder with runs, sweeps and a table."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    FRAME.write_csv(tmp_path / "t.csv")
    return tmp_path


@pytest.mark.parametrize(("run", "error"), [("s", "RMSE"), ("wide", "RMSE"), ("quantiles", "pinball loss")])
def test_it_is_printed_and_written(
    run_script: Command, here: Path, monkeypatch: pytest.MonkeyPatch, run: str, error: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    plain = run_script("evaluate", f"run={run}")
    scores = json.loads((here / run / "evaluation.json").read_text())
    ended = run_script("evaluate", f"run={run}", "importance=true")
    assert (ended.status, ended.err) == (0, plain.err)
    assert ended.out.startswith(plain.out)
    assert max(map(len, ended.out.splitlines())) <= 80
    assert json.loads((here / run / "evaluation.json").read_text()) == scores
    written = Importance.read(here / run)
    assert written
    assert written.runs == (("0", "1") if run == "s" else ("0",))
    assert (written.source, written.part, written.targets) == (scores["data"], "test", ("target",))
    prefix = "ensemble/" if run == "s" else ""
    assert written.error == pytest.approx(scores[f"{prefix}test/{written.metric}"], rel=1e-5)
    assert written.rows == scores["rows"] == 9
    assert f"increase of {written.metric} (mean ± SD)" in ended.out
    assert ("… and 5 less important columns" in ended.out) == (run == "wide")
    assert all(f" {column.name} " in ended.out for column in written.columns[:20])
    figure = (here / run / "figures/importance.vl.json").read_text()
    assert f"increase of the {error} in units of target" in figure
    assert (here / run / "figures/importance.png").exists()


@pytest.mark.usefixtures("line_at_end")
def test_long_work_has_lines(run_script: Command, here: Path) -> None:
    ended = run_script("evaluate", "run=splits", "data.path=t.csv", "importance=true")
    for line in (
        *("loading splits", "reading t.csv: 40 rows", "t.csv: preparing 40 rows"),
        *("fitting and scoring the baselines", "t.csv: scoring 40 rows", "importance: 5 of 5 columns"),
    ):
        assert re.search(rf"{line}, \d s\n", ended.err)


@pytest.mark.usefixtures("without_script_of_charts")
def test_training_rows_that_are_included_are_pointed_out(run_script: Command, here: Path) -> None:
    train_into(here / "own", ("data=csv", *SMALL[2:], "data.path=t.csv", "data.target=target"))
    words = ("run=own", "data.path=t.csv", "training_rows=include", "importance=true")
    ended = run_script("evaluate", *words)
    written = Importance.read(here / "own")
    assert written
    assert (written.rows, written.part) == (40, "all")
    specification = json.loads((here / "own/figures/importance.vl.json").read_text())
    page = report(here / "own").read_text()
    for place in (ended.out, specification["title"]["subtitle"], page):
        assert "not a test: training rows are included" in str(place)
    assert "Of 1 run (0); t.csv: 40 rows, each column shuffled 10 times; not a test" in page


MISTAKES = [
    Mistake(
        "with a choice",
        {},
        ("evaluate", "run=s", "select=2", "importance=true"),
        ("select=2: takes no key but run=", "run=s/ensemble-2.json"),
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
        ("a value is too large for the network; 40 such rows", "correct it, or drop the row"),
    ),
]


@each(MISTAKES)
def test_mistakes(mistake: Mistake, here: Path, run_script: Command) -> None:
    assert_refused(mistake, here, run_script)
