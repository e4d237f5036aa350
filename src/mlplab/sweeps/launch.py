"""Trains the runs of a sweep: planned, then stack after stack, here or in processes."""

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from rich.console import Console

from mlplab.cli.composition import Job
from mlplab.data.cache import DataCache
from mlplab.data.load import table_key
from mlplab.errors import RunFailed
from mlplab.files import remove_leftovers
from mlplab.runs.resume import PLAN_FILE, STACKS, check_same, has_begun
from mlplab.runs.resume_state import check_same_rows
from mlplab.runs.train import Run
from mlplab.sweeps.engines import in_processes
from mlplab.sweeps.plan import Plan, make_plan, read_stacks
from mlplab.sweeps.stack import Outcome, Stack, ended, failed, stamp_if_begun, train_stack

log = logging.getLogger(__name__)


def launch(
    jobs: Sequence[Job], root: Path, cache: DataCache, members: int | None, workers: int | None
) -> list[JobReturn]:
    """Trains the runs of a sweep; gives the monitored metric of each, or why there is none.

    A run that is wrong, or fails, is recorded in its folder and takes no other with it. What an earlier try
    has brought to an end is not repeated, and what it has begun goes on.

    Args:
        jobs: as `check_jobs` gives them.
        root: the sweep's folder.
        cache: the tables and splits that it has read.
        members: of a stack at most.
        workers: processes.

    Raises:
        UserError: if all runs are wrong; then nothing is left behind.
        Interrupted: after SIGINT or SIGTERM, with the checkpoints written.
    """
    outcomes: dict[Path, Outcome] = dict(_earlier(jobs, cache))
    plan = make_plan(jobs, cache, members, workers, _cores(), read_stacks(root / PLAN_FILE))
    if len(plan.refused) == len(jobs):
        raise plan.refused[0].error or AssertionError
    log.info("%s", plan.told(len(outcomes)))
    (root / STACKS).mkdir(parents=True, exist_ok=True)
    remove_leftovers(root)
    remove_leftovers(root / STACKS)
    plan.write(root / PLAN_FILE)
    for job in plan.refused:
        outcomes[job.folder] = failed(job.folder, job.values, job.reason)
    stacks = list(_stacks(plan, root, outcomes))
    outcomes |= in_processes(stacks, plan.workers) if plan.workers > 1 else _here(stacks, cache)
    with suppress(OSError):  # not empty where a stack did not end
        (root / STACKS).rmdir()
    return [_returned(job, outcomes[job.folder]) for job in plan.jobs]


def _earlier(jobs: Sequence[Job], cache: DataCache) -> Iterator[tuple[Path, Outcome]]:
    """What came of the runs that have ended already.

    Raises:
        UserError: if a folder is that of a run with another configuration, or a table or a split has changed.
    """
    checked = set()
    for job in jobs:
        if job.config and has_begun(job.folder):
            check_same(job.config, job.folder)
            rows = table_key(job.config), str(job.config.data.split)
            if rows not in checked and check_same_rows(job.folder, job.config, cache):
                checked.add(rows)  # one run's will do
            if outcome := ended(job.folder, job.config):
                yield job.folder, outcome


def _stacks(plan: Plan, root: Path, over: Mapping[Path, Outcome]) -> Iterator[Stack]:
    """The stacks with what is left to do of each."""
    for number, members in enumerate(plan.stacks, 1):
        jobs = [plan.jobs[member] for member in members]
        names = "\n".join(os.fspath(job.folder.relative_to(root)) for job in jobs)
        file = root / STACKS / f"{hashlib.sha256(names.encode()).hexdigest()[:12]}.ckpt"
        runs = [
            Run(job.config, job.folder, stamp_if_begun(job.folder))
            for job in jobs
            if job.config and job.folder not in over
        ]
        if runs:
            yield Stack(f"stack {number} of {len(plan.stacks)}", runs, file)


def _here(stacks: Sequence[Stack], cache: DataCache) -> dict[Path, Outcome]:
    """Trains one stack after another."""
    outcomes: dict[Path, Outcome] = {}
    console = Console()
    for stack in stacks:
        outcomes |= train_stack(stack, console, cache)
        if not console.is_terminal:
            log.info("%s", stack.told_at_its_end)
    return outcomes


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


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
