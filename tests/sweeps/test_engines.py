"""How stacks are handed to workers, whatever the engine: workers here train at once, or as a test says."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from threading import Timer

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import ROOT, SMALL, resolved, status_of

from mlplab import config
from mlplab.config import parse_launcher
from mlplab.data.cache import DataCache
from mlplab.errors import CannotWrite, Fault, RunFailed, UserError
from mlplab.runs.discovery import read_metrics
from mlplab.runs.run import Run
from mlplab.sweeps.checks import check_installed
from mlplab.sweeps.engines import drive as driving
from mlplab.sweeps.engines import worker
from mlplab.sweeps.engines.drive import drive
from mlplab.sweeps.engines.engine import Engine, WorkerLost
from mlplab.sweeps.engines.processes import DEVICES, Processes
from mlplab.sweeps.engines.slurm_queue import SlurmQueue
from mlplab.sweeps.engines.sweep_engine import SweepEngine
from mlplab.sweeps.engines.worker import Assignment, Reply, train_assigned
from mlplab.sweeps.train_stack import Outcome, RunRaised, StackJob, mark_failed

Answer = Callable[[Assignment], Reply]


class Here(Engine):
    """Trains each stack at once, but first gives these answers."""

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.handed_over, self.stopped = list(answers), 0, False

    def room(self, working: int) -> int:
        return 1 - working

    def submit(self, assignments: Sequence[Assignment], cache: DataCache) -> list[Future[Reply]]:
        (assignment,), future = assignments, Future[Reply]()
        self.handed_over += 1
        try:
            future.set_result((self.answers.pop(0) if self.answers else train_assigned)(assignment))
        except WorkerLost as error:
            future.set_exception(error)
        return [future]

    def stop(self) -> str:
        self.stopped = True
        return ""

    def close(self) -> None:
        pass


def lost(_: Assignment) -> Reply:
    raise WorkerLost("it was struck by lightning")


@pytest.fixture
def stack(tmp_path: Path) -> StackJob:
    (tmp_path / "plan.json").touch()
    run = Run(resolved(*SMALL, "figures=none", "baselines=[]"), tmp_path / "run")
    return StackJob("stack 1 of 1", [run], tmp_path / "stacks/c.ckpt")


def driven(stack: StackJob, engine: Engine) -> Outcome:
    (outcome,) = drive([stack], engine, stack.runs[0].folder.parent / "plan.json", DataCache()).values()
    return outcome


def test_a_lost_worker_is_replaced(stack: StackJob) -> None:
    engine = Here(lost, lost)
    outcome = driven(stack, engine)
    assert not isinstance(outcome, RunFailed)
    assert outcome["status"] == "done"
    assert engine.handed_over == 3


def test_a_stack_that_always_loses_its_worker_fails(stack: StackJob) -> None:
    engine = Here(lost, lost, lost)
    outcome = driven(stack, engine)
    assert str(outcome) == "error: it was struck by lightning; so did 2 workers before"
    assert read_metrics(stack.runs[0].folder)["status"] == "failed"
    assert engine.handed_over == 3


def test_workers_may_be_stopped_more_often(stack: StackJob) -> None:
    engine = Here(*[lambda _: Reply(stopped="stopped by SIGTERM")] * 5)
    assert not isinstance(driven(stack, engine), RunFailed)


def test_a_run_that_raises_is_tried_once_more(stack: StackJob) -> None:
    folder, run = stack.runs[0].folder, stack.runs[0].config

    def raising(_: Assignment) -> Reply:
        return Reply({folder: RunRaised(*mark_failed(folder, run.plain(), "ValueError: it raises").args)})

    assert not isinstance(driven(stack, Here(raising)), RunFailed)
    engine = Here(raising, raising)
    stack.file.parent.mkdir(exist_ok=True)
    assert isinstance(driven(stack, engine), RunFailed)
    assert engine.handed_over == 2


def test_it_is_also_tried_once_more_if_a_worker_was_lost_before(stack: StackJob) -> None:
    folder, run = stack.runs[0].folder, stack.runs[0].config

    def raising(_: Assignment) -> Reply:
        return Reply({folder: RunRaised(*mark_failed(folder, run.plain(), "ValueError: it raises").args)})

    assert not isinstance(driven(stack, Here(lost, raising)), RunFailed)


def test_a_reply_without_the_run_is_none(stack: StackJob) -> None:
    engine = Here(lambda _: Reply({Path("other"): {}}))
    assert not isinstance(driven(stack, engine), RunFailed)
    assert engine.handed_over == 2


def test_an_error_of_the_command_stops_the_workers(stack: StackJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StackJob, "finished_message", property(lambda _: 1 / 0))
    engine = Here()
    with pytest.raises(ZeroDivisionError):
        driven(stack, engine)
    assert engine.stopped


def test_a_run_that_is_refused_is_not_tried_again(stack: StackJob) -> None:
    folder = stack.runs[0].folder
    engine = Here(lambda _: Reply({folder: RunFailed("its loss is not finite")}))
    assert isinstance(driven(stack, engine), RunFailed)
    assert engine.handed_over == 1


def test_workers_of_another_version_are_refused(stack: StackJob, monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(assignment: Assignment) -> Reply:
        with monkeypatch.context() as patch:
            patch.setattr(worker, "versions", lambda: {**assignment.versions, "torch": "1.0"})
            return train_assigned(assignment)

    engine = Here(elsewhere)
    said = f"torch: is 1.0 on the worker .*, and {version('torch')} where the sweep was started"
    with pytest.raises(UserError, match=said):
        driven(stack, engine)
    assert engine.stopped
    assert not stack.runs[0].folder.exists()


def test_workers_that_do_not_see_the_folder_are_refused(
    stack: StackJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LATE", 0)
    (stack.runs[0].folder.parent / "plan.json").unlink()
    with pytest.raises(UserError, match=r"is not seen by the worker .*\n  work in a folder that all"):
        driven(stack, Here())


def test_a_full_disk_ends_the_sweep(stack: StackJob) -> None:
    engine = Here(lambda _: Reply(disk=OSError(28, "No space left on device", "checkpoints")))
    with pytest.raises(CannotWrite, match="checkpoints: cannot be written: No space left"):
        driven(stack, engine)
    assert engine.stopped


def test_results_that_are_seen_late_are_waited_for(stack: StackJob, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = stack.runs[0].folder / "metrics.json"

    def late(assignment: Assignment) -> Reply:
        reply = train_assigned(assignment)
        hidden = metrics.rename(metrics.with_name("hidden"))
        metrics.write_text('{"stat')
        Timer(0.3, lambda: hidden.replace(metrics)).start()
        return reply

    monkeypatch.setattr(driving, "LOOK_SECONDS", 0.05)
    outcome = driven(stack, Here(late))
    assert not isinstance(outcome, RunFailed)
    assert read_metrics(metrics.parent) == outcome


def test_results_that_are_never_seen_end_the_sweep(stack: StackJob, monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(assignment: Assignment) -> Reply:
        reply = train_assigned(assignment)
        (stack.runs[0].folder / "metrics.json").unlink()
        return reply

    monkeypatch.setattr(driving, "LATE", 0)
    with pytest.raises(UserError, match="run: a worker's results are not seen here"):
        driven(stack, Here(elsewhere))


outcomes = st.one_of(
    st.dictionaries(
        st.sampled_from(["status", "val/rmse", "epochs"]), st.one_of(st.text(), st.floats(-9, 9))
    ),
    st.builds(RunFailed, st.text()),
    st.builds(RunRaised, st.text()),
)


@given(
    st.dictionaries(st.sampled_from([Path("/a"), Path("/b c/d=1")]), outcomes),
    st.text(),
    st.lists(st.builds(Fault, st.text(), st.text())),
)
def test_replies_can_be_written(found: dict[Path, Outcome], stopped: str, refused: list[Fault]) -> None:
    reply = Reply(found, stopped, tuple(refused), OSError(28, "full", "x"))
    read = Reply.from_plain(reply.plain())
    assert {folder: repr(outcome) for folder, outcome in read.outcomes.items()} == {
        folder: repr(outcome) for folder, outcome in found.items()
    }
    assert (read.stopped, read.refused, str(read.disk)) == (stopped, tuple(refused), str(reply.disk))


@pytest.mark.parametrize(
    ("visible", "gpus", "expected"),
    [("", 0, [""] * 3), ("", 2, ["0", "1", "0"]), ("5,3", 2, ["5", "3", "5"])],
    ids=["no GPU", "two", "two of several"],
)
def test_each_process_gets_a_gpu(
    monkeypatch: pytest.MonkeyPatch, visible: str, gpus: int, expected: list[str]
) -> None:
    monkeypatch.setenv(DEVICES, visible)
    with closing(Processes(3, gpus)) as engine:  # or pytest would wait for its processes if this fails
        seen = [each._pool.submit(os.getenv, DEVICES) for each in engine._workers]
        assert [future.result() for future in seen] == expected


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def pid_of(engine: Processes) -> int:
    return engine._workers[0]._pool.submit(os.getpid).result()


@pytest.mark.slow  # the process imports torch
def test_a_process_that_is_killed_while_it_is_idle_is_replaced(stack: StackJob) -> None:
    engine = Processes(1, 0)
    killed = pid_of(engine)
    os.kill(killed, signal.SIGKILL)
    until(lambda: bool(engine._workers[0]._pool._broken))
    outcome = driven(stack, engine)
    assert not isinstance(outcome, RunFailed)
    assert pid_of(engine) != killed
    engine.close()


class Ending:
    """Calls a function with a number where it is unpickled."""

    def __init__(self, function: Callable[[int], object]) -> None:
        self.function = function

    def __reduce__(self) -> tuple[Callable[[int], object], tuple[int]]:
        return self.function, (3,)


@pytest.mark.slow  # the process imports torch
@pytest.mark.parametrize("ending", [sys.exit, os._exit])
def test_a_process_that_ends_is_lost(stack: StackJob, ending: Callable[[int], object]) -> None:
    engine = Processes(1, 0)
    assignment = Assignment.of(stack, stack.runs[0].folder.parent / "plan.json")
    future = engine._workers[0].train(replace(assignment, stack=pickle.dumps(Ending(ending))))
    with pytest.raises(WorkerLost):
        future.result(timeout=60)
    assert engine._workers[0].idle
    engine.close()


def launcher(engine: dict[str, object] | None = None, **section: object) -> config.Launcher:
    return parse_launcher(
        {"max_members": None, "workers": None, "engine": engine or {"name": "local"}} | section
    )


def test_there_is_room_for_a_stack_on_each_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    engine = SweepEngine(launcher(), tmp_path)
    assert engine.slots("auto") == engine.slots("cuda") == 3
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert engine.slots("auto") == engine.slots("cpu") == len(os.sched_getaffinity(0))


def test_more_workers_than_cores_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cores = len(os.sched_getaffinity(0))
    SweepEngine(launcher(workers=cores), tmp_path)
    assert not caplog.records
    SweepEngine(launcher(workers=cores + 1), tmp_path)
    assert [each.getMessage() for each in caplog.records] == [
        f"hydra.launcher.workers={cores + 1}: this machine has {cores} cores"
    ]


SLURM = {
    **{"name": "slurm", "cluster": "slurm", "minutes": 60, "partition": None, "account": None, "qos": None},
    **{"cpus": 1, "memory_gib": None, "gpus": 0, "setup": [], "sbatch": {}},
}
RAY = {"name": "ray", "address": "auto", "cpus": 1, "gpus": 0, "memory_gib": None}


@pytest.mark.parametrize(("engine", "package"), [(SLURM, "submitit"), (RAY, "ray")])
def test_an_engine_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, engine: dict[str, object], package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    extra = engine["name"]
    said = rf"engine={extra}: needs the package {package}, which is .*\n.*uv sync --extra {extra}, or pip "
    with pytest.raises(UserError, match=said):
        check_installed(launcher(engine).engine)


def test_slurm_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with pytest.raises(UserError, match=r"Slurm is not installed here.*\n.*cluster=local"):
        SlurmQueue("mlplab-x").check()
    for name in ("sbatch", "squeue", "scancel", "scontrol", "srun"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(UserError, match=r"Slurm does not answer\n.*squeue --me"):
        SlurmQueue("mlplab-x").check()


@pytest.mark.slow
def test_ray_is_started_here_by_uv_although_another_cluster_is_known(tmp_path: Path) -> None:
    uv = shutil.which("uv") or pytest.skip("needs uv")
    words = (*SMALL, "figures=none", "seed=0,1", f"hydra.sweep.dir={tmp_path}/s", "hydra.launcher.workers=1")
    ray = ("hydra/launcher/engine=ray", "hydra.launcher.engine.address=local")
    done = subprocess.run(
        [uv, "run", "--no-sync", "python", "train.py", "-m", *words, *ray],
        cwd=ROOT / "scripts",
        env=os.environ | {"RAY_ADDRESS": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    assert [status_of(tmp_path / f"s/seed={seed}") for seed in (0, 1)] == ["done", "done"]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"workers": 0}, "hydra.launcher.workers: out of range"),
        ({"max_members": "many"}, "hydra.launcher.max_members: wrong type"),
        ({"engine": {"name": "dask"}}, "hydra.launcher.engine"),
        ({"engine": SLURM | {"minutes": 4}}, "hydra.launcher.engine.minutes: out of range"),
        ({"engine": SLURM | {"partitions": "x"}}, "hydra.launcher.engine.partitions: unknown key"),
        ({"engine": RAY | {"cpus": 0}}, "hydra.launcher.engine.cpus: out of range"),
        ({"gpus": 1}, "hydra.launcher.gpus: unknown key"),
    ],
)
def test_mistakes_in_the_section(section: dict[str, object], said: str) -> None:
    with pytest.raises(UserError) as caught:
        launcher(**section)  # type: ignore[arg-type]
    assert said in str(caught.value)
