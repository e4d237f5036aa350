"""Runs that are pruned at rungs: which, what they leave, and what becomes of the others."""

import math
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from support import Ended, events_of, left_behind, resolved, train_into, without_notes

from mlplab.commands.report.comparison import compared
from mlplab.config import Launcher
from mlplab.config.metrics import sign_of
from mlplab.data.cache import DataCache
from mlplab.runs import checkpoint
from mlplab.runs.compare.run_result import read_run
from mlplab.runs.discovery import read_metrics
from mlplab.runs.observers.open_run import OpenRun
from mlplab.runs.planned_run import PlannedRun
from mlplab.sweeps.engines.engine import Engine, open_engine
from mlplab.sweeps.launch import launch
from mlplab.sweeps.summary import summarize
from mlplab.sweeps.train_stack import PlannedStack
from mlplab.training.callbacks.best_weights import BEST
from mlplab.training.callbacks.rungs import Bracket, Rung
from mlplab.training.callbacks.stopping import StopOnSignal
from mlplab.training.fit import StackTrainer
from mlplab.training.optimization.optimizers import MemberOptimizer
from mlplab.training.outcome import Metrics, Outcome

pytestmark = pytest.mark.usefixtures("full_speed")

EPOCHS = 9
RUN = (
    *("data=synthetic", "data.rows=60", "data.batch_size=24", "model.hidden=[8]", "model.dropout=0.1"),
    *("baselines=[]", f"trainer.max_epochs={EPOCHS}", "model.linear_path=false"),
    *("model.activation=relu", "model.piecewise_linear_bins=0", "model.periodic_features=8", "ensemble=1"),
)
RATES = (0.3, 0.0001, 0.01, 0.03, 0.001, 0.1, 0.003)


def with_rates(*overrides: str) -> list[tuple[str, ...]]:
    """Runs with different learning rates."""
    rates = enumerate(RATES)
    return [(*RUN, *overrides, f"optimizer.lr={rate}", f"seed={seed}") for seed, rate in rates]


def bracket(*shares: float, earlier: Sequence[float] = ()) -> Bracket:
    return Bracket(tuple(Rung(share, tuple(earlier)) for share in shares))


RUNGS = {1: 2, 2: 5}
"""The epochs of the rungs of `THIRDS`."""

THIRDS = bracket(1 / 6, 1 / 2)


def best_so_far(run: Path, monitor: str) -> list[float]:
    """The best monitored metric until each epoch, as the run logged it."""
    return [point.value for point in events_of(run).Scalars(monitor + BEST)]


def without_rungs(left: dict[str, Any]) -> dict[str, Any]:
    """Without what rungs add, and the log, which has the lines of all runs of `train_into`."""
    metrics = {name: value for name, value in left["metrics"].items() if not name.startswith("rung")}
    return {name: value for name, value in left.items() if name != "log"} | {"metrics": metrics}


KINDS: dict[str, tuple[str, ...]] = {
    "ensembles": ("ensemble=2",),
    "ensembles of classes": ("data=penguins", "ensemble=2", "monitor=val/auroc"),
    "early stopping": ("callbacks.early_stopping.patience=2", "trainer.precision=64"),
}


def of_kind(kind: str) -> list[tuple[str, ...]]:
    members = with_rates(*KINDS[kind])
    if KINDS[kind][:1] == ("data=penguins",):
        members = [tuple(word for word in run if word not in RUN[:2]) for run in members]
    return members


@pytest.mark.parametrize("kind", ["ensembles of classes", "early stopping"])
def test_runs_are_pruned_by_the_rule_and_the_others_left_alone(tmp_path: Path, kind: str) -> None:
    members = of_kind(kind)
    whole = train_into(tmp_path / "whole", *members)
    found = train_into(tmp_path / "pruned", *members, brackets=[THIRDS] * len(members))
    monitor = resolved(*members[0]).monitor
    curves = [best_so_far(tmp_path / f"whole/{run}", monitor) for run in range(len(members))]
    status = ["done"] * len(members)
    for number, epoch in RUNGS.items():
        # Early stopping may have been before; it comes first in an epoch.
        reached = [
            run for run, metrics in enumerate(whole) if status[run] == "done" and (metrics["epochs"] > epoch)
        ]
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
    for run, ended in enumerate(status):
        folder = tmp_path / f"pruned/{run}"
        if ended == "done":
            left = left_behind(folder)
            assert without_rungs(left) == without_rungs(left_behind(tmp_path / f"whole/{run}"))
            assert "rung" not in left["metrics"]
        else:
            assert_pruned(folder, curves[run], monitor)


