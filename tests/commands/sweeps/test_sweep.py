"""`train.py -m` as users run it, with a grid or a search."""

import re
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import yaml
from commands.mistakes import Command, Mistake, assert_refused, each, mistake
from lightning.pytorch.loggers import CSVLogger
from optuna.trial import TrialState
from support import SMALL, assert_short_answer, left_behind, metrics_of, status_of, without_notes

from mlplab.runs import checkpoint
from mlplab.runs.discovery import BEST_TRIAL_FILE
from mlplab.training.block_module import BlockModule

OUTPUTS = Path("outputs")


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_in_lockstep_and_one_by_one_leave_the_same_behind(command: Command) -> None:
    """Folds of different size, the last batch of which is a short one, and rates of which one diverges."""
    overrides = (
        *("-m", "data=synthetic", "data.rows=71", "data.batch_size=9", "data.noise=2", "baselines=[]"),
        *("data/split=kfold", "data.split.folds=3", "data.split.fold=range(2)", "optimizer=sgd"),
        *("optimizer.lr=0.01,1e18", "model/preprocessing=none", "model.hidden=[8,8]", "model.dropout=0.2"),
        *("scheduler=step", "scheduler.step_size=2", "trainer.max_epochs=8"),
        "callbacks.early_stopping.patience=1",
    )
    found = []
    for members, plan in ((8, "4 runs: 1 stack of 4\n"), (1, "4 runs: 4 alone\n")):
        ended = command(*overrides, f"name={members}", f"hydra.launcher.max_members={members}")
        assert ended.status == 1
        assert plan in ended.out
        assert "2 of 4 runs failed\n" in ended.err
        assert ": diverged, the loss became " in ended.err
        runs = OUTPUTS.glob(f"{members}/*=*")
        found.append({path.name: left_behind(path) for path in runs})
    assert found[0] == found[1]
    metrics = [run["metrics"] for run in found[0].values()]
    assert len({each["epochs"] for each in metrics if "epochs" in each}) > 1


def test_a_sweep_prints_its_plan_its_best_runs_and_its_folder(succeed: Command) -> None:
    stacks = ("optimizer.lr=1e-2,1e-3", "seed=range(3)", "hydra.launcher.max_members=3")
    lines = without_notes(succeed("train", "-m", *SMALL, *stacks).out).splitlines()
    finished = [f"stack {number} of 2 finished: 3 runs" for number in (1, 2)]
    assert lines[:3] == ["6 runs: 2 stacks of 3", *finished]
    (sweep,) = OUTPUTS.iterdir()
    assert lines[-5] == f"sweep folder: {sweep}"
    assert lines[-1].endswith(f"tensorboard --logdir {sweep}")
    rows = [line.split() for line in lines if line.startswith("│")]
    means = {
        f"lr={lr}": np.mean([metrics_of(sweep / f"lr={lr},seed={seed}")["val/mae"] for seed in range(3)])
        for lr in (0.01, 0.001)
    }
    assert [row[1] for row in rows] == sorted(means, key=lambda name: means[name])
    assert [row[3] for row in rows] == [f"{means[row[1]]:.4g}" for row in rows]
    assert "mean ± SD over 3 seeds" in lines[-6]


LOSSES = "losses cannot be compared (found loss=mse, loss=mae, loss=huber) | monitor=val/rmse"
NO_SLURM = "-m optimizer.lr=0,-1 hydra/launcher/engine=slurm"
MISTAKES = [
    mistake("losses", {}, "-m loss=mse,mae,huber monitor=val/loss", LOSSES),
    mistake("all are wrong", {}, NO_SLURM, "optimizer.lr: invalid value | greater than 0"),
    mistake("floats", {}, "-m model.periodic_features=interval(1,8)", "write int(interval(LOW,HIGH))"),
    mistake("no -m", {}, "sweep=mlp", "scripts/train.py -m sweep=mlp"),
]


@each(MISTAKES)
def test_a_mistake_gets_a_short_answer(command: Command, tmp_path: Path, mistake: Mistake) -> None:
    assert_refused(mistake, tmp_path, command)


def test_a_run_that_is_wrong_is_marked_before_any_trains(command: Command) -> None:
    sweep = OUTPUTS / "s"
    ended = command("-m", *SMALL, "model.dropout=0.1,1.5,0.2", "name=s")
    assert ended.status == 1
    plan = "3 runs: 1 stack of 2, 1 refused\n  refused: dropout=1.5: model.dropout: invalid"
    assert without_notes(ended.out).startswith(plan)
    reason = "model.dropout: invalid value (found 1.5, expected less than or equal to 0.99, or auto)"
    assert ended.err == f"error: 1 of 3 runs failed\n  dropout=1.5: failed, {reason}\n"
    status = {value: status_of(sweep / f"dropout={value}") for value in (0.1, 1.5, 0.2)}
    assert status == {0.1: "done", 1.5: "failed", 0.2: "done"}
    assert yaml.safe_load((sweep / "dropout=1.5/config.yaml").read_text())["model"]["dropout"] == 1.5
    (sweep / "dropout=0.3").touch()  # where a run would be
    ended = command("-m", *SMALL, "model.dropout=0.1,0.3,0.4", "name=s")
    assert ended.err.splitlines()[0] == "error: 2 of 5 runs failed"
    assert status_of(sweep / "dropout=0.4") == "done"


