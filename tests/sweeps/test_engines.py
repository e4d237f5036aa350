"""How stacks are handed to workers, whatever the engine: workers here train at once, or as a test says."""

import json
import os
import pickle
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from threading import Timer
from typing import Any
from unittest.mock import Mock

import polars as pl
import pytest
import submitit
import torch
from rich.console import Console
from slurm.fake_slurm import FakeSlurm
from support import SMALL, process, resolved, status_of

from mlplab import config
from mlplab.config import Launcher, validated
from mlplab.data.cache import DataCache
from mlplab.errors import CannotWrite, Fault, FolderInUse, UserError, cannot_write
from mlplab.files import FolderLock
from mlplab.runs.folder import RunFolder
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.read_folder import read_metrics
from mlplab.runs.train_runs import train_runs
from mlplab.sweeps.engines import drive as driving
from mlplab.sweeps.engines import processes, worker
from mlplab.sweeps.engines import slurm as slurm_engine
from mlplab.sweeps.engines.drive import drive
from mlplab.sweeps.engines.engine import Engine, PlannedStack, WorkerLost, open_engine
from mlplab.sweeps.engines.processes import VISIBLE_DEVICES, Processes
from mlplab.sweeps.engines.worker import AS_STACK, run_job, train_stack, write_job
from mlplab.sweeps.launch import launch
from mlplab.training.rungs import Bracket, Rung

Train = Callable[..., object]  # what a worker does with the file of a stack

DISK_IS_FULL = OSError(28, "No space left on device", "checkpoints")
FULL_DISK = Mock(side_effect=DISK_IS_FULL)
NO_LOCKS = Mock(side_effect=UserError(Fault("no file locks")))

QUIET = Console(quiet=True)


def launcher(engine: dict[str, object] | None = None, **section: object) -> config.Launcher:
    values = {"max_members": None, "workers": None, "engine": engine or {"name": "local"}} | section
    return validated(values, Launcher, "hydra", "launcher")


def planned(root: Path, name: str, *overrides: str) -> PlannedStack:
    (root / "stacks").mkdir(parents=True, exist_ok=True)
    section = resolved(*SMALL, "figures=none", "baselines=[]", "scheduler=constant", *overrides)
    return PlannedStack(f"stack {name}", [PlannedRun(section, root / name)], root / f"stacks/{name}.ckpt")


@pytest.fixture
def stack(tmp_path: Path) -> PlannedStack:
    return planned(tmp_path, "run")


def ends_as(status: str) -> Train:
    def train(path: Path) -> None:
        [run] = AS_STACK.validate_python(json.loads(path.read_text())["stack"]).runs
        folder = RunFolder(run.folder)
        if not folder.path.exists():
            folder.create(run.config.plain())
        folder.write_metrics({"status": status, "reason": "a reason"})  # type: ignore[arg-type]
        folder.lock.release()

    return train


def with_patch(target: object, name: str, value: object) -> Train:
    """A worker on a machine that differs from this one."""

    def train(path: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(target, name, value)
            run_job(path)

    return train


class Here(Engine):
    """Gives each stack to a worker at once; after the first ones, each ends well."""

    def __init__(self, *ways: Train) -> None:
        self.ways, self.handed_over, self.stopped = list(ways), 0, False
        super().__init__(launcher(), Path(), DataCache(), "cpu")

    def submit(self, stacks: Sequence[PlannedStack]) -> list[Future[object]]:
        (stack,), future = stacks, Future[object]()
        self.handed_over += 1
        try:
            future.set_result((self.ways.pop(0) if self.ways else ends_as("done"))(write_job(stack)))
        except Exception as error:
            future.set_exception(pickle.loads(pickle.dumps(error)))  # as from another process
        return [future]

    def error(self, job: Future[object]) -> BaseException | None:
        return job.exception()

    def stop(self, *, at_once: bool = False) -> str:
        self.stopped = True
        return ""

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("ways", "status", "times"),
    [
        (["lost", "lost"], "done", 3),
        (["lost"] * 3, "failed", 3),
        (["interrupted"] * 9, "done", 10),
        (["interrupted"] * 10, "interrupted", 10),
        (["lost", "failed"], "done", 3),  # a run that fails is tried once more
        (["failed"] * 2, "failed", 2),
        (["diverged"], "diverged", 1),
    ],
    ids=str,
)
def test_a_stack_is_handed_over_again(stack: PlannedStack, ways: list[str], status: str, times: int) -> None:
    lost = Mock(side_effect=WorkerLost("it was struck by lightning"))
    engine = Here(*(lost if way == "lost" else ends_as(way) for way in ways))
    drive([stack], engine, 1)
    assert (status_of(stack.runs[0].folder), engine.handed_over) == (status, times)
    if ways == ["lost"] * 3:
        reason = read_metrics(stack.runs[0].folder)["reason"]
        assert reason == "it was struck by lightning; so did 2 workers before"


