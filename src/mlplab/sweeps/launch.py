"""Trains the runs of a sweep: composed, planned, then stack after stack, here or in processes."""

import hashlib
import io
import logging
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig
from rich.console import Console

from mlplab.errors import CannotWrite, Fault, Interrupted, RunFailed, UserError, reason_of
from mlplab.files import remove_leftovers
from mlplab.runs.begun import ENDED, PLAN_FILE, STACKS, check_same, has_begun
from mlplab.runs.find import read_metrics
from mlplab.runs.folder import Metrics, record_failed
from mlplab.runs.inputs import Inputs
from mlplab.runs.kept import has_ended, kept_of_stack
from mlplab.runs.train import Run, train
from mlplab.sweeps.composition import Job, derive_jobs
from mlplab.sweeps.plan import Plan, make_plan, read_stacks
from mlplab.training import checkpoint

log = logging.getLogger(__name__)

Outcome = Metrics | RunFailed
"""The content of a run's metrics.json, or why it did not end well."""


def launch(
    master: DictConfig,
    loader: ConfigLoader,
    overrides: Sequence[Sequence[str]],
    first: int,
    members: int | None,
    workers: int | None,
) -> list[JobReturn]:
    """Trains the runs with these overrides; gives the monitored metric of each, or why there is none.

    A run that is wrong, or fails, is recorded in its folder and takes no other with it. What an earlier try
    has brought to an end is not repeated, and what it has begun goes on.

    Args:
        master: the sweep's own composition.
        first: number of the first run.
        members: of a stack at most.
        workers: processes.

    Raises:
        UserError: if all runs are wrong; then nothing is left behind.
        Interrupted: after SIGINT or SIGTERM, with the checkpoints written.
    """
    _check_positive({"members": members, "workers": workers})
    root = Path(str(master.hydra.sweep.dir))
    jobs = list(derive_jobs(master, loader, overrides, first))
    _check_folders(jobs, root)
    inputs = Inputs()
    outcomes: dict[Path, Outcome] = dict(_earlier(jobs))
    plan = make_plan(jobs, inputs, members, workers, _cores(), read_stacks(root / PLAN_FILE))
    if len(plan.refused) == len(jobs):
        raise plan.refused[0].error or AssertionError
    log.info("%s", plan.told(len(outcomes)))
    (root / STACKS).mkdir(parents=True, exist_ok=True)
    remove_leftovers(root)
    remove_leftovers(root / STACKS)
    plan.write(root / PLAN_FILE)
    for job in plan.refused:
        outcomes[job.folder] = _failed(job.folder, job.values, job.reason)
    stacks = list(_stacks(plan, root, outcomes))
    outcomes |= _in_processes(stacks, plan.workers) if plan.workers > 1 else _here(stacks, inputs)
    with suppress(OSError):  # not empty where a stack did not end
        (root / STACKS).rmdir()
    return [_returned(job, outcomes[job.folder]) for job in plan.jobs]


@dataclass(frozen=True)
class Stack:
    """Runs that train together.

    Args:
        told: which of how many it is.
        file: takes what it goes on from.
    """

    told: str
    runs: list[Run]
    file: Path


def _earlier(jobs: Sequence[Job]) -> Iterator[tuple[Path, Outcome]]:
    """What came of the runs that have ended already.

    Raises:
        UserError: if a folder is that of a run with another configuration.
    """
    for job in jobs:
        if job.config and has_begun(job.folder):
            check_same(job.config, job.folder)
            metrics = read_metrics(job.folder)
            if metrics["status"] in ENDED and has_ended(job.folder, job.config):
                yield job.folder, _outcome(metrics)


def _stacks(plan: Plan, root: Path, ended: Mapping[Path, Outcome]) -> Iterator[Stack]:
    """The stacks with what is left to do of each."""
    for number, members in enumerate(plan.stacks, 1):
        jobs = [plan.jobs[member] for member in members]
        names = "\n".join(os.fspath(job.folder.relative_to(root)) for job in jobs)
        file = root / STACKS / f"{hashlib.sha256(names.encode()).hexdigest()[:12]}.ckpt"
        runs = [
            Run(job.config, job.folder, has_begun(job.folder))
            for job in jobs
            if job.config and job.folder not in ended
        ]
        if runs:
            yield Stack(f"stack {number} of {len(plan.stacks)}", runs, file)


def _here(stacks: Sequence[Stack], inputs: Inputs) -> dict[Path, Outcome]:
    """Trains one stack after another."""
    outcomes: dict[Path, Outcome] = {}
    console = Console()
    for stack in stacks:
        outcomes |= _outcomes(stack, _train(stack, console, inputs))
        if not console.is_terminal:
            log.info("%s", _ended_told(stack))
    return outcomes


