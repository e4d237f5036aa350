"""How stacks are handed to workers, whatever the engine: workers here train at once, or as a test says."""

import os
import pickle
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from importlib.metadata import version
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
import torch
from support import SMALL, resolved

from mlplab import config
from mlplab.config import parse_launcher
from mlplab.errors import CannotWrite, Fault, UserError
from mlplab.runs.discovery import read_metrics
from mlplab.runs.folder import RunFolder
from mlplab.runs.run import Run
from mlplab.sweeps.checks import check_installed
from mlplab.sweeps.engines import drive as driving
from mlplab.sweeps.engines import worker
from mlplab.sweeps.engines.drive import drive
from mlplab.sweeps.engines.engine import Engine, Job, WorkerLost, open_engine
from mlplab.sweeps.engines.processes import VISIBLE_DEVICES, Processes
from mlplab.sweeps.engines.slurm import SlurmJobs
from mlplab.sweeps.engines.worker import run_job, write_job
from mlplab.sweeps.train_stack import PlannedStack
from mlplab.training.callbacks.rungs import Bracket, Rung

Train = Callable[[Path], object]


class Here(Engine):
    """Trains each stack at once, but the first ones in other ways."""

    def __init__(self, *ways: Train) -> None:
        self.ways, self.handed_over, self.stopped = list(ways), 0, False

    def submit(self, paths: Sequence[Path]) -> Sequence[Job]:
        (path,), future = paths, Future[object]()
        self.handed_over += 1
        try:
            future.set_result((self.ways.pop(0) if self.ways else run_job)(path))
        except Exception as error:
            future.set_exception(pickle.loads(pickle.dumps(error)))  # as from another process
        return [future]

    def error(self, job: Future[object]) -> BaseException | None:
        return job.exception()

    def stop(self) -> str:
        self.stopped = True
        return ""

    def close(self) -> None:
        pass


def lost(_: Path) -> None:
    raise WorkerLost("it was struck by lightning")


@pytest.fixture
def stack(tmp_path: Path) -> PlannedStack:
    (tmp_path / "stacks").mkdir()
    run = Run(resolved(*SMALL, "figures=none", "baselines=[]"), tmp_path / "run")
    return PlannedStack("stack 1 of 1", [run], tmp_path / "stacks/c.ckpt")


def ends_as(stack: PlannedStack, status: str) -> Train:
    """A worker after which the run has some status."""

    def train(_: Path) -> None:
        folder = RunFolder(stack.runs[0].folder)
        if not folder.path.exists():
            folder.create(stack.runs[0].config.plain())
        folder.write_metrics(status, {}, "a reason")  # type: ignore[arg-type]
        folder.lock.release()

    return train


def driven(stack: PlannedStack, engine: Engine) -> str:
    """The status of the run in the end."""
    drive([stack], engine, 1)
    return str(read_metrics(stack.runs[0].folder)["status"])


@pytest.mark.parametrize(
    ("ways", "status", "handed_over"),
    [
        (["lost", "lost"], "done", 3),
        (["lost"] * 3, "failed", 3),
        (["interrupted"] * 5, "done", 6),
        (["lost", "failed"], "done", 3),  # a run that fails is tried once more
        (["failed"] * 2, "failed", 2),
        (["diverged"], "diverged", 1),
    ],
    ids=str,
)
def test_a_stack_is_handed_over_until_it_has_ended(
    stack: PlannedStack, ways: list[str], status: str, handed_over: int
) -> None:
    engine = Here(*(lost if way == "lost" else ends_as(stack, way) for way in ways))
    assert driven(stack, engine) == status
    assert engine.handed_over == handed_over
    if ways == ["lost"] * 3:
        reason = read_metrics(stack.runs[0].folder)["reason"]
        assert reason == "it was struck by lightning; so did 2 workers before"


def test_a_state_that_is_damaged_ends_its_run(stack: PlannedStack) -> None:
    ends_as(stack, "interrupted")(Path())
    RunFolder(stack.runs[0].folder).last.write_bytes(b"damaged")
    engine = Here()
    assert driven(stack, engine) == "failed"
    assert engine.handed_over == 2


