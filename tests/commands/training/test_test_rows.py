"""Commands on runs with `test=false`, and on those without test rows."""

from pathlib import Path

import pytest
from commands.mistakes import Command
from support import SMALL, assert_short_answer, metrics_of, without_notes

from mlplab.commands.report.report import report

pytestmark = pytest.mark.usefixtures("without_script_of_charts")

TESTED = (*(word for word in SMALL if word != "baselines=[]"), "baselines=[constant]", "figures=all")
QUIET = (*TESTED[:-1], "figures=none")
RUN = (*TESTED, "test=false")


def test_a_run_prints_its_validation_scores_and_is_tested_when_asked(
    command: Command, tmp_path: Path
) -> None:
    ended = command(*RUN, "ensemble=2", "name=r")
    assert ended.status == 0, ended.err
    run, printed = tmp_path / "outputs/r", without_notes(ended.out)
    table = printed[printed.index("validation") : printed.index("run folder")]
    assert f"{metrics_of(run)['val/mae']:.4g}" in table
    assert not (run / "figures").exists()
    again = command("resume=outputs/r")
    assert again.status == 0, again.err
    assert table in again.out
    assert not (run / "figures").exists()
    page = report(run).read_text()
    assert "There are no test scores: it was trained with test=false. Out-of-fold" in page
    assert "There are no figures: it was trained with test=false." in page
    assert command("resume=outputs/r", "test=maybe").status == 2
    ended = command("resume=outputs/r", "test=true")
    assert ended.status == 0, ended.err
    assert f"{metrics_of(run)['test/mae']:.4g}" in ended.out
    assert (run / "test_predictions.csv").is_file()


def test_a_sweep_does_without_a_test_and_given_again_is_tested(
    command: Command, run_script: Command, tmp_path: Path
) -> None:
    ended = command("-m", *RUN, "seed=0,1", "name=s")
    assert ended.status == 0, ended.err
    assert ("val/mae" in ended.out, "test/" in ended.out) == (True, False)
    sweep = tmp_path / "outputs/s"
    assert not list(sweep.rglob("figures"))
    for words in (
        ("results", str(sweep), "--by", "run"),
        ("report", str(sweep)),
        ("evaluate", f"run={sweep}", "runs=all"),
        ("evaluate", f"run={sweep}", "select=2"),
    ):
        ended = run_script(*words)
        assert ended.status == 0, (words, ended.err)
    assert not metrics_of(sweep / "seed=0").keys() & {"test/rmse", "constant/test/rmse"}

    weights = [path.read_bytes() for path in sorted(sweep.rglob("best.ckpt"))]
    ended = command("-m", *TESTED, "seed=0,1", "name=s")
    assert ended.status == 0, ended.err
    assert "test/rmse" in ended.out
    assert [path.read_bytes() for path in sorted(sweep.rglob("best.ckpt"))] == weights
    for run in sweep.glob("seed=*"):
        assert metrics_of(run)["constant/test/rmse"] > 0
        assert (run / "test_predictions.csv").exists()
        assert (run / "figures").exists()


WITHOUT = (*QUIET[:-1], "data.split.test=0")


def test_a_run_without_test_rows_has_validation_scores(
    command: Command, run_script: Command, tmp_path: Path
) -> None:
    ended = command(*WITHOUT, "figures=all", "name=r")
    assert ended.status == 0, ended.err
    assert "train 51, val 9, test 0" in ended.out
    run = tmp_path / "outputs/r"
    assert metrics_of(run).keys() & {"val/mae", "test/mae", "constant/test/mae"} == {"val/mae"}
    assert not {"figures", "test_predictions.csv"} & {path.name for path in run.iterdir()}
    assert "There are no test scores: it has no test rows" in report(run).read_text()
    resumed = command("resume=outputs/r", "test=true")
    assert (resumed.status, "has no test rows" in resumed.out) == (0, True)
    for words in ((), ("importance=true",)):
        refused = run_script("evaluate", f"run={run}", *words)
        assert_short_answer(refused, ["has no test rows\n  evaluate on a different file: data.path=…"])


def test_a_search_without_test_rows_ends_with_validation_scores(command: Command, tmp_path: Path) -> None:
    space = ("optimizer.lr=interval(1e-4,1e-2)", "sweep.trials=2", "sweep.ensemble=2")
    ended = command("-m", *WITHOUT, *space, "name=s")
    assert ended.status == 0, ended.err
    printed = without_notes(ended.out)
    assert "validation" in printed
    assert list(metrics_of(tmp_path / "outputs/s", "ensemble-2")["scores"]) == ["val/mae"]
