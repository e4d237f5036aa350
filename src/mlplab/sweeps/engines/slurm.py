"""Trains stacks as Slurm jobs, by submitit.

Jobs go on when the command that started them has ended. Given again, it finds them. Jobs are submitted in
arrays. The folder of an array in `slurm` has its name. `jobs.json` in it says which job trains which stack.
Without that file, the command was killed while it submitted the array, which is cancelled by its name.

This command unpickles nothing of a sweep's folder. Its jobs do, in a new folder, where nobody can have put
another pickle.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

import submitit

from mlplab import config
from mlplab.errors import CannotWrite, Fault, FolderInUse, UserError, refusal
from mlplab.files import read_json, write_json
from mlplab.sweeps.engines.engine import SHARED_FILE_SECONDS, Engine, PlannedStack, WorkerLost
from mlplab.sweeps.engines.worker import run_job, versions, write_job
from mlplab.sweeps.sweep_folder import SLURM

JOBS_FILE = "jobs.json"  # the jobs of an array by the hashes of their stacks

# Jobs that are submitted together. Slurm's limit is 1001 if nobody changed it.
MAX_ARRAY = 1000

RETRY_SECONDS = (5.0, 20.0, 60.0, 0.0)  # the pauses after answers of a busy Slurm; none after the last

SlurmJob = submitit.Job[None]

log = logging.getLogger(__name__)


class Task(submitit.helpers.Checkpointable):
    """Trains a stack. The job is requeued at its time limit, or if it is preempted."""

    def __call__(self, path: Path) -> None:
        """Trains the stack. At the time limit, saves its state and requeues the job."""
        number = getattr(signal, f"SIG{submitit.JobEnvironment.USR_SIG}")
        requeue: Callable[[int, FrameType | None], Any] = signal.getsignal(number)  # type: ignore[assignment]
        is_at_limit = Event()

        def save(number: int, frame: FrameType | None) -> None:
            is_at_limit.set()
            if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # there is nothing to save yet
                requeue(number, frame)
            os.kill(os.getpid(), signal.SIGTERM)

        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # submitit ignores it; training handles it
        signal.signal(number, save)
        try:
            ended = run_job(path)
        except Exception as error:
            traceback.print_exc()
            if isinstance(error, UserError | CannotWrite):
                parts = [*map(astuple, error.faults)] if isinstance(error, UserError) else [str(error)]
                file = submitit.JobEnvironment().paths.result_pickle.with_suffix(".json")
                write_json(file, [type(error).__name__, parts])
            sys.exit(1)  # without a result
        if not ended and is_at_limit.is_set():
            requeue(number, None)
        if not ended:  # it was preempted or cancelled
            sys.exit(128 + signal.SIGTERM)


class SlurmJobs(Engine):
    """A job for each stack.

    Raises:
        UserError: if Slurm's commands are not installed here.
    """

    place = "Slurm jobs"
    room = sys.maxsize  # Slurm queues

    def __post_init__(self) -> None:
        assert isinstance(self.launcher.engine, config.SlurmEngine)
        if shutil.which("sbatch") is None:
            what, remedy = "Slurm is not installed here", "start the sweep on a machine of the cluster"
            raise UserError(Fault(what, "hydra/launcher/engine=slurm", "no sbatch", remedy=remedy))
        self.section, self.keeps_files = self.launcher.engine, False
        self.folder = self.root.absolute() / SLURM
        self._earlier = [path for path in self.folder.glob("mlplab-*") if re.fullmatch(r"[\w-]+", path.name)]
        self._jobs: dict[str, SlurmJob] = {}  # by the hashes of their stacks
        self._completed_at: dict[SlurmJob, float] = {}

    def submit(self, stacks: Sequence[PlannedStack]) -> list[SlurmJob]:
        """Submits arrays of jobs, but none for stacks that jobs of an earlier command train."""
        paths = {stack_hash(stack): write_job(stack) for stack in stacks}
        while self._earlier:
            self._adopt(self._earlier.pop(), paths)
        new = [stack for stack in paths if stack not in self._jobs or self.ended([self._jobs[stack]])]
        for start in range(0, len(new), MAX_ARRAY):
            self._jobs |= self._submit_array({key: paths[key] for key in new[start : start + MAX_ARRAY]})
        return [self._jobs[stack] for stack in paths]

    def _adopt(self, folder: Path, stacks: Collection[str]) -> None:
        """Takes over those jobs of an earlier command's array that train these stacks; cancels the others."""
        jobs = _read_jobs(folder)
        ended = self.ended(jobs.values())
        alive = {stack: job for stack, job in jobs.items() if job not in ended}
        adopted = {stack: job for stack, job in alive.items() if stack in stacks}
        cancelled = [job.job_id for stack, job in alive.items() if stack not in stacks]
        if alive:
            log.info("an earlier command's jobs: %d go on, %d cancelled", len(adopted), len(cancelled))
        if cancelled or not jobs:  # none with another name, whatever a stranger has written into the file
            subprocess.run(["scancel", f"--name={folder.name}", *cancelled], check=False)
        self._jobs |= adopted

    def _submit_array(self, paths: Mapping[str, Path]) -> dict[str, SlurmJob]:
        section, folder = self.section, self.folder / f"mlplab-{uuid.uuid4().hex[:12]}"
        folder.mkdir(parents=True)
        # Each time limit continues from where the last one stopped.
        executor = submitit.SlurmExecutor(folder, max_num_timeout=10_000)
        executor.update_parameters(
            job_name=folder.name,
            time=section.minutes,
            cpus_per_task=section.cpus,
            mem=f"{section.memory_gib * 1024:.0f}M" if section.memory_gib else None,
            gpus_per_node=section.gpus or None,
            setup=section.setup or None,
            **{name: getattr(section, name) for name in ("partition", "account", "qos")},
            array_parallelism=self.launcher.workers or MAX_ARRAY,
            additional_parameters=dict(section.sbatch),
        )
        for pause in RETRY_SECONDS:
            try:
                submitted = executor.map_array(Task(), paths.values())  # type: ignore[no-untyped-call]
                break
            except submitit.core.utils.FailedJobError as error:
                message = str(error).strip().rpartition("\n")[2]
                # It is empty if Ctrl-C has ended sbatch. If that has submitted jobs nevertheless, they end:
                # submitit has not written what they do.
                busy = "^$|timed out|unable to contact|temporarily|connection|zero bytes"
                if not pause or not re.search(busy, message, re.IGNORECASE):
                    what, remedy = f"Slurm refuses the jobs: {message}", "correct its keys, such as partition"
                    raise refusal(what, "hydra.launcher.engine", remedy) from error
                log.warning("%s; trying again in %.0f seconds", message, pause)
                time.sleep(pause)
        jobs = dict(zip(paths, submitted, strict=True))
        write_json(folder / JOBS_FILE, {stack: job.job_id for stack, job in jobs.items()})
        return jobs

    def ended(self, jobs: Iterable[SlurmJob]) -> list[SlurmJob]:
        """The jobs that have left a result, or of which `sacct` says that they have ended.

        Lists their folders, after which NFS shows new files. submitit changes permissions at each look.
        """
        jobs = list(jobs)
        results = {file for folder in {job.paths.folder for job in jobs} for file in folder.glob("*.pkl")}
        return [job for job in jobs if job.paths.result_pickle in results or self._is_gone(job)]

    def _is_gone(self, job: SlurmJob) -> bool:
        """Whether a job has ended without a result. That of a completed one may be seen later."""
        if not job.watcher.is_done(job.job_id):
            return False
        completed_at = self._completed_at.setdefault(job, time.monotonic())
        return job.state != "COMPLETED" or time.monotonic() > completed_at + SHARED_FILE_SECONDS

    def error(self, job: SlurmJob) -> BaseException | None:
        """None if a job has left a result, which is never read: its function has returned."""
        if job.paths.result_pickle.exists():
            return None
        self.keeps_files, log_file = True, job.paths.stderr.relative_to(self.folder.parent)
        lost = WorkerLost(f"job {job.job_id} ended without a result (see {log_file})")
        if not (file := job.paths.result_pickle.with_suffix(".json")).exists():
            return lost
        name, parts = json.loads(file.read_text(encoding="utf-8"))
        if name == CannotWrite.__name__:
            return CannotWrite(*parts)
        kind = FolderInUse if name == FolderInUse.__name__ else UserError
        return kind(*(Fault(*fields) for fields in parts))

    def stop(self, *, at_once: bool = False) -> str:
        """Leaves the jobs in Slurm's queue."""
        ended = self.ended(self._jobs.values())
        alive = [job.job_id for job in self._jobs.values() if job not in ended]
        if not alive:
            return ""
        self.keeps_files, arrays = True, dict.fromkeys(job.partition("_")[0] for job in alive)
        return f"jobs that go on in Slurm: {len(alive)}\n  to end them: scancel {' '.join(arrays)}"

    def close(self) -> None:
        """Removes the files of the jobs if all have ended well."""
        unseen = [job for folder in self._earlier for job in _read_jobs(folder).values()]
        if not self.keeps_files and all(job.paths.result_pickle.exists() for job in unseen):
            shutil.rmtree(self.folder, ignore_errors=True)
        self._jobs.clear()  # before the modules are gone that they need to be deleted


def stack_hash(stack: PlannedStack) -> str:
    """A hash of what decides the result of a stack. The time when a search ends, for example, does not."""
    runs = [(str(run.folder), run.config.plain(), run.bracket and run.bracket.rungs) for run in stack.runs]
    return hashlib.sha256(repr((versions(), runs)).encode()).hexdigest()


def _read_jobs(folder: Path) -> dict[str, SlurmJob]:
    """The jobs of an array by the hashes of their stacks; none if their file is absent or damaged."""
    jobs = {key: job for key, job in read_json(folder / JOBS_FILE).items() if isinstance(job, str)}
    return {
        key: submitit.SlurmJob(folder, job) for key, job in jobs.items() if re.fullmatch(r"\d+(_\d+)?", job)
    }
