"""Commands on runs with `test=false`, and on those without test rows."""

from pathlib import Path

import pytest
from commands.mistakes import Command
from support import SMALL, assert_short_answer, metrics_of, without_notes

from mlplab.commands.report.report import report

pytestmark = pytest.mark.usefixtures("without_script_of_charts")

TESTED = (*(word for word in SMALL if word != "baselines=[]"), "baselines=[constant]", "figures=all")
RUN = (*TESTED, "test=false")
WITHOUT = (*TESTED[:-1], "data.split.test=0")


def test_a_run_prints_its_validation_scores_and_is_tested_when_asked(succeed: Command) -> None:
    printed = without_notes(succeed("train", *RUN, "ensemble=2", "name=r").out)
    run = Path("outputs/r")
    table = printed[printed.index("validation") : printed.index("run folder")]
    assert f"{metrics_of(run)['val/mae']:.4g}" in table
    assert table in succeed("train", "resume=outputs/r").out
    assert not (run / "figures").exists()
    page = report(run).read_text()
    assert "There are no test scores: it was trained with test=false. Out-of-fold" in page
    assert "There are no figures: it was trained with test=false." in page
    tested = succeed("train", "resume=outputs/r", "test=true")
    assert f"{metrics_of(run)['test/mae']:.4g}" in tested.out
    assert (run / "test_predictions.csv").is_file()


def test_a_sweep_does_without_a_test_and_given_again_is_tested(succeed: Command) -> None:
    ended = succeed("train", "-m", *RUN, "seed=0,1", "name=s")
    assert ("val/mae" in ended.out, "test/" in ended.out) == (True, False)
    sweep = Path("outputs/s")
    assert not list(sweep.rglob("figures"))
    succeed("results", "outputs/s", "--by", "run")
    succeed("report", "outputs/s")
    succeed("evaluate", "run=outputs/s", "runs=all")
    assert not metrics_of(sweep / "seed=0").keys() & {"test/rmse", "constant/test/rmse"}

    weights = [path.read_bytes() for path in sorted(sweep.rglob("best.ckpt"))]
    assert "test/rmse" in succeed("train", "-m", *TESTED, "seed=0,1", "name=s").out
    assert [path.read_bytes() for path in sorted(sweep.rglob("best.ckpt"))] == weights
    for run in sweep.glob("seed=*"):
        assert metrics_of(run)["constant/test/rmse"] > 0
        assert (run / "test_predictions.csv").exists()
        assert (run / "figures").exists()


def test_a_run_without_test_rows_has_validation_scores(succeed: Command, run_script: Command) -> None:
    ended = succeed("train", *WITHOUT, "figures=all", "name=r")
    assert "train 51, val 9, test 0" in ended.out
    run = Path("outputs/r")
    assert metrics_of(run).keys() & {"val/mae", "test/mae", "constant/test/mae"} == {"val/mae"}
    assert not {"figures", "test_predictions.csv"} & {path.name for path in run.iterdir()}
    assert "There are no test scores: it has no test rows" in report(run).read_text()
    assert "has no test rows" in succeed("train", "resume=outputs/r", "test=true").out
    for words in ((), ("importance=true",)):
        refused = run_script("evaluate", "run=outputs/r", *words)
        assert_short_answer(refused, ["has no test rows\n  evaluate on a different file: data.path=…"])


def test_a_search_without_test_rows_ends_with_validation_scores(succeed: Command) -> None:
    space = ("optimizer.lr=interval(1e-4,1e-2)", "sweep.trials=2")
    printed = succeed("train", "-m", *WITHOUT, *space, "name=s").out
    assert ("val/mae" in printed, "test/" in printed) == (True, False)
