"""Trains the runs of a sweep: composed, planned, then stack after stack, here or in processes."""

import io
import logging
import os
import signal
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from pathlib import Path
from types import FrameType

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig
from rich.console import Console

from mlplab.errors import Fault, Interrupted, RunFailed, UserError
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
        outcomes[job.folder] = _record_refused(job)
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
    """Trains as many stacks at a time as there are workers."""
    outcomes: dict[Path, Outcome] = {}
    pool = ProcessPoolExecutor(plan.workers, get_context("spawn"), initializer=_ignore_interrupts)
    with pool, _passed_on(pool) as received:
        futures = {
            pool.submit(_train_in_process, runs): (number, runs) for number, runs in enumerate(_runs(plan), 1)
        }
        for future in as_completed(futures):
            if received:
                break
            number, runs = futures[future]
            outcomes |= _outcomes(runs, future.result())
            log.info("%s", _stack_told(number, plan, runs))
    if received:
        raise Interrupted(f"stopped by {received[0].name}", received[0])
    return outcomes


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
    except (UserError, RunFailed) as error:
        return str(error)
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
        return {run.folder: RunFailed(ended) for run in runs}
    return {
        run.folder: metrics if metrics["status"] == "done" else RunFailed(metrics["reason"])
        for run, metrics in zip(runs, ended, strict=True)
    }


def _record_refused(job: Job) -> RunFailed:
    folder = RunFolder(job.folder)
    folder.claim(job.values)
    folder.write_metrics("failed", {}, job.reason)
    return RunFailed(job.reason)


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
def _passed_on(pool: ProcessPoolExecutor) -> Iterator[list[signal.Signals]]:
    """Passes SIGINT and SIGTERM on to the workers, whose runs then end; gives those received."""
    received: list[signal.Signals] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number))
        pool.shutdown(wait=False, cancel_futures=True)
        for child in active_children():
            child.terminate()

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
