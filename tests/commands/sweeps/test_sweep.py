"""`train.py -m` as users run it."""

import json
import shlex
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from commands.mistakes import Mistake, assert_refused, each
from support import SMALL, Ended, left_behind, status_of, without_notes

from mlplab.runs import checkpoint
from mlplab.runs.discovery import read_metrics
from mlplab.training.stack_module import StackModule

Command = Callable[..., Ended]

QUICK = SMALL[:-1]  # without the epochs

SWEEPS = {
    "folds, dropout, rates, early stopping": [
        *("data/split=kfold", "data.split.folds=3", "data.split.fold=range(2)"),
        *("model.dropout=0,0.2", "optimizer.lr=0.03", "callbacks.early_stopping.patience=1"),
        *("scheduler=step", "scheduler.step_size=2"),
    ],
    "a member that diverges, schedules, momentum": [
        *("optimizer=sgd", "optimizer.lr=0.01,1e18", "optimizer.momentum=0,0.9", "scheduler.warmup=0.3"),
        "model/preprocessing=none",
    ],
    "norms, residuals, deltas, clipping": [
        *("model.norm=layer", "model.residual=true", "loss=huber", "loss.delta=0.5,2", "seed=range(2)"),
        *("trainer.gradient_clip_val=0.1", "data.split.seed=1,2"),
    ],
}


@pytest.mark.parametrize(
    "sweep",
    [pytest.param(name, marks=[pytest.mark.slow] * (not name.startswith("folds"))) for name in SWEEPS],
)
@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_in_lockstep_and_one_by_one_leave_the_same_behind(
    command: Command, tmp_path: Path, sweep: str
) -> None:
    # 71 rows: folds differ in size, and the last batch is a short one.
    common = ("data=synthetic", "data.rows=71", "data.batch_size=9", "model.hidden=[8,8]", *SWEEPS[sweep])
    overrides = ("-m", *common, "trainer.max_epochs=8", "data.noise=2", "baselines=[]")
    lockstep = command(*overrides, "name=lockstep")
    alone = command(*overrides, "name=alone", "hydra.launcher.max_members=1")
    assert lockstep.status == alone.status == int("diverges" in sweep), (lockstep.err, alone.err)
    [names] = json.loads((tmp_path / "outputs/lockstep/plan.json").read_text())["stacks"]
    assert sorted(names) == sorted(path.name for path in (tmp_path / "outputs/alone").glob("*=*"))
    runs = {name: left_behind(tmp_path / "outputs/lockstep" / name) for name in names}
    for name, run in runs.items():
        assert run == left_behind(tmp_path / "outputs/alone" / name), name
    curves = [json.dumps(run["curves"]) for run in runs.values() if run["curves"]]
    assert len(set(curves)) == len(curves) >= len(runs) / 2
    if "stopping" in sweep:  # at different epochs
        assert len({run["metrics"]["epochs"] for run in runs.values()}) > 1


def test_a_sweep_prints_its_plan_its_best_runs_and_its_folder(command: Command, tmp_path: Path) -> None:
    ended = command("-m", *SMALL, "optimizer.lr=1e-2,1e-3", "seed=range(3)", "hydra.launcher.max_members=3")
    assert ended.status == 0, ended.err
    lines = without_notes(ended.out).splitlines()
    assert lines[:3] == [
        "6 runs: 2 stacks of 3",
        *(f"stack {number} of 2 finished: 3 runs" for number in (1, 2)),
    ]
    (sweep,) = (tmp_path / "outputs").iterdir()
    assert lines[-6] == f"sweep folder: outputs/{sweep.name}"
    assert lines[-1].endswith(f"tensorboard --logdir outputs/{sweep.name}")
    metrics = {path.name: json.loads((path / "metrics.json").read_text()) for path in sweep.glob("*=*")}
    assert set(metrics) == {f"lr={lr},seed={seed}" for lr in (0.01, 0.001) for seed in range(3)}
    rows = [line.split() for line in lines if line.startswith("│")]
    means = {
        f"lr={lr}": np.mean([metrics[f"lr={lr},seed={seed}"]["val/mae"] for seed in range(3)])
        for lr in (0.01, 0.001)
    }
    assert [row[1] for row in rows] == sorted(means, key=lambda name: means[name])
    assert [row[3] for row in rows] == [f"{means[row[1]]:.4g}" for row in rows]
    assert "mean ± SD over 3 seeds" in lines[-7]