def assert_pruned(run: Path, curve: Sequence[float], monitor: str) -> None:
    """A pruned run has curves and checkpoints until its rung, and neither test scores nor predictions."""
    metrics = read_metrics(run)
    epochs = metrics["epochs"]
    assert best_so_far(run, monitor) == list(curve[:epochs])
    assert 1 <= metrics["best_epoch"] <= epochs
    assert not any("test/" in name for name in metrics)
    assert metrics["seconds"] > 0
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert checkpoint.load(run / "checkpoints/last.ckpt")["epoch"] == epochs
    assert not (run / "test_predictions.csv").exists()


def test_a_run_is_pruned_alone_as_in_a_stack(tmp_path: Path) -> None:
    """If only earlier runs count; a stack may even end with no run left."""
    members, against = of_kind("ensembles")[:3], bracket(1 / 6, 1 / 2, earlier=[0.0] * 9)
    train_into(tmp_path / "stack", *members, brackets=[against] * 3)
    for run, member in enumerate(members):
        [metrics] = train_into(tmp_path / f"alone{run}", member, brackets=[against])
        assert metrics["reason"].endswith("is not among the best 3 of 10")
        assert (
            left_behind(tmp_path / f"alone{run}/0")["weights"]
            == left_behind(tmp_path / f"stack/{run}")["weights"]
        )


def test_runs_with_other_brackets_are_not_compared(tmp_path: Path) -> None:
    of_runs = [None, bracket(1 / 2), bracket(1 / 2), bracket(1 / 2, 0.9), bracket(1 / 2, earlier=[1e9])]
    found = train_into(tmp_path, *with_rates()[:5], brackets=of_runs)
    assert sorted(metrics["status"] for metrics in found[1:3]) == ["done", "pruned"]
    assert [found[run]["status"] for run in (0, 3, 4)] == ["done"] * 3
    assert [{name for name in metrics if name.startswith("rung")} for metrics in found] == [
        set(),
        *({"rung/1"} | ({"rung"} if metrics["status"] == "pruned" else set()) for metrics in found[1:]),
    ]


def test_runs_whose_time_is_over_are_done_and_can_go_on(
    tmp_path: Path, command: Callable[..., Ended]
) -> None:
    """More than half of them are pruned in the same epoch; the stack does not go on without these."""
    members = with_rates("test=false", "optimizer.weight_averaging=false")[:5]
    train_into(tmp_path / "whole", *members)
    found = train_into(tmp_path / "over", *members, brackets=[replace(bracket(0.1), deadline=0.0)] * 5)
    assert Counter((metrics["status"], metrics["epochs"]) for metrics in found) == {
        ("done", 1): 1,
        ("pruned", 1): 4,
    }
    (run,) = (run for run, metrics in enumerate(found) if metrics["status"] == "done")
    folder, whole = tmp_path / f"over/{run}", left_behind(tmp_path / f"whole/{run}")
    assert found[run]["reason"] == f"the time was over after epoch 1 of {EPOCHS}"
    assert best_so_far(folder, "val/mae") == [np.float32(found[run]["val/mae"])]
    assert command(f"resume={folder}").status == 0
    left = without_rungs(left_behind(folder))
    assert {**left, "files": whole["files"]} == without_rungs(whole)  # two of TensorBoard's