def _in_processes(stacks: Sequence[Stack], workers: int) -> dict[Path, Outcome]:
    """Trains as many stacks at a time as there are workers, each in a pool of its own: one that dies takes no
    other's work with it."""
    outcomes: dict[Path, Outcome] = {}
    waiting = list(stacks)
    idle = [_pool() for _ in range(workers)]
    working: dict[Future[list[Outcome] | str], tuple[Stack, ProcessPoolExecutor]] = {}
    with _passed_on() as received:
        while working or (waiting and not received):
            while idle and waiting and not received:
                pool, stack = idle.pop(), waiting.pop(0)
                working[pool.submit(_train_in_process, stack)] = stack, pool
            for future in wait(working, return_when=FIRST_COMPLETED).done:
                stack, pool = working.pop(future)
                try:
                    ended = future.result()
                except BrokenProcessPool:
                    ended = "the process that trained it was killed"
                    pool.shutdown()
                    pool = _pool()
                idle.append(pool)
                outcomes |= _outcomes(stack, ended)
                log.info("%s", _ended_told(stack))
        for pool in idle:
            pool.shutdown()
    if received:
        raise Interrupted(f"stopped by {received[0].name}", received[0])
    return outcomes


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, get_context("spawn"), initializer=_become_worker)


def _train(stack: Stack, console: Console, inputs: Inputs) -> list[Outcome] | str:
    """What came of each run of a stack, or why none of them ended.

    If one of them breaks the stack, they train again one by one, and only that one fails.
    """
    kept = kept_of_stack(stack.file, [run.folder for run in stack.runs])
    try:
        trained = train(stack.runs, console, inputs, f"{stack.told}  ", kept, stack.file)
        return [_outcome(metrics) for metrics in trained]
    except (Interrupted, CannotWrite):
        raise
    except UserError as error:
        return reason_of(error)
    except Exception as error:
        checkpoint.remove(stack.file)
        if len(stack.runs) == 1:
            return reason_of(error)  # its log has the traceback
    outcomes: list[Outcome] = []
    for run in stack.runs:
        alone = replace(stack, runs=[replace(run, begun=has_begun(run.folder))])
        outcomes += _outcomes(alone, _train(alone, console, inputs)).values()
    return outcomes


def _train_in_process(stack: Stack) -> list[Outcome] | str:
    try:
        return _train(stack, Console(file=io.StringIO()), Inputs())
    except RunFailed as error:
        return reason_of(error)


def _outcomes(stack: Stack, ended: list[Outcome] | str) -> dict[Path, Outcome]:
    if isinstance(ended, str):
        return {run.folder: _failed(run.folder, run.config.plain(), ended) for run in stack.runs}
    return {run.folder: outcome for run, outcome in zip(stack.runs, ended, strict=True)}


def _outcome(metrics: Metrics) -> Outcome:
    return metrics if metrics["status"] == "done" else RunFailed(metrics["reason"])


def _failed(folder: Path, values: Mapping[str, Any], reason: str) -> RunFailed:
    record_failed(folder, values, reason)
    return RunFailed(reason)


def _returned(job: Job, outcome: Outcome) -> JobReturn:
    """What Hydra's sweepers want to know of a run."""
    returned = JobReturn()
    returned.overrides = list(job.overrides)
    if isinstance(outcome, RunFailed):
        returned.status, returned._return_value = JobStatus.FAILED, outcome
    else:
        assert job.config is not None
        returned.status, returned._return_value = JobStatus.COMPLETED, outcome[job.config.monitor]
    return returned


def _ended_told(stack: Stack) -> str:
    count = len(stack.runs)
    return f"{stack.told} has ended, with {count} run{'s' * (count > 1)}"


def _check_positive(settings: dict[str, int | None]) -> None:
    for name, value in settings.items():
        if value is not None and (not isinstance(value, int) or value < 1):
            raise UserError(Fault("out of range", f"hydra.launcher.{name}", repr(value), "1 or above"))


def _check_folders(jobs: Sequence[Job], root: Path) -> None:
    seen: dict[Path, Job] = {}
    for job in jobs:
        if not job.folder.resolve().is_relative_to(root.resolve()):
            raise UserError(Fault("leaves the sweep's folder", str(job.folder)))
        if job.folder in seen:
            raise UserError(
                Fault(
                    "two runs would fill the same folder",
                    str(job.folder),
                    remedy="give each value once, or name runs apart with hydra.sweep.subdir",
                )
            )
        seen[job.folder] = job


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# --- processes ------------------------------------------------------------------------------------------


def _become_worker() -> None:
    """Ctrl-C reaches all processes of a terminal; a worker heeds it in training, and else leaves it to us.

    When we are killed, it ends as after SIGTERM.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=follow, daemon=True).start()


@contextmanager
def _passed_on() -> Iterator[list[signal.Signals]]:
    """Passes SIGINT and SIGTERM on to the workers, whose runs then end; gives those received."""
    received: list[signal.Signals] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number))
        for child in active_children():
            child.terminate()

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