WRONG = {
    "losses that cannot be compared": (
        ["loss=mse,mae,huber", "monitor=val/loss"],
        ["different losses cannot be compared (found loss=mse, loss=mae, loss=huber)", "monitor=val/rmse"],
    ),
    "all values wrong": (
        ["optimizer.lr=0,-1", "hydra/launcher/engine=slurm"],  # which is not here
        ["optimizer.lr: invalid value", "greater than 0"],
    ),
}
"""Overrides and parts of the message, by what is wrong; more of them in `tests/cli/test_compose_sweep.py`."""


@each([Mistake(name, {}, words, said) for name, (words, said) in WRONG.items()])
def test_a_mistake_gets_a_short_answer_and_leaves_nothing(
    command: Command, tmp_path: Path, mistake: Mistake
) -> None:
    assert_refused(mistake, tmp_path, lambda *arguments: command("-m", *arguments))


def test_a_run_that_is_wrong_is_marked_before_any_trains(command: Command, tmp_path: Path) -> None:
    sweep = tmp_path / "outputs/s"
    ended = command("-m", *SMALL, "model.dropout=0.1,1.5,0.2", "sweep.ensemble=2", "name=s")
    assert ended.status == 1
    assert without_notes(ended.out).startswith(
        "3 runs: 1 stack of 2, 1 refused\n  refused: dropout=1.5: model.dropout: invalid"
    )
    assert ended.err.splitlines() == [
        "error: 1 of 3 runs failed",
        "  dropout=1.5: failed, model.dropout: invalid value (found 1.5, "
        "expected less than or equal to 0.99, or auto)",
    ]
    status = {run.name: status_of(run) for run in sweep.glob("dropout=*")}
    assert status == {"dropout=0.1": "done", "dropout=1.5": "failed", "dropout=0.2": "done"}
    assert yaml.safe_load((sweep / "dropout=1.5/config.yaml").read_text())["model"]["dropout"] == 1.5
    assert (sweep / "ensemble-2.json").is_file()  # of the others
    (sweep / "dropout=0.3").touch()  # where a run would be
    ended = command("-m", *SMALL, "model.dropout=0.1,0.3,0.4", "name=s")
    assert ended.err.splitlines()[0] == "error: 2 of 5 runs failed"
    assert status_of(sweep / "dropout=0.4") == "done"


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_a_run_that_diverges_takes_no_other_with_it(command: Command, tmp_path: Path) -> None:
    ended = command(
        *("-m", *SMALL, "optimizer=sgd", "model/preprocessing=none", "optimizer.lr=1e-3,1e20", "seed=1,2"),
        "name=s",
    )
    assert ended.status == 1
    assert "2 of 4 runs failed\n  lr=1e+20,seed=1: diverged, the loss became " in ended.err
    [row] = [line.split() for line in ended.out.splitlines() if line.startswith("│")]
    assert row[1] == "lr=0.001"
    assert "mean ± SD over 2 seeds" in ended.out


def test_the_last_table_has_a_row_for_each_baseline(command: Command, tmp_path: Path) -> None:
    overrides = ("-m", *QUICK[:-1], "trainer.max_epochs=2", "optimizer.lr=1e-3,1e-2", "data/split=kfold")
    folds = ("data.split.folds=3", "data.split.fold=range(2)", "baselines=[linear,constant]", "name=s")
    lines = command(*overrides, *folds).out.splitlines()
    table = [line for line in lines if line.startswith(("│", "┃"))]
    assert max(map(len, table)) <= 80
    assert "mean ± SD over 2 folds" in [line.strip() for line in lines]
    metrics = [
        json.loads(path.read_text()) for path in (tmp_path / "outputs/s").glob("*lr=0.01*/metrics.json")
    ]
    rmse = [each["linear/test/rmse"] for each in metrics]
    (row,) = [[cell.strip() for cell in line.split("│")] for line in table if "ridge regression" in line]
    assert row[1:4] == ["ridge regression", "–", f"{np.mean(rmse):.4g} ± {np.std(rmse, ddof=1):.2g}"]
    assert [line.split()[1] for line in table if "│ mean " in line] == ["mean"]
    swept = ("-m", *QUICK[:-1], "trainer.max_epochs=1", "data.noise=0,1", "baselines=[constant]")
    assert "│ mean " not in command(*swept).out  # no baseline of another table