def test_stacks_share_the_time_that_is_left_by_what_they_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The small networks train fast, and leave their time to the large ones; two workers, all of it."""
    trained: list[PlannedStack] = []
    monkeypatch.setattr("mlplab.sweeps.train_stack.train_stack", lambda stack, *_: trained.append(stack))
    monkeypatch.setattr("mlplab.sweeps.launch.drive", lambda stacks, *_: trained.extend(stacks))
    monkeypatch.setattr("mlplab.sweeps.engines.processes.Processes.call", Engine.call)  # in this process
    large = [(*run, "model.hidden=[512,512]") for run in with_rates()[:2]]
    for workers in (1, 2):
        runs = [*with_rates()[2:6], *large]
        launched(tmp_path / str(workers), runs, [THIRDS] * 6, max_members=2, workers=workers)
    monkeypatch.setattr("time.time", lambda: 1000.0)
    one, two = trained[:3], trained[3:]
    assert one[1].share == pytest.approx(one[0].share / (1 - one[0].share))
    assert 0 < one[0].share < 0.2
    assert one[2].share == two[2].share == 1
    assert two[0].share == two[1].share == pytest.approx(2 * one[0].share)
    for deadline, expected in ((1400.0, 1000 + 400 * one[0].share), (math.inf, math.inf)):
        runs = [replace(run, bracket=Bracket((), deadline)) for run in one[0].runs]
        timed = replace(one[0], runs=runs).beginning_now()
        assert [run.bracket and run.bracket.deadline for run in timed] == [expected] * 2
    untimed = replace(one[0], runs=[replace(run, bracket=None) for run in one[0].runs])
    assert untimed.beginning_now() == untimed.runs


def test_what_has_stopped_already_is_not_compared(tmp_path: Path) -> None:
    patient = with_rates()[:3]  # more than half, so the stack does not shrink before the rung
    impatient = (*RUN, "callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=1000")
    diverging = (*RUN, "optimizer.lr=1e30")
    found = train_into(tmp_path, *patient, impatient, diverging, brackets=[bracket(1 / 2)] * 5)
    assert Counter(metrics["status"] for metrics in found[:3]) == {"done": 1, "pruned": 2}
    assert all(metrics.get("reason", "best 1 of 3").endswith("best 1 of 3") for metrics in found[:3])
    assert [metrics["status"] for metrics in found[3:]] == ["done", "diverged"]
    assert ["rung/1" in metrics for metrics in found] == [True] * 3 + [False] * 2


def test_networks_that_have_stopped_keep_their_weights(tmp_path: Path) -> None:
    stops = ("callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=0.3")
    run = (*RUN[:-1], "ensemble=5", "optimizer.lr=0.03", "optimizer.weight_averaging=false", *stops)
    train_into(tmp_path / "whole", run)
    [metrics] = train_into(tmp_path / "pruned", run, brackets=[bracket(1 / 2, earlier=[0.0] * 9)])
    assert (metrics["status"], metrics["epochs"]) == ("pruned", 5)
    whole, pruned = (
        checkpoint.load(tmp_path / f"{name}/0/checkpoints/last.ckpt")["state"] for name in ("whole", "pruned")
    )
    equal = [
        all(torch.equal(tensor[member], pruned[name][member]) for name, tensor in whole.items())
        for member in range(5)
    ]
    assert set(equal) == {True, False}  # some had stopped before the rung


def test_the_stack_shrinks_by_what_is_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of nine runs three go on after an epoch, and one of these after three of nine."""
    members = Counter[int]()
    advance = MemberOptimizer.advance

    def counted(self: MemberOptimizer, steps: int) -> None:
        members[len(self.settings)] += steps
        advance(self, steps)

    monkeypatch.setattr(MemberOptimizer, "advance", counted)
    nine = [(*RUN, f"optimizer.lr={rate}") for rate in (0.1, 0.05, 0.02, 0.01, 0.005, 2e-3, 1e-3, 5e-4, 1e-4)]
    found = train_into(tmp_path, *nine, brackets=[bracket(1 / 9, 1 / 3)] * 9)
    assert Counter(metrics["status"] for metrics in found) == {"pruned": 8, "done": 1}
    steps = 2  # of an epoch
    assert members == {9: 1 * steps, 3: 2 * steps, 1: 6 * steps}  # 21 of 81 epochs


def launched(
    root: Path, members: Sequence[Sequence[str]], brackets: Sequence[Bracket | None], **more: Any
) -> dict[str, Metrics]:
    """The metrics of a sweep by the names of its runs, 0, 1, …."""
    cache = DataCache()
    runs = [
        PlannedRun(resolved(*member, cache=cache), root / str(number), bracket=each)
        for number, (member, each) in enumerate(zip(members, brackets, strict=True))
    ]
    section = {"max_members": None, "workers": 1, "engine": {"name": "local"}} | more
    engine = open_engine(Launcher.model_validate(section), root, cache, "cpu")
    results = launch(runs, [], engine, Console(quiet=True))
    engine.close()
    return {folder.name: found.metrics for folder, found in results.items()}


