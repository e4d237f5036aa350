"""Runs that are pruned at rungs: which, what they leave, and what becomes of the others."""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from support import Command, events_of, left_behind, resolved, train_into, without_notes

from mlplab.commands.report.comparison import compared
from mlplab.config import Launcher
from mlplab.config.metrics import sign_of
from mlplab.data.cache import DataCache
from mlplab.runs import checkpoint
from mlplab.runs.compare.run_result import read_run
from mlplab.runs.observers.open_run import OpenRun
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.read_folder import read_metrics
from mlplab.sweeps.conclude import summarize
from mlplab.sweeps.engines.engine import Engine, PlannedStack, open_engine
from mlplab.sweeps.launch import launch
from mlplab.training.callbacks.best_weights import BEST
from mlplab.training.callbacks.stopping import StopOnSignal
from mlplab.training.fit import StackTrainer
from mlplab.training.outcome import Outcome
from mlplab.training.rungs import Bracket, Rung

pytestmark = pytest.mark.usefixtures("full_speed")

EPOCHS = 9
RUN = (
    *("data=synthetic", "data.rows=60", "data.batch_size=24", "model.hidden=[8]", "model.dropout=0.1"),
    *("baselines=[]", f"trainer.max_epochs={EPOCHS}", "model.linear_path=false"),
    *("model.activation=relu", "model.piecewise_linear_bins=0", "model.periodic_features=8", "ensemble=1"),
    "callbacks.early_stopping.patience=null",
)
RATES = (0.3, 0.0001, 0.01, 0.03, 0.001, 0.1, 0.003)


def with_rates(*overrides: str, run: Sequence[str] = RUN) -> list[tuple[str, ...]]:
    rates = enumerate(RATES)
    return [(*run, *overrides, f"optimizer.lr={rate}", f"seed={seed}") for seed, rate in rates]


def bracket(*shares: float, earlier: Sequence[float] = ()) -> Bracket:
    return Bracket(tuple(Rung(share, tuple(earlier)) for share in shares))


THIRDS = bracket(1 / 6, 1 / 2)


def best_so_far(run: Path, monitor: str) -> list[float]:
    return [point.value for point in events_of(run).Scalars(monitor + BEST)]


def without_rungs(left: dict[str, Any]) -> dict[str, Any]:
    """Without what rungs and more logs add, and the log, which has the lines of all runs of `train_into`."""
    metrics = {name: value for name, value in left["metrics"].items() if not name.startswith("rung")}
    return left | {"metrics": metrics, "log": None, "files": {*left["files"]}}


IMPATIENT = (*RUN, "callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=1000")
"""Stops before the second rung."""