@pytest.mark.parametrize(
    ("way", "message"),
    [
        (with_patch(worker, "versions", lambda: {"torch": "1.0"}), r"worker .*found .*torch 1.0"),
        (lambda path: run_job(path.with_name("other")), "is not seen by the worker .*"),
        (lambda path: None, "run: a worker's results are not seen here"),
        (with_patch(FolderLock, "acquire", NO_LOCKS), "no file locks"),
        (with_patch(worker, "train_stack", FULL_DISK), "checkpoints: cannot be written: No space"),
    ],
    ids=["versions", "job not seen", "results not seen", "no locks", "full disk"],
)
def test_what_would_happen_to_all_workers_ends_the_sweep(
    stack: PlannedStack, monkeypatch: pytest.MonkeyPatch, way: Train, message: str
) -> None:
    for module in (worker, driving):
        monkeypatch.setattr(module, "SHARED_FILE_SECONDS", 0)
    engine = Here(way)
    with pytest.raises(CannotWrite if "written" in message else UserError, match=message):
        drive([stack], engine, 1)
    assert engine.stopped
    assert not stack.runs[0].folder.exists()


def test_results_that_are_seen_late_are_waited_for(stack: PlannedStack) -> None:
    metrics = stack.runs[0].folder / "metrics.json"

    def late(path: Path) -> None:
        ends_as("done")(path)
        hidden = metrics.rename(metrics.with_name("hidden"))
        metrics.write_text('{"stat')
        Timer(0.3, lambda: hidden.replace(metrics)).start()

    drive([stack], engine := Here(late), 1)
    assert (status_of(stack.runs[0].folder), engine.handed_over) == ("done", 1)


def test_a_stack_in_use_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "MAX_WAIT_SECONDS", 0)
    monkeypatch.setattr("time.sleep", lambda _: None)
    used, free = (planned(tmp_path, name) for name in ("used", "free"))
    ends_as("running")(write_job(used))
    with FolderLock(used.runs[0].folder):
        drive([used, free], Here(run_job, run_job), 1)
    assert [status_of(each.runs[0].folder) for each in (used, free)] == ["running", "done"]
    assert "stack used: " in caplog.text
    assert "used: is in use by another process" in caplog.text