def statuses(metrics: Mapping[str, Metrics]) -> list[str]:
    return [metrics[name]["status"] for name in sorted(metrics)]


MIXED: Sequence[Bracket | None] = (None, bracket(1 / 6, 1 / 2), bracket(1 / 6, 1 / 2), bracket(1 / 2), None)
"""Brackets of a stack in which one of five runs is pruned, so that it does not shrink at once."""


def test_a_stack_killed_after_a_rung_comes_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rungs are after steps 4 and 10 of 18."""
    members = [(*run, "callbacks.checkpoint.every_minutes=0") for run in of_kind("ensembles")[: len(MIXED)]]
    on_step = StopOnSignal.on_step

    def copied(self: StopOnSignal, stack: StackTrainer) -> None:
        if stack.trainer.global_step == 11 and not (tmp_path / "killed").exists():
            shutil.copytree(tmp_path / "whole", tmp_path / "killed")  # as a kill would leave it
        on_step(self, stack)

    monkeypatch.setattr(StopOnSignal, "on_step", copied)
    whole = launched(tmp_path / "whole", members, MIXED)
    assert Counter(statuses(whole)) == {"done": 4, "pruned": 1}
    running = {read_metrics(tmp_path / f"killed/{number}")["status"] for number in range(len(MIXED))}
    assert running == {"running"}
    resumed = launched(tmp_path / "killed", members, MIXED)
    assert statuses(resumed) == statuses(whole)
    for number in range(len(MIXED)):
        one, other = (left_behind(tmp_path / f"{name}/{number}") for name in ("whole", "killed"))
        for part in ("metrics", "curves", "config", "weights"):
            assert one[part] == other[part]
        assert one["log"][-1] == other["log"][-1]
        assert any(line.startswith("resumes after epoch") for line in other["log"])
        predictions = [tmp_path / f"{name}/{number}/test_predictions.csv" for name in ("whole", "killed")]
        if one["metrics"]["status"] == "done":
            assert predictions[0].read_bytes() == predictions[1].read_bytes()


def test_a_stack_killed_while_pruned_runs_are_written_comes_to_the_same_end(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    run_script: Callable[..., Ended],
) -> None:
    """And what has been pruned is no failure, and not trained again."""
    brackets, end, whole = [THIRDS] * len(RATES), OpenRun.end, tmp_path / "whole"

    def copied(run: OpenRun, outcome: Outcome) -> None:
        ended = [path for path in whole.rglob("metrics.json") if "pruned" in path.read_text()]
        if len(ended) == 2 and not (tmp_path / "killed").exists():
            shutil.copytree(whole, tmp_path / "killed")  # as a kill would leave it
        end(run, outcome)

    monkeypatch.setattr(OpenRun, "end", copied)
    found = launched(whole, with_rates(), brackets)
    assert Counter(statuses(found)) == {"done": 1, "pruned": 6}
    assert (tmp_path / "killed").exists()
    assert statuses(launched(tmp_path / "killed", with_rates(), brackets)) == statuses(found)
    for number in range(len(RATES)):
        one, other = (read_metrics(tmp_path / f"{name}/{number}") for name in ("whole", "killed"))
        assert one | {"seconds": 0} == other | {"seconds": 0}

    before = {path: path.stat().st_mtime_ns for path in whole.rglob("metrics.json")}
    again = launched(whole, with_rates(), [bracket(1 / 2, earlier=[1e9] * 9)] * len(RATES))
    assert statuses(again) == statuses(found)
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("metrics.json")} == before
    runs = [read_run(whole / str(number)) for number in range(len(RATES))]
    assert not summarize(compared(whole, runs), Console())
    assert "val/mae" in capsys.readouterr().out
    run = next(run for run in runs if run.metrics["status"] == "pruned")
    assert run.metrics["reason"] in (run.folder / "train.log").read_text()
    ended = run_script("train", f"resume={run.folder}")
    assert ended.status == 0, ended.err
    assert without_notes(ended.out).startswith(f"whole/{run.folder.name} was pruned at rung ")
    assert f"{run.metrics['val/mae']:.4g}" in ended.out
    ended = run_script("evaluate", f"run={run.folder}")
    assert ended.status == 2
    assert f"contains no finished run (found {run.folder.name}: pruned)" in ended.err