@pytest.mark.parametrize(
    "members",
    [
        with_rates("data=penguins", "ensemble=2", "monitor=val/auroc", run=RUN[2:]),
        [*with_rates("callbacks.early_stopping.patience=2"), IMPATIENT],
    ],
    ids=["ensembles of classes", "early stopping"],
)
def test_runs_are_pruned_by_the_rule_and_no_others(tmp_path: Path, members: list[tuple[str, ...]]) -> None:
    whole = train_into(tmp_path / "whole", *members)
    found = train_into(tmp_path / "pruned", *members, brackets=[THIRDS] * len(members))
    monitor = resolved(*members[0]).monitor
    curves = [best_so_far(tmp_path / f"whole/{run}", monitor) for run in range(len(members))]
    status = ["done"] * len(members)
    for number, epoch in ((1, 2), (2, 5)):  # the rungs of `THIRDS`
        # Early stopping may have been before; it comes first in an epoch.
        reached = [run for run, each in enumerate(whole) if status[run] == "done" and each["epochs"] > epoch]
        values = {run: sign_of(monitor) * curves[run][epoch - 1] for run in reached}
        kept = max(1, len(reached) // 3)
        for run in reached:
            assert np.float32(found[run][f"rung/{number}"]) == curves[run][epoch - 1]
            if sum(other < values[run] for other in values.values()) >= kept:
                status[run] = "pruned"
                assert (found[run]["rung"], found[run]["epochs"]) == (number, epoch)
                assert found[run]["reason"] == (
                    f"pruned at rung {number} of 2, after epoch {epoch} of {EPOCHS}: "
                    f"{monitor} {curves[run][epoch - 1]:.4g} is not among the best {kept} of {len(reached)}"
                )
                assert f"rung/{number + 1}" not in found[run]
    assert [metrics["status"] for metrics in found] == status
    assert Counter(status).keys() == {"done", "pruned"}
    for run, metrics in enumerate(found):
        folder = tmp_path / f"pruned/{run}"
        if metrics["status"] == "done":
            left, expected = left_behind(folder), left_behind(tmp_path / f"whole/{run}")
            assert without_rungs(left) == without_rungs(expected)
            assert "rung" not in metrics
        else:  # it has curves and checkpoints until its rung, and neither test scores nor predictions
            assert best_so_far(folder, monitor) == curves[run][: metrics["epochs"]]
            assert metrics["best_epoch"] <= metrics["epochs"]
            assert not any("test/" in name for name in metrics)
            assert sorted(path.name for path in folder.glob("checkpoints/*")) == ["best.ckpt", "last.ckpt"]
            assert checkpoint.load(folder / "checkpoints/last.ckpt")["epoch"] == metrics["epochs"]
            assert not (folder / "test_predictions.csv").exists()


def test_a_run_is_pruned_alone_as_in_a_stack(tmp_path: Path) -> None:
    """If only earlier runs count; a stack may even end with no run left."""
    members, against = with_rates("ensemble=2")[:3], bracket(1 / 6, 1 / 2, earlier=[0.0] * 9)
    train_into(tmp_path / "stack", *members, brackets=[against] * 3)
    for run, member in enumerate(members):
        [metrics] = train_into(tmp_path / f"alone{run}", member, brackets=[against])
        assert metrics["reason"].endswith("is not among the best 3 of 10")
        one, other = (left_behind(tmp_path / name) for name in (f"alone{run}/0", f"stack/{run}"))
        assert one["weights"] == other["weights"]


def test_runs_with_other_brackets_are_not_compared(tmp_path: Path) -> None:
    of_runs = [None, bracket(1 / 2), bracket(1 / 2), bracket(1 / 2, 0.9), bracket(1 / 2, earlier=[1e9])]
    found = train_into(tmp_path, *with_rates()[:5], brackets=of_runs)
    assert sorted(metrics["status"] for metrics in found[1:3]) == ["done", "pruned"]
    assert [found[run]["status"] for run in (0, 3, 4)] == ["done"] * 3
    assert ["rung/1" in metrics for metrics in found] == [False, *[True] * 4]


def test_runs_whose_time_is_over_can_go_on(tmp_path: Path, command: Command) -> None:
    """More than half of them are pruned in the same epoch; the stack does not go on without these."""
    members = with_rates("test=false", "optimizer.weight_averaging=false")[:5]
    train_into(tmp_path / "whole", *members)
    found = train_into(tmp_path / "over", *members, brackets=[replace(bracket(0.1), deadline=0.0)] * 5)
    assert sorted(metrics["status"] for metrics in found) == ["done", *["pruned"] * 4]
    [run] = (run for run, metrics in enumerate(found) if metrics["status"] == "done")
    folder, whole = tmp_path / f"over/{run}", left_behind(tmp_path / f"whole/{run}")
    assert found[run]["reason"] == f"the time was over after epoch 1 of {EPOCHS}"
    assert best_so_far(folder, "val/mae") == [np.float32(found[run]["val/mae"])]
    assert command(f"resume={folder}").status == 0
    assert without_rungs(left_behind(folder)) == without_rungs(whole)


def test_stacks_share_the_time_by_what_they_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The small networks train fast, and leave their time to the large ones; two workers, all of it."""
    trained: list[PlannedStack] = []
    monkeypatch.setattr("mlplab.sweeps.launch.train_stack", lambda stack, *_: trained.append(stack))
    monkeypatch.setattr("mlplab.sweeps.launch.drive", lambda stacks, *_: trained.extend(stacks))
    monkeypatch.setattr("mlplab.sweeps.engines.processes.Processes.call", Engine.call)  # in this process
    runs = [*with_rates()[2:6], *((*run, "model.hidden=[512,512]") for run in with_rates()[:2])]
    for workers in (1, 2):
        launched(tmp_path / str(workers), runs, [THIRDS] * 6, max_members=2, workers=workers)
    monkeypatch.setattr("time.time", lambda: 1000.0)
    one, two = trained[:3], trained[3:]
    assert one[1].share == pytest.approx(one[0].share / (1 - one[0].share))
    assert 0 < one[0].share < 0.2
    assert one[2].share == two[2].share == 1
    assert two[0].share == two[1].share == pytest.approx(2 * one[0].share)
    timed = Bracket((), 1400.0), Bracket((), 1000 + 400 * one[0].share)
    for given, expected in (timed, (Bracket(()), Bracket(())), (None, None)):
        stack = replace(one[0], runs=[replace(run, bracket=given) for run in one[0].runs])
        assert [run.bracket for run in stack.beginning_now()] == [expected] * 2


def test_networks_that_have_stopped_keep_their_weights(tmp_path: Path) -> None:
    stops = ("callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=0.3")
    run = (*RUN[:-1], "ensemble=5", "optimizer.lr=0.03", "optimizer.weight_averaging=false", *stops)
    train_into(tmp_path / "whole", run)
    [metrics] = train_into(tmp_path / "pruned", run, brackets=[bracket(1 / 2, earlier=[0.0] * 9)])
    assert (metrics["status"], metrics["epochs"]) == ("pruned", 5)
    last = "0/checkpoints/last.ckpt"
    whole, pruned = (checkpoint.load(tmp_path / name / last)["state"] for name in ("whole", "pruned"))
    equal = {all(torch.equal(whole[name][each], pruned[name][each]) for name in whole) for each in range(5)}
    assert equal == {True, False}  # some had stopped before the rung


def launched(
    root: Path, members: Sequence[Sequence[str]], brackets: Sequence[Bracket | None], **more: Any
) -> list[str]:
    """The statuses of a sweep's runs, which are called 0, 1, …."""
    cache = DataCache()
    runs = [
        PlannedRun(resolved(*member, cache=cache), root / str(number), bracket=each)
        for number, (member, each) in enumerate(zip(members, brackets, strict=True))
    ]
    section = {"max_members": None, "workers": 1, "engine": {"name": "local"}} | more
    engine = open_engine(Launcher.model_validate(section), root, cache, "cpu")
    results = launch(runs, [], engine, Console(quiet=True))
    engine.close()
    return [results[run.folder].metrics["status"] for run in runs if run.folder in results]


MIXED: Sequence[Bracket | None] = (None, bracket(1 / 6, 1 / 2), bracket(1 / 6, 1 / 2), bracket(1 / 2), None)
"""Brackets of a stack in which one of five runs is pruned, so that it does not shrink at once."""


def test_a_kill_after_a_rung_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rungs are after steps 4 and 10 of 18."""
    members = with_rates("ensemble=2", "callbacks.checkpoint.every_minutes=0")[: len(MIXED)]
    on_step = StopOnSignal.on_step

    def copied(self: StopOnSignal, stack: StackTrainer) -> None:
        if stack.trainer.global_step == 11 and not (tmp_path / "killed").exists():
            shutil.copytree(tmp_path / "whole", tmp_path / "killed")  # as a kill would leave it
        on_step(self, stack)

    monkeypatch.setattr(StopOnSignal, "on_step", copied)
    whole = launched(tmp_path / "whole", members, MIXED)
    assert sorted(whole) == [*["done"] * 4, "pruned"]
    assert {read_metrics(tmp_path / f"killed/{run}")["status"] for run in range(len(MIXED))} == {"running"}
    assert launched(tmp_path / "killed", members, MIXED) == whole
    for number in range(len(MIXED)):
        one, other = (left_behind(tmp_path / f"{name}/{number}") for name in ("whole", "killed"))
        for part in ("metrics", "curves", "config", "weights"):
            assert one[part] == other[part]
        assert one["log"][-1] == other["log"][-1]
        assert any(line.startswith("resumes after epoch") for line in other["log"])


def test_a_kill_amid_pruning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_script: Command) -> None:
    """Comes to the same end; and what has been pruned is no failure, and not trained again."""
    brackets, end, whole = [THIRDS] * len(RATES), OpenRun.end, tmp_path / "whole"

    def copied(run: OpenRun, outcome: Outcome) -> None:
        ended = [path for path in whole.rglob("metrics.json") if "pruned" in path.read_text()]
        if len(ended) == 2 and not (tmp_path / "killed").exists():
            shutil.copytree(whole, tmp_path / "killed")  # as a kill would leave it
        end(run, outcome)

    monkeypatch.setattr(OpenRun, "end", copied)
    found = launched(whole, with_rates(), brackets)
    assert Counter(found) == {"done": 1, "pruned": 6}
    assert launched(tmp_path / "killed", with_rates(), brackets) == found
    for number in range(len(RATES)):
        one, other = (read_metrics(tmp_path / f"{name}/{number}") for name in ("whole", "killed"))
        assert one | {"seconds": 0} == other | {"seconds": 0}

    before = {path: path.stat().st_mtime_ns for path in whole.rglob("metrics.json")}
    assert launched(whole, with_rates(), [bracket(1 / 2, earlier=[1e9] * 9)] * len(RATES)) == found
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("metrics.json")} == before
    runs = [read_run(whole / str(number)) for number in range(len(RATES))]
    assert not summarize(compared(whole, runs), Console(quiet=True))
    run = runs[found.index("pruned")]
    assert run.metrics["reason"] in (run.folder / "train.log").read_text()
    ended = run_script("train", f"resume={run.folder}")
    assert ended.status == 0, ended.err
    assert without_notes(ended.out).startswith(f"whole/{run.folder.name} was pruned at rung ")