def test_a_logger_that_fails_takes_its_own_run(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails_for_the_first(_: CSVLogger, values: dict[str, object]) -> None:
        if values["seed"] == 0:
            raise ValueError("no such project")

    monkeypatch.setattr(CSVLogger, "log_hyperparams", fails_for_the_first)
    logger = "+logger.csv._target_=lightning.pytorch.loggers.CSVLogger"
    ended = command("-m", *SMALL, logger, "seed=0,1,2", "name=s")
    assert ended.err.splitlines()[0] == "error: 1 of 3 runs failed"
    assert "no such project" in ended.err
    statuses = [status_of(OUTPUTS / f"s/seed={seed}") for seed in range(3)]
    assert statuses == ["failed", "done", "done"]


def test_a_sweep_of_folds_shows_baselines_and_networks_as_a_run_alone_trains_them(succeed: Command) -> None:
    small = (*SMALL[:4], "trainer.max_epochs=1", "data/split=kfold", "baselines=[linear]")
    printed = succeed("train", "-m", *small, "++data.split.fold=1,2", "name=s").out
    assert "2 folds" in printed
    assert "To train the best" not in printed
    folds = [metrics_of(OUTPUTS / f"s/fold={fold}") for fold in (1, 2)]
    rmse = [fold["linear/test/rmse"] for fold in folds]
    assert re.search(rf"ridge regression .* {np.mean(rmse):.4g} ± {np.std(rmse, ddof=1):.2g} ", printed)
    succeed("train", *small, "data.split.fold=2", "name=alone")
    assert folds[1]["members"] == 8
    assert {**folds[1], "seconds": 0} == {**metrics_of(OUTPUTS / "alone"), "seconds": 0}


def test_a_sweep_says_how_its_winner_is_trained(succeed: Command) -> None:
    small = ("data=synthetic", "data.rows=60", "model.hidden=[4]", "trainer.max_epochs=1", "baselines=[]")
    ended = succeed("train", "-m", *small, "optimizer.lr=1e-9,0.01", "++seed=range(2)", "name=s")
    said, command = ended.out.partition("\nTo train the best")[2].splitlines()[:2]
    values = [*small, "optimizer.lr=0.01", "ensemble=1"]
    assert shlex.split(command)[-len(values) :] == values
    assert said == " again, or with ensemble=8 as an ensemble:"
    succeed("train", *values, "seed=1", "name=again")
    fold, again = (metrics_of(OUTPUTS / name) for name in ("s/seed=1,lr=0.01", "again"))
    assert {**fold, "seconds": 0} == {**again, "seconds": 0}


def at_epoch(patch: pytest.MonkeyPatch, epoch: int, do: Callable[[], object]) -> None:
    """Does something before an epoch of each stack of several runs."""
    start = BlockModule.begin_epoch

    def begin(module: BlockModule) -> None:
        if len(module.configs) > 1 and module.progress.epoch == epoch:
            do()
        start(module)

    patch.setattr(BlockModule, "begin_epoch", begin)


def test_a_signal_ends_a_sweep_that_is_saved(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    at_epoch(monkeypatch, 2, lambda: signal.raise_signal(signal.SIGTERM))
    ended = command("-m", *SMALL, "seed=range(4)", "hydra.launcher.max_members=2")
    assert ended.status == 128 + signal.SIGTERM, ended
    [folder] = OUTPUTS.iterdir()
    expected = "stopped by SIGTERM after step 7; everything is saved\n  to continue: the same command"
    assert ended.err == f"{expected} with hydra.sweep.dir={folder}\n"
    runs = sorted(folder.glob("seed=*"))
    assert [run.name for run in runs] == ["seed=0", "seed=1"]
    assert [status_of(run) for run in runs] == ["interrupted"] * 2
    assert [checkpoint.load(run / "checkpoints/last.ckpt")["epoch"] for run in runs] == [2, 2]


def test_what_breaks_a_stack_ends_no_other_run(succeed: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    at_epoch(monkeypatch, 4, Mock(side_effect=RuntimeError("it breaks")))
    succeed("train", "-m", *SMALL, "seed=1,2", "callbacks.checkpoint.every_minutes=0", "name=s")
    for run in OUTPUTS.glob("s/seed=*"):
        log = (run / "train.log").read_text()
        assert log.count("epoch 1/5") == 1
        assert "RuntimeError: it breaks" in log
        assert "resumes after epoch 4" in log


SPACE = ("optimizer.lr=tag(log,interval(1e-3,1e-1))", "model.dropout=interval(0,0.5)")
SEARCH = ("-m", *SMALL, "monitor=val/rmse", "name=s", *SPACE, "sweep.batch=4")


def states_of(root: Path) -> list[TrialState]:
    """The states of a study's trials, as Optuna's own functions load them."""
    import optuna

    backend = optuna.storages.journal.JournalFileBackend(str(root / "study.journal"))
    storage = optuna.storages.JournalStorage(backend)
    return [trial.state for trial in optuna.load_study(study_name="search", storage=storage).trials]


def test_a_search_is_summarised_and_its_best_trial_can_be_trained_again(succeed: Command) -> None:
    common = [word for word in SEARCH if not word.startswith(("model.hidden", "baselines"))]
    shapes = ("model.hidden=choice([8,8],[4])", "sweep.trials=4")
    printed = succeed("train", *common, *shapes, "baselines=[linear]").out
    root = OUTPUTS / "s"
    assert states_of(root) == [TrialState.COMPLETE] * 4
    metrics = {run.name: {**metrics_of(run), "seconds": 0} for run in sorted(root.glob("trial-*"))}
    best = yaml.safe_load((root / BEST_TRIAL_FILE).read_text())
    values = {name: each["val/rmse"] for name, each in metrics.items()}
    assert values[best["trial"]] == best["value"] == min(values.values())
    tested = [name for name, each in metrics.items() if "test/rmse" in each]
    assert tested == [best["trial"]]  # the test rows were scored once

    for words in ("4 trials: 4 done", best["trial"], "ridge", "ensemble=8 as an ensemble"):
        assert words in printed
    assert best["command"] in printed.splitlines()
    assert max(map(len, printed.split("sweep folder")[0].splitlines())) <= 80

    overrides = best["command"][best["command"].index("data=") :]
    succeed("train", *shlex.split(overrides), "name=again")
    assert {**metrics_of(OUTPUTS / "again"), "seconds": 0} == metrics[best["trial"]]


def test_a_search_is_extended_but_not_changed(command: Command, succeed: Command) -> None:
    root, table = OUTPUTS / "s", Path("t.csv")
    table.write_text("a,y\n" + "".join(f"{n},{n * n % 17}\n" for n in range(60)))
    of_table = ("data=csv", "data.path=t.csv", "data.target=y", "data.batch_size=16", *SMALL[3:])
    search = ("-m", *of_table, *SPACE, "sweep.batch=4", "name=s")
    succeed("train", *search, "sweep.trials=2")
    written = {path: path.stat().st_mtime_ns for path in root.glob("trial-*/checkpoints/best.ckpt")}
    assert "3 trials: 3 done" in succeed("train", *search, "sweep.trials=3").out
    assert len(list(root.glob("trial-*"))) == 3
    assert {path: path.stat().st_mtime_ns for path in written} == written

    # The first trial is the run without the search, but for its name in the log.
    succeed("train", *of_table, "name=alone", "ensemble=1", "test=false")
    first, alone = (left_behind(OUTPUTS / name) for name in ("s/trial-0000", "alone"))
    assert first | {"log": alone["log"]} == alone

    ended = command(*search, "threads=2")  # other sums, so other bits
    assert_short_answer(ended, ["threads: differs from the search in "])
    table.write_text(table.read_text().replace("\n3,9\n", "\n3,8\n"))
    assert_short_answer(command(*search), ["t.csv: has changed since training"])
    assert len(states_of(root)) == 3


def test_trials_that_fail_do_not_end_a_search_but_its_exit_code_is_1(command: Command) -> None:
    ended = command(*SEARCH, "loss=choice(auto,cross_entropy)", "sweep.trials=8", "sweep.sampler=random")
    assert ended.status == 1
    states = states_of(OUTPUTS / "s")  # a batch has one loss, and cross entropy is not for numbers
    assert states == [TrialState.COMPLETE] * 4 + [TrialState.FAIL] * 4
    assert "8 trials: 4 done, 4 failed" in ended.out
    assert "4 of 8 trials failed" in ended.err
    assert "trial-0004: loss=cross_entropy: is for classes" in ended.err


def test_a_search_ends_at_its_time_with_several_trials(succeed: Command) -> None:
    """Of networks whose training would take hours, in stacks of two."""
    common = [word for word in SEARCH if not word.startswith("trainer.max_epochs")]
    patient = ("callbacks.early_stopping.patience=1000000", "trainer.max_epochs=10000000")
    stacks = ("hydra.launcher.max_members=2", "hydra.launcher.workers=1")
    printed = succeed("train", *common, *patient, *stacks, "sweep.minutes=0.001").out
    root = OUTPUTS / "s"
    assert states_of(root) == [TrialState.COMPLETE] * 4
    reasons = {run.name: metrics_of(run)["reason"] for run in root.glob("trial-*")}
    assert all(re.match("the time was over after epoch .* of 10000000", each) for each in reasons.values())
    best = yaml.safe_load((root / BEST_TRIAL_FILE).read_text())["trial"]
    assert f"{best}: {reasons[best]}; the command below trains it in full" in printed
