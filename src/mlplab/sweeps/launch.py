"""Trains the runs of a sweep: composed, planned, then stack after stack, here or in processes."""

import io
import logging
import os
import signal
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import active_children, get_context
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig
from rich.console import Console

from mlplab.errors import Fault, Interrupted, RunFailed, UserError
from mlplab.runs.find import read_metrics
from mlplab.runs.folder import Metrics, RunFolder
from mlplab.runs.inputs import Inputs
from mlplab.runs.train import Run, train
from mlplab.sweeps.composition import Job, derive_jobs
from mlplab.sweeps.plan import Plan, make_plan

log = logging.getLogger(__name__)

Outcome = Metrics | RunFailed
"""The content of a run's metrics.json, or why it did not end well."""

PLAN_FILE = "plan.json"
"""In the sweep's folder: the runs of each stack."""


def launch(
    master: DictConfig,
    loader: ConfigLoader,
    overrides: Sequence[Sequence[str]],
    first: int,
    members: int | None,
    workers: int | None,
) -> list[JobReturn]:
    """Trains the runs with these overrides; gives the monitored metric of each, or why there is none.

    A run that is wrong, or fails, is recorded in its folder and takes no other with it.

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
    plan = make_plan(jobs, inputs, members, workers, _cores())
    if len(plan.refused) == len(jobs):
        raise plan.refused[0].error or AssertionError
    log.info("%s", plan.told())
    root.mkdir(parents=True, exist_ok=True)
    plan.write(root / PLAN_FILE)
    outcomes: dict[Path, Outcome] = {}
    for job in plan.refused:
        outcomes[job.folder] = _record_failed(job.folder, job.values, job.reason)
    outcomes |= _in_processes(plan) if plan.workers > 1 else _here(plan, inputs)
    return [_returned(job, outcomes[job.folder]) for job in plan.jobs]


def _here(plan: Plan, inputs: Inputs) -> dict[Path, Outcome]:
    """Trains one stack after another."""
    outcomes: dict[Path, Outcome] = {}
    console = Console()
    for number, runs in enumerate(_runs(plan), 1):
        title = f"stack {number}/{len(plan.stacks)}  " if len(plan.stacks) > 1 else ""
        outcomes |= _outcomes(runs, _train(runs, console, inputs, title))
        if not console.is_terminal:
            log.info("%s", _stack_told(number, plan, runs))
    return outcomes


def _in_processes(plan: Plan) -> dict[Path, Outcome]:
    """Trains as many stacks at a time as there are workers, each in a pool of its own: one that dies takes no
    other's work with it."""
    outcomes: dict[Path, Outcome] = {}
    waiting = list(enumerate(_runs(plan), 1))
    idle = [_pool() for _ in range(plan.workers)]
    working: dict[Future[list[Metrics] | str], tuple[int, list[Run], ProcessPoolExecutor]] = {}
    with _passed_on() as received:
        while working or (waiting and not received):
            while idle and waiting and not received:
                pool, (number, runs) = idle.pop(), waiting.pop(0)
                working[pool.submit(_train_in_process, runs)] = number, runs, pool
            for future in wait(working, return_when=FIRST_COMPLETED).done:
                number, runs, pool = working.pop(future)
                try:
                    ended = future.result()
                except BrokenProcessPool:
                    ended = "the process that trained it was killed"
                    pool.shutdown()
                    pool = _pool()
                idle.append(pool)
                outcomes |= _outcomes(runs, ended)
                log.info("%s", _stack_told(number, plan, runs))
        for pool in idle:
            pool.shutdown()
    if received:
        raise Interrupted(f"stopped by {received[0].name}", received[0])
    return outcomes


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, get_context("spawn"), initializer=_ignore_interrupts)


def _runs(plan: Plan) -> Iterator[list[Run]]:
    for stack in plan.stacks:
        jobs = [plan.jobs[number] for number in stack]
        yield [Run(job.config, job.folder) for job in jobs if job.config]


def _train(runs: Sequence[Run], console: Console, inputs: Inputs, title: str) -> list[Metrics] | str:
    """What came of a stack: the metrics of its runs, or why none of them ended."""
    try:
        return train(runs, console, inputs, title)
    except Interrupted:
        raise
    except UserError as error:
        return "; ".join(fault.sentence() for fault in error.faults)
    except Exception as error:
        traceback.print_exc()
        return f"{type(error).__name__}: {error}"


def _train_in_process(runs: Sequence[Run]) -> list[Metrics] | str:
    try:
        return _train(runs, Console(file=io.StringIO()), Inputs(), "")
    except Interrupted as error:
        return str(error)


def _outcomes(runs: Sequence[Run], ended: list[Metrics] | str) -> dict[Path, Outcome]:
    if isinstance(ended, str):
        return {run.folder: _record_failed(run.folder, run.config.plain(), ended) for run in runs}
    return {
        run.folder: metrics if metrics["status"] == "done" else RunFailed(metrics["reason"])
        for run, metrics in zip(runs, ended, strict=True)
    }


def _record_failed(path: Path, values: Mapping[str, Any], reason: str) -> RunFailed:
    """Says so in the run's folder, unless it has said what became of it, or is another's."""
    folder = RunFolder(path)
    with suppress(UserError):
        if not path.exists():
            folder.claim(values)
        if read_metrics(path)["status"] == "running":
            folder.write_metrics("failed", {}, reason)
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


def _stack_told(number: int, plan: Plan, runs: Sequence[Run]) -> str:
    return f"stack {number} of {len(plan.stacks)} has ended, with {len(runs)} run{'s' * (len(runs) > 1)}"


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


def _ignore_interrupts() -> None:
    """Ctrl-C reaches all processes of a terminal; a worker heeds it in training, and else leaves it to us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


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