def test_a_signal_stops_the_workers(stack: PlannedStack) -> None:
    engine = Here(lambda path: signal.raise_signal(signal.SIGTERM) or Mock(side_effect=WorkerLost())(path))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(driving.Interrupted, match="stopped by SIGTERM; everything is saved") as caught:
        drive([stack], engine, 1)
    assert (caught.value.status, engine.stopped) == (143, True)
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.usefixtures("here")
def test_a_job_has_all_of_a_stack(stack: PlannedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[PlannedStack] = []
    monkeypatch.setattr(worker, "train_stack", lambda stack, *_: trained.append(stack))
    bracket = Bracket((Rung(1 / 9, (0.1, float("inf"))), Rung(1 / 3, ())), 1e9 / 7)
    runs = [replace(run, bracket=each) for run in stack.runs for each in (bracket, None)]
    written = PlannedStack("a title", runs, stack.file, 1 / 3)
    assert run_job(write_job(written))
    assert trained == [written]


def test_a_run_with_a_damaged_state_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others train on as one stack."""
    names, cache, trained = ("a", "b", "c"), DataCache(), list[list[str]]()
    short, longer = (
        [run for name in names for run in planned(tmp_path, name, f"trainer.max_epochs={epochs}").runs]
        for epochs in (1, 2)
    )
    train_runs(short, cache, QUIET, title="")
    for name in names[:2]:
        RunFolder(tmp_path / name).write_metrics({"status": "interrupted", "reason": "a signal"})
    RunFolder(tmp_path / "b").last.write_bytes(b"damaged")

    def train(runs: Sequence[PlannedRun], *arguments: Any, **named: Any) -> object:
        trained.append([run.folder.name for run in runs])
        return train_runs(runs, *arguments, **named)

    monkeypatch.setattr("mlplab.runs.train_runs.train_runs", train)
    train_stack(PlannedStack("a stack", longer, tmp_path / "stacks/s.ckpt"), QUIET, cache)
    assert trained == [["a", "b", "c"], ["b"], ["a", "c"]]
    outcomes = [read_metrics(tmp_path / name) for name in names]
    assert [each["status"] for each in outcomes] == ["done", "failed", "done"]
    assert [each.get("epochs") for each in outcomes] == [2, None, 2]


def test_a_run_that_cannot_grow_fails_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "SHARED_FILE_SECONDS", 0)
    [run], [longer] = (planned(tmp_path, "r", f"trainer.max_epochs={epochs}").runs for epochs in (1, 2))
    [before] = train_runs([run], DataCache(), QUIET, title="")
    RunFolder(run.folder).last.write_bytes(b"damaged")
    (engine := Here(run_job, run_job)).root = tmp_path
    metrics = launch([longer], [], engine, QUIET)[run.folder].metrics
    assert metrics["status"] == "failed"
    assert "could not be trained for more epochs" in metrics["reason"]
    assert read_metrics(run.folder) == before


@pytest.mark.parametrize(
    ("visible", "gpus", "expected"),
    [("", 0, [None] * 3), ("", 2, ["0", "1", "0"]), ("5,3", 2, ["5", "3", "5"])],
    ids=["no GPU", "two", "two of several"],
)
def test_each_process_gets_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str, gpus: int, expected: list[str | None]
) -> None:
    monkeypatch.setenv(VISIBLE_DEVICES, visible)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    worker_class = Mock(return_value=Mock(submit=lambda *_: Future()))
    monkeypatch.setattr("mlplab.sweeps.engines.processes._Worker", worker_class)
    engine, other = (Processes(launcher(), Path(), DataCache(), each) for each in ("auto", "cpu"))
    cores = len(os.sched_getaffinity(0))
    engine.submit([PlannedStack("", [], tmp_path / "s.ckpt")] * 3)
    assert [call.args[0] for call in worker_class.call_args_list] == expected
    assert [engine.slots, other.slots] == [gpus or cores, cores]


COMMAND = """
import sys
from mlplab.cli.main import run
try:
    run("train", sys.argv[1:])
finally:
    print("torch" in sys.modules)
"""

REPORT = """
import gc, os, signal, sys
import mlplab.sweeps.engines.preload
threads = len(os.listdir("/proc/self/task"))
before = set(sys.modules)
import mlplab.runs.train_runs
import torch
later = {name.partition(".")[0] for name in set(sys.modules) - before}
ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
print(threads, torch.cuda.is_initialized(), ignored, gc.get_freeze_count() > 100_000)
print(*later & {"torch", "lightning", "scipy", "sklearn"}, flush=True)  # nothing is flushed at the end
"""


@pytest.mark.slow(ci=True)
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, each worker imports its own packages")
def test_all_that_workers_import_is_there_without_threads_or_devices(tmp_path: Path) -> None:
    (tmp_path / "lightning.py").write_text("raise SystemExit('of the user')")
    done = process(["-c", REPORT], tmp_path, OPENBLAS_NUM_THREADS="1")  # its threads end before a fork
    assert (done.status, done.out.splitlines()) == (0, ["1 False True True", ""]), done


@pytest.mark.slow(ci=True)
def test_a_search_in_processes_leaves_torch_to_them(tmp_path: Path) -> None:
    """Also its test and its figures; so do two processes cost little more than one, even on one core."""
    quick = ("data=synthetic", "data.rows=60", "model.hidden=[4]", "trainer.max_epochs=2", "baselines=[]")
    searched = ("optimizer.lr=interval(0.001,0.1)", "sweep.trials=2", "name=s", "hydra.launcher.workers=2")
    done = process(["-c", COMMAND, "-m", *quick, *searched], tmp_path)
    assert (done.status, done.out.splitlines()[-1]) == (0, "False"), done
    assert list(tmp_path.glob("outputs/s/*/figures"))
    assert "rmse" in (tmp_path / "outputs/s/best.yaml").read_text()


@pytest.mark.parametrize("frame", [None, pl.DataFrame({"a": [1]})], ids=["files", "frame"])
def test_what_needs_torch_is_asked_of_a_process_unless_only_this_one_has_the_rows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, frame: pl.DataFrame | None
) -> None:
    monkeypatch.setattr(processes, "_context", lambda: get_context("spawn"))  # which starts without torch
    with closing(Processes(launcher(workers=2), tmp_path, DataCache(frame), "cpu")) as engine:
        assert (engine.call(id) == id(engine.cache)) == (frame is not None)


SLURM: dict[str, Any] = {
    **{"name": "slurm", "minutes": 60, "partition": None, "account": None, "qos": None},
    **{"cpus": 1, "memory_gib": None, "gpus": 0, "setup": [], "sbatch": {}},
}
RAY = {"name": "ray", "address": "auto", "cpus": 1, "gpus": 0, "memory_gib": None}


def opened(root: Path, engine: dict[str, object]) -> Engine:
    return open_engine(launcher(engine), root, DataCache(), "auto")


@pytest.mark.parametrize(
    ("engine", "absent", "message"),
    [
        (SLURM, "submitit", r"=slurm: needs submitit, .*\n.*uv sync --extra slurm, or pip "),
        (RAY, "ray", r"=ray: needs ray, .*\n.*uv sync --extra ray, or pip "),
        (SLURM, "", r"Slurm is not installed here.*\n.*a machine of the cluster"),
        (RAY | {"address": "127.0.0.1:1"}, "", r"=127.0.0.1:1: no Ray cluster can be .*\n.*ray start --head"),
        (SLURM | {"minutes": 4}, "", r"hydra.launcher.engine.*minutes"),
    ],
)
def test_engines_that_are_not_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: dict[str, object], absent: str, message: str
) -> None:
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    monkeypatch.setitem(sys.modules, absent or "unknown", None)
    with pytest.raises(UserError, match=message):
        opened(tmp_path, engine)


def test_jobs_of_an_earlier_command_go_on_if_they_train_the_same(slurm: FakeSlurm, tmp_path: Path) -> None:
    slurm.is_held = True
    sweep = tmp_path / "sweep"
    a, b, c = (planned(sweep, name) for name in ("a", "b", "c"))
    early, late = (
        PlannedStack(title, [replace(run, bracket=Bracket((), deadline)) for run in a.runs], a.file)
        for title, deadline in (("stack 1 of 2", 1e9), ("stack 1 of 9", 2e9))
    )
    first, _ = opened(sweep, SLURM).submit([early, b])
    again, _ = (engine := opened(sweep, SLURM)).submit([late, c])
    assert again.job_id == first.job_id
    assert [job.state for job in slurm.jobs()] == ["PENDING", "CANCELLED", "PENDING"]
    assert engine.stop().splitlines() == ["jobs that go on in Slurm: 2", "  to end them: scancel 1 4"]
    opened(sweep, SLURM).submit([planned(sweep, "a", "optimizer.lr=0.5"), c])
    assert [job.state for job in slurm.jobs()] == ["CANCELLED", "CANCELLED", "PENDING", "PENDING"]
    for record in ('{"a": 1, "b": "--user=root"}', "?", None):  # of which job is whose
        root = sweep / f"with {len(record or '')}"
        opened(root, SLURM).submit([b, c])
        [file] = root.glob("slurm/*/jobs.json")
        file.unlink() if record is None else file.write_text(record)
        opened(root, SLURM).submit([b, c])
        assert [job.state for job in slurm.jobs()][-4:] == ["CANCELLED"] * 2 + ["PENDING"] * 2


def test_a_busy_slurm_with_limits(slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_engine, "RETRY_SECONDS", (0.01, 0.0))
    monkeypatch.setattr(slurm_engine, "MAX_ARRAY", 2)
    busy = "Socket timed out on send/recv operation"
    slurm.is_held, slurm.refusals = True, [busy]
    sweep = tmp_path / "sweep"
    opened(sweep, SLURM).submit([planned(sweep, name) for name in ("a", "b", "c")])
    assert len(slurm.jobs()) == 3
    assert len({job.name.partition("_")[0] for job in slurm.jobs()}) == 2
    slurm.refusals = [busy, busy]
    with pytest.raises(UserError, match=r"Slurm refuses the jobs: .*Socket timed out"):
        opened(sweep, SLURM).submit([planned(sweep, "d")])


@pytest.mark.parametrize(
    "error",
    [UserError(Fault("a", "b", "c"), Fault("f")), FolderInUse(Fault("a")), cannot_write(DISK_IS_FULL)],
)
def test_an_error_leaves_its_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name)
    engine = opened(tmp_path, SLURM)
    job: Any = submitit.SlurmJob(tmp_path / "slurm/x", "7")
    job.paths.folder.mkdir(parents=True)
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    monkeypatch.setenv("SUBMITIT_FOLDER", os.fspath(job.paths.folder))
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(slurm_engine, "run_job", Mock(side_effect=error))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert str(engine.error(job)) == "job 7 ended without a result (see slurm/x/7_0_log.err)"
    with pytest.raises(SystemExit):
        slurm_engine.Task()(Path())  # type: ignore[no-untyped-call]
    left = engine.error(job)
    assert (type(left), str(left)) == (type(error), str(error))


@pytest.mark.parametrize(
    ("state", "has_result", "seconds", "ended"),
    [
        ("COMPLETED", False, 30, False),  # its result may be seen later
        ("COMPLETED", False, 0, True),
        ("RUNNING", False, 0, False),
        ("RUNNING", True, 30, True),
        ("FAILED", False, 30, True),
    ],
)
def test_when_a_job_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, has_result: bool, seconds: int, ended: bool
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr(slurm_engine, "SHARED_FILE_SECONDS", seconds)
    monkeypatch.setattr("submitit.SlurmJob.watcher.get_state", lambda *_, **__: state)
    engine, job = opened(tmp_path, SLURM), submitit.SlurmJob[None](tmp_path / "slurm/x", "7_0")
    job.paths.folder.mkdir(parents=True)
    if has_result:
        job.paths.result_pickle.write_bytes(b"is never read")
    engine.ended([job])
    assert engine.ended([job]) == ([job] if ended else [])
    assert (engine.error(job) is None) == has_result
    engine.close()
    assert (tmp_path / "slurm").exists() != has_result  # what may explain a loss stays


def test_a_ray_cluster_takes_what_its_nodes_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [{"Alive": alive, "Resources": {"CPU": 5.0, "memory": 9e9}} for alive in (True, True, False)]
    monkeypatch.setattr("ray.nodes", lambda: nodes)
    monkeypatch.setattr("mlplab.sweeps.engines.ray_cluster._connect", lambda address: None)
    assert opened(tmp_path, RAY | {"cpus": 2}).slots == 4
    assert opened(tmp_path, RAY | {"memory_gib": 8}).slots == 2
    with pytest.raises(UserError, match="no node has room for a stack of 9 CPU and 0 GPU"):
        opened(tmp_path, RAY | {"cpus": 9})
