"""evaluate with select=N, and the chosen ensemble in all commands."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support import SMALL, Ended, assert_short_answer, train_into

import mlplab
from mlplab.commands.arguments import Evaluate
from mlplab.commands.evaluate import evaluate
from mlplab.commands.select_ensemble import select_ensemble
from mlplab.config.metrics import sign_of
from mlplab.data import synthetic
from mlplab.data.cache import DataCache
from mlplab.data.class_labels import predicted_classes
from mlplab.runs.discovery import read_metrics
from mlplab.runs.trained.load import load_runs
from mlplab.runs.trained.trained_run import TrainedRun

Command = Callable[..., Ended]
FRAME = synthetic.draw("friedman1", rows=40, features=None, noise=0.5, seed=5)
CLASSES = ("data=synthetic", "data.function=moons", *SMALL[1:])
WEIGHTED = ("data=csv", *SMALL[2:], "data.path=weighted.csv", "data.target=[target,x5]", "data.weight=w")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train_into(folder / "s", *([*SMALL, f"seed={seed}"] for seed in range(4)))
    train_into(folder / "splits", *([*SMALL, f"data.split.seed={seed}"] for seed in range(2)))
    return folder


@pytest.fixture
def here(trained: Path, tmp_path: Path) -> Path:
    """A folder with sweeps and a table."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    FRAME.write_csv(tmp_path / "t.csv")
    return tmp_path


def test_a_chosen_ensemble_is_used_like_a_run(run_script: Command, here: Path) -> None:
    (here / "s/ensemble-5.json").write_text("an earlier choice")
    before = {path.name for path in (here / "s").iterdir()}
    ended = run_script("evaluate", "run=s", "select=5")
    assert ended.status == 0, ended.err
    assert "ensemble: s/ensemble-5.json" in ended.out
    assert {path.name for path in (here / "s").iterdir()} == before
    written = json.loads((here / "s/ensemble-5.json").read_text())
    weights = written["runs"]
    assert sum(weights.values()) == pytest.approx(1)
    each = [mlplab.load(here / "s" / name).predict(FRAME) for name in weights]
    expected = np.average(each, axis=0, weights=[*weights.values()])
    np.testing.assert_allclose(mlplab.load("s/ensemble-5.json").predict(FRAME), expected, rtol=1e-12)
    assert run_script("predict", "run=s/ensemble-5.json", "input=t.csv", "output=o.csv").status == 0
    np.testing.assert_allclose(pl.read_csv(here / "o.csv")["prediction"], expected, rtol=1e-12)
    ended = run_script("evaluate", "run=s/ensemble-5.json", "importance=true")
    assert ended.status == 0
    assert f"{written['scores']['test/rmse']:.4g}" in ended.out
    assert {path.name for path in (here / "s").iterdir()} == before


@pytest.mark.parametrize(
    ("kind", "metric"),
    [
        (SMALL, "mae"),
        (CLASSES, "log_loss"),
        ((*CLASSES, "monitor=val/accuracy"), "accuracy"),
        ((*WEIGHTED, "monitor=val/loss"), "standardised_rmse"),
    ],
    ids=["numbers", "classes", "accuracy", "weights and targets in their own units"],
)
def test_the_validation_metric_that_the_runs_monitor_chooses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Sequence[str], metric: str
) -> None:
    monkeypatch.chdir(tmp_path)
    FRAME.with_columns(w=np.arange(1, 41)).write_csv("weighted.csv")
    train_into(tmp_path / "s", *([*kind, f"seed={seed}"] for seed in range(3)))
    choice = select_ensemble(tmp_path / "s", 3)
    data = DataCache().data(TrainedRun.read(tmp_path / "s/0").config)
    metrics = [read_metrics(tmp_path / f"s/{run}") for run in range(3)]
    best = next(iter(choice.weights))
    sign = sign_of(metric)
    assert choice.metric == metric
    if metric != "standardised_rmse":
        values = [run[f"val/{metric}"] for run in metrics]
        assert best == str(np.argmin([sign * value for value in values]))
        if metric != "log_loss":  # of calibrated probabilities, unlike val/log_loss
            assert choice.best == pytest.approx(sign * min(sign * value for value in values), rel=1e-6)
    if metric != "accuracy":  # it is not convex
        assert sign * choice.chosen <= sign * choice.best + 1e-12
    error = "log_loss" if "data.function=moons" in kind else "rmse"
    assert choice.result.runs[0][error] == metrics[int(best)][f"test/{error}"]
    assert choice.result.rows == len(data.split.test)
    assert evaluate(Evaluate(run=str(choice.file))).ensemble == choice.result.ensemble


def test_thresholds_decide_the_choice_and_its_scores(tmp_path: Path) -> None:
    wanted = ("threshold=0.2", "threshold=0.8", "threshold=auto")
    own = (*CLASSES, "monitor=val/accuracy")
    train_into(tmp_path / "s", *([*own, each, f"seed={seed}"] for seed, each in enumerate(wanted)))
    choice = select_ensemble(tmp_path / "s", 4)
    data = DataCache().data(TrainedRun.read(tmp_path / "s/0").config)
    x, y = data.table.x[data.split.val], data.table.y[data.split.val, 0]
    for file, accuracy in (
        (choice.file, choice.chosen),
        (tmp_path / "s" / next(iter(choice.weights)), choice.best),
    ):
        model = load_runs(file)
        right = predicted_classes(model.predict_features(x)[0], model.threshold) == y
        assert accuracy == pytest.approx(right.mean())


def test_single_runs_and_ensembles_are_compared_on_the_rows_that_all_validate(tmp_path: Path) -> None:
    train_into(tmp_path / "a", SMALL, [*SMALL, "seed=1"])
    for members in (2, 3):
        train_into(tmp_path / f"b{members}", [*SMALL, f"ensemble={members}"])
        shutil.move(tmp_path / f"b{members}/0", tmp_path / f"a/of{members}")
    choice = select_ensemble(tmp_path / "a", 4)
    assert choice.chosen <= choice.best * (1 + 1e-12)
    scores = evaluate(Evaluate(run=str(tmp_path / "a"), runs="all"))
    assert scores.model.networks == 7
    assert "loss" not in scores.models()["runs/"][1]


def test_a_sweep_goes_on_beside_its_chosen_ensemble(command: Command) -> None:
    sweep = ("-m", *SMALL, "name=s")
    assert command(*sweep, "seed=0,1").status == 0
    select_ensemble(Path("outputs/s"), 2)
    assert command(*sweep, "seed=0,1,2").status == 0
    assert len(mlplab.load("outputs/s", "all").runs) == 3
    assert Path("outputs/s/ensemble-2.json").is_file()


def test_mistakes(here: Path, run_script: Command) -> None:
    (here / "u").mkdir()
    for name, rows in (("before", FRAME), ("after", FRAME[1:])):
        rows.write_csv(here / "u.csv")
        train_into(here / name, ("data=csv", "data.path=u.csv", "data.target=target", *SMALL[2:]))
        shutil.move(here / name / "0", here / "u" / name)
    for words, said in (
        (["run=s/0"], ["s/0: has no runs to choose from", "sweep"]),
        (["run=s", "data.path=t.csv"], ["select=2: takes no key but run="]),
        (["run=splits"], ["splits/0 and 1: the runs have different train, val, test rows", "runs=all"]),
        (["run=u"], ["the runs have different tables"]),
    ):
        assert_short_answer(run_script("evaluate", *words, "select=2"), said)