def test_workers_of_another_version_are_refused(stack: PlannedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(path: Path) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(worker, "versions", lambda: {**here, "torch": "1.0"})
            run_job(path)

    here, engine = worker.versions(), Here(elsewhere)
    message = f"the worker .*: has other versions .* .found torch 1.0, expected torch {version('torch')}"
    with pytest.raises(UserError, match=message):
        driven(stack, engine)
    assert engine.stopped
    assert not stack.runs[0].folder.exists()


def test_workers_that_do_not_see_the_folder_are_refused(
    stack: PlannedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LATE_SECONDS", 0)
    with pytest.raises(UserError, match=r"is not seen by the worker .*\n  work in a folder that all"):
        driven(stack, Here(lambda path: run_job(path.with_name("other"))))


def test_a_full_disk_ends_the_sweep(stack: PlannedStack) -> None:
    def full(_: Path) -> None:
        raise CannotWrite(OSError(28, "No space left on device", "checkpoints"))

    engine = Here(full)
    with pytest.raises(CannotWrite, match="checkpoints: cannot be written: No space left"):
        driven(stack, engine)
    assert engine.stopped


def test_results_that_are_seen_late_are_waited_for(stack: PlannedStack) -> None:
    metrics = stack.runs[0].folder / "metrics.json"

    def late(path: Path) -> None:
        run_job(path)
        hidden = metrics.rename(metrics.with_name("hidden"))
        metrics.write_text('{"stat')
        Timer(0.3, lambda: hidden.replace(metrics)).start()

    engine = Here(late)
    assert driven(stack, engine) == "done"
    assert engine.handed_over == 1


def test_results_that_are_never_seen_end_the_sweep(
    stack: PlannedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driving, "LATE_SECONDS", 0)
    with pytest.raises(UserError, match="run: a worker's results are not seen here"):
        driven(stack, Here(lambda path: None))


def test_a_signal_stops_the_workers(stack: PlannedStack) -> None:
    engine = Here(lambda path: signal.raise_signal(signal.SIGTERM) or lost(path))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(driving.Interrupted, match="stopped by SIGTERM") as caught:
        driven(stack, engine)
    assert (caught.value.status, engine.stopped) == (143, True)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_worker_trains_the_stack_that_was_written(
    stack: PlannedStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained: list[PlannedStack] = []
    monkeypatch.setattr("mlplab.sweeps.train_stack.train_stack", lambda stack, *_: trained.append(stack))
    monkeypatch.chdir(tmp_path)
    bracket = Bracket((Rung(1 / 9, (0.1, float("inf"))), Rung(1 / 3, ())), 1e9 / 7)
    runs = [Run(run.config, run.folder, bracket=each) for run in stack.runs for each in (bracket, None)]
    assert run_job(write_job(PlannedStack("a title", runs, stack.file)))
    assert trained == [PlannedStack("a title", runs, stack.file)]


def test_errors_of_workers_can_be_pickled() -> None:
    faults = Fault("a", "b", "c", "d", "e"), Fault("f")
    error = pickle.loads(pickle.dumps(UserError(*faults)))
    assert (error.faults, str(error)) == (faults, str(UserError(*faults)))


@pytest.mark.parametrize(
    ("visible", "gpus", "expected"),
    [("", 0, [None] * 3), ("", 2, ["0", "1", "0"]), ("5,3", 2, ["5", "3", "5"])],
    ids=["no GPU", "two", "two of several"],
)
def test_each_process_gets_a_gpu(
    monkeypatch: pytest.MonkeyPatch, visible: str, gpus: int, expected: list[str | None]
) -> None:
    monkeypatch.setenv(VISIBLE_DEVICES, visible)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    engine = Processes(launcher(), "auto")
    given: list[str | None] = []

    class Worker:
        def __init__(self, device: str | None) -> None:
            given.append(device)

        def train(self, path: Path) -> Future[bool]:
            return Future()

    monkeypatch.setattr("mlplab.sweeps.engines.processes._Worker", Worker)
    engine.submit([Path("a"), Path("b"), Path("c")])
    assert given == expected


@pytest.mark.slow  # the processes import torch
def test_processes_that_are_killed_or_exit_are_replaced(stack: PlannedStack) -> None:
    engine = Processes(launcher(), "auto")
    path = write_job(stack)
    (job,) = engine.submit([path])
    assert job.result(timeout=120)
    [process] = engine._workers
    ended = process.pool.submit(sys.exit, 3)
    assert isinstance(ended.exception(), SystemExit)
    assert "killed" in str(engine.error(process.pool.submit(os._exit, 3)))
    (job,) = engine.submit([path])
    assert job.result(timeout=120)
    assert [process] == engine._workers
    engine.close()


def launcher(engine: dict[str, object] | None = None, **section: object) -> config.Launcher:
    return parse_launcher(
        {"max_members": None, "workers": None, "engine": engine or {"name": "local"}} | section
    )


def test_there_is_room_for_a_stack_on_each_gpu_or_core(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cores = len(os.sched_getaffinity(0))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert [Processes(launcher(), name).slots for name in ("auto", "cuda", "cpu")] == [3, 3, cores]
    Processes(launcher(workers=cores), "cpu")
    assert not caplog.records
    Processes(launcher(workers=cores + 1), "cpu")
    message = f"hydra.launcher.workers={cores + 1}: this machine has {cores} cores"
    assert [record.getMessage() for record in caplog.records] == [message]


SLURM: dict[str, Any] = {
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
    message = rf"engine={extra}: needs the package {package}, which is .*\n.*uv sync --extra {extra}, or pip "
    with pytest.raises(UserError, match=message):
        check_installed(launcher(engine).engine)


def test_clusters_that_are_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with pytest.raises(UserError, match=r"Slurm is not installed here.*\n.*cluster=local"):
        open_engine(launcher(SLURM), tmp_path, "auto")
    address = "hydra.launcher.engine.address=127.0.0.1:1"
    with pytest.raises(UserError, match=rf"{address}: no Ray cluster can be reached\n.*ray start --head"):
        open_engine(launcher(RAY | {"address": "127.0.0.1:1"}), tmp_path, "auto")


def slurm_jobs(root: Path, monkeypatch: pytest.MonkeyPatch, record: str = '{"a": ["x", "7_0"]}') -> SlurmJobs:
    """The engine of a sweep with the record of an earlier command."""
    (root / "slurm/x").mkdir(parents=True, exist_ok=True)
    (root / "slurm/jobs.json").write_text(record)
    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr("submitit.SlurmJob.done", lambda job: job.job_id == "1")
    engine = launcher(SLURM).engine
    assert isinstance(engine, config.SlurmEngine)
    return SlurmJobs(launcher(SLURM), engine, root)


@pytest.mark.parametrize(
    ("record", "adopted", "cancels"),
    [
        ('{"a": ["x", "7_0"], "b": ["x", "7_1"]}', {"a": "7_0", "b": "7_1"}, False),
        ('{"a": ["../../x", "7_0"], "b": ["x", "1"]}', {"a": "7_0"}, False),
        ('{"a": ["x", "7_0"], "other": ["x", "7_1"]}', {}, True),
        ('{"a": ["x", "--user=root"]}', {}, True),
        ("[1]", {}, True),
        ('{"a": 1}', {}, True),
        ("?", {}, True),
    ],
    ids=["all", "one has ended", "another plan", "no id", "a list", "a number", "damaged"],
)
def test_jobs_of_an_earlier_command_go_on_or_are_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: str, adopted: dict[str, str], cancels: bool
) -> None:
    called: list[str] = []
    monkeypatch.setattr("subprocess.run", lambda words, check: called.extend(words))
    engine = slurm_jobs(tmp_path, monkeypatch, record)
    engine._adopt({"a": Path("a"), "b": Path("b")})
    assert {stack: job.job_id for stack, job in engine._jobs.items()} == adopted
    assert {job.paths.folder for job in engine._jobs.values()} <= {tmp_path / "slurm/x"}
    assert called == (["scancel", f"--name={engine.name}"] if cancels else [])
    engine._write_record()
    again = slurm_jobs(tmp_path, monkeypatch, (tmp_path / "slurm/jobs.json").read_text())
    assert {stack: job.job_id for stack, job in again._earlier.items()} == adopted


def test_a_job_that_ends_without_a_result_is_lost_and_its_files_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = slurm_jobs(tmp_path, monkeypatch)
    message = "job 7_0 ended without a result (see slurm/x/7_0_0_log.err)"
    assert str(engine.error(engine._earlier["a"])) == message
    engine.close()
    assert (tmp_path / "slurm").exists()
    engine = slurm_jobs(tmp_path, monkeypatch)
    (tmp_path / "slurm/x/7_0_0_result.pkl").write_bytes(b"is never read")
    assert engine.error(engine._earlier["a"]) is None
    engine.close()
    assert not (tmp_path / "slurm").exists()


def test_a_ray_cluster_takes_as_many_stacks_as_its_nodes_have_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [{"Alive": alive, "Resources": {"CPU": 5.0, "memory": 9e9}} for alive in (True, True, False)]
    monkeypatch.setattr("ray.nodes", lambda: nodes)
    monkeypatch.setattr("mlplab.sweeps.engines.ray_cluster._connect", lambda address: None)
    assert open_engine(launcher(RAY | {"cpus": 2}), tmp_path, "auto").slots == 4
    assert open_engine(launcher(RAY | {"memory_gib": 8}), tmp_path, "auto").slots == 2
    with pytest.raises(UserError, match="no node has room for a stack of 9 CPU and 0 GPU"):
        open_engine(launcher(RAY | {"cpus": 9}), tmp_path, "auto")


@pytest.mark.parametrize(
    ("section", "message"),
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
def test_mistakes_in_the_section(section: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        launcher(**section)  # type: ignore[arg-type]
    assert message in str(caught.value)