def trained_by(ended: Ended) -> list[list[str]]:
    """The words of the commands below the line about what was scored."""
    lines = ended.out.splitlines()
    place = next((n for n, line in enumerate(lines) if line.startswith("Single networks were")), None)
    return [] if place is None else [shlex.split(line) for line in lines[place + 1 : place + 3]]


def test_folds_are_of_the_network_that_a_run_alone_trains(command: Command, tmp_path: Path) -> None:
    small = ("data=synthetic", "data.rows=60", "model.hidden=[4]", "trainer.max_epochs=1", "data/split=kfold")
    ended = command("-m", *small, "++data.split.fold=1,2", "name=s")
    assert (ended.status, trained_by(ended)) == (0, [])
    assert command(*small, "data.split.fold=2", "name=alone").status == 0
    fold, alone = (read_metrics(tmp_path / "outputs" / name) for name in ("s/fold=2", "alone"))
    assert fold["members"] == 8
    assert {**fold, "seconds": 0} == {**alone, "seconds": 0}


def test_a_sweep_says_how_its_winner_is_trained(command: Command, tmp_path: Path) -> None:
    small = ("data=synthetic", "data.rows=60", "model.hidden=[4]", "trainer.max_epochs=1", "baselines=[]")
    ended = command("-m", *small, "optimizer.lr=1e-9,0.01", "++seed=range(2)", "name=s")
    commands = trained_by(ended)
    values = [*small, "optimizer.lr=0.01"]
    assert [words[-len(values) - 1 :] for words in commands] == [
        [*values, "ensemble=1"],
        [*values, "ensemble=8"],
    ]
    assert command(*commands[0][-len(values) - 1 :], "seed=1", "name=again").status == 0
    fold, again = (read_metrics(tmp_path / "outputs" / name) for name in ("s/seed=1,lr=0.01", "again"))
    assert {**fold, "seconds": 0} == {**again, "seconds": 0}


def test_a_signal_ends_a_sweep_with_its_checkpoints_written(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = StackModule.begin_epoch

    def signalled(module: StackModule) -> None:
        if module.progress.epoch == 2:
            signal.raise_signal(signal.SIGTERM)
        start(module)

    monkeypatch.setattr(StackModule, "begin_epoch", signalled)
    ended = command("-m", *SMALL, "seed=range(4)", "hydra.launcher.max_members=2")
    assert ended.status == 128 + signal.SIGTERM, ended
    [folder] = (tmp_path / "outputs").iterdir()
    expected = "stopped by SIGTERM after step 7; everything is saved\n  to continue: the same command"
    assert ended.err == f"{expected} with hydra.sweep.dir=outputs/{folder.name}\n"
    assert sorted(path.name for path in folder.glob("seed=*")) == ["seed=0", "seed=1"]
    for run in folder.glob("seed=*"):
        assert status_of(run) == "interrupted"
        assert checkpoint.load(run / "checkpoints/last.ckpt")["epoch"] == 2


def test_what_breaks_a_stack_ends_no_other_run(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = StackModule.begin_epoch

    def broken(module: StackModule) -> None:
        if len(module.configs) > 1 and module.progress.epoch == 4:
            raise RuntimeError("it breaks")
        start(module)

    monkeypatch.setattr(StackModule, "begin_epoch", broken)
    stops = ("callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=0,1000")
    kept = "callbacks.checkpoint.every_minutes=0"
    ended = command("-m", *SMALL, "seed=1,2", *stops, kept, "name=s")
    assert ended.status == 0, ended.err
    for run in (tmp_path / "outputs/s").glob("min_delta=*"):
        log = (run / "train.log").read_text()
        assert log.count("epoch 1/5") == 1
        early = run.name.startswith("min_delta=1000")
        assert ("RuntimeError: it breaks" in log) is not early
        assert ("resumes after epoch 4" in log) is not early
    assert not (tmp_path / "outputs/s/stacks").exists()
