"""Trains stacks as Slurm jobs, by submitit.

Jobs go on when the command that started them has ended. Given again, it finds them: `jobs.json` in the folder
of their files says which job trains which stack. All jobs of a sweep have one name; those that train another
plan, or that no record knows, are cancelled by it.

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
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

import submitit

from mlplab import config
from mlplab.errors import Fault, UserError
from mlplab.files import replacing
from mlplab.sweeps.engines.engine import Engine, WorkerLost, available_cores
from mlplab.sweeps.engines.worker import run_job
from mlplab.sweeps.folder import SLURM, SLURM_JOBS

MAX_ARRAY = 1000
"""Jobs that are submitted together; Slurm's own limit is 1001 if nobody has changed it."""

SlurmJob = submitit.Job[None]

log = logging.getLogger(__name__)


class SlurmJobs(Engine):
    """A job for each stack.

    Args:
        root: the sweep's folder.

    Raises:
        UserError: if Slurm's commands are not installed here.
    """

    place = "Slurm jobs"

    def __init__(self, launcher: config.Launcher, section: config.SlurmEngine, root: Path) -> None:
        self.launcher, self.section, self.is_local = launcher, section, section.cluster == "local"
        self.room = launcher.workers or available_cores() if self.is_local else sys.maxsize  # Slurm queues
        if not self.is_local and shutil.which("sbatch") is None:
            local = "hydra.launcher.engine.cluster=local"
            remedy = f"start the sweep on a machine of the cluster, or try its jobs on this one: {local}"
            what, where = "Slurm is not installed here", "hydra/launcher/engine=slurm"
            raise UserError(Fault(what, where, "no sbatch", remedy=remedy))
        self.root, self.record = root.absolute(), root.absolute() / SLURM_JOBS
        self.folder = self.root / SLURM / uuid.uuid4().hex[:12]
        self.name = f"mlplab-{hashlib.sha256(os.fspath(root.resolve()).encode()).hexdigest()[:8]}"
        self._earlier = {} if self.is_local else self._read_record()
        self._jobs: dict[str, SlurmJob] = {}  # by the hash of the stack that they train
        self._submitted = self._any_lost = False

    def submit(self, paths: Sequence[Path]) -> list[SlurmJob]:
        """Submits arrays of jobs, but none for stacks that jobs of an earlier command train."""
        stacks = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in paths}
        if not self._submitted:
            self._adopt(stacks)
        new = [stack for stack in stacks if stack not in self._jobs or self._jobs[stack].done()]
        for first in range(0, len(new), MAX_ARRAY):
            part = new[first : first + MAX_ARRAY]
            jobs = self._submit_array([Task(stacks[stack], requeues=not self.is_local) for stack in part])
            self._jobs |= zip(part, jobs, strict=True)
            self._write_record()
        self._submitted = True
        return [self._jobs[stack] for stack in stacks]

    def _adopt(self, stacks: Mapping[str, Path]) -> None:
        """Takes over the jobs of an earlier command if they train these stacks; else cancels them."""
        alive = {stack: job for stack, job in self._earlier.items() if not job.done()}
        if alive and alive.keys() <= stacks.keys():
            log.info("jobs of an earlier command that go on: %d", len(alive))
            self._jobs = alive
        elif not self.is_local:
            if alive:
                log.info("cancelling the jobs of an earlier command")
            subprocess.run(["scancel", f"--name={self.name}"], check=False)
        self._earlier = {}

    def _submit_array(self, tasks: Sequence["Task"]) -> list[SlurmJob]:
        """Submits jobs together.

        Raises:
            UserError: if Slurm refuses them.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        # Processes do not hear Ctrl-C, which only this command handles.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return self._executor().submit_array(tasks)
        except submitit.core.utils.FailedJobError as error:
            message = str(error).strip().splitlines()[-1]
            what, remedy = f"Slurm refuses the jobs: {message}", "correct its keys, such as partition"
            raise UserError(Fault(what, "hydra.launcher.engine", remedy=remedy)) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _executor(self) -> submitit.AutoExecutor:
        section = self.section
        # Each time limit continues from where the last one stopped.
        limits = {f"{section.cluster}_max_num_timeout": 10_000}
        executor = submitit.AutoExecutor(self.folder, section.cluster, **limits)
        executor.update_parameters(
            name=self.name,
            timeout_min=section.minutes,
            cpus_per_task=section.cpus,
            mem_gb=section.memory_gib,
            gpus_per_node=section.gpus or None,
            local_setup=section.setup or None,
            slurm_setup=section.setup or None,
            slurm_partition=section.partition,
            slurm_account=section.account,
            slurm_qos=section.qos,
            slurm_array_parallelism=self.launcher.workers or MAX_ARRAY,
            slurm_additional_parameters=dict(section.sbatch),
        )
        return executor

    def error(self, job: SlurmJob) -> WorkerLost | None:
        """Jobs leave a result, which is never read, if their function has returned."""
        if job.paths.result_pickle.exists():
            return None
        self._any_lost = True
        where = job.paths.stderr.relative_to(self.root)
        return WorkerLost(f"job {job.job_id} ended without a result (see {where})")

    def stop(self) -> str:
        """Leaves the jobs in Slurm's queue; stops those on this machine."""
        alive = [job for job in self._jobs.values() if not job.done()]
        self._any_lost |= bool(alive)
        if self.is_local:
            for job in alive:
                os.kill(int(job.job_id), signal.SIGTERM)
        if self.is_local or not alive:
            return ""
        what, watch = f"jobs that go on in Slurm: {len(alive)}", "type the command again with the same name=…"
        return f"{what}\n  to watch them, {watch}\n  to end them: scancel --name={self.name}"

    def close(self) -> None:
        """Removes the files of the jobs if all have ended well."""
        jobs = [*self._earlier.values(), *self._jobs.values()]
        if not self._any_lost and all(job.paths.result_pickle.exists() for job in jobs):
            shutil.rmtree(self.record.parent, ignore_errors=True)
        self._jobs.clear()  # before the modules are gone that they need to be deleted

    def _read_record(self) -> dict[str, SlurmJob]:
        """The jobs of an earlier command; none if their file is absent or damaged."""
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            content = json.loads(self.record.read_text(encoding="utf-8"))
            return {
                str(stack): submitit.SlurmJob(self.record.parent / Path(folder).name, job_id)
                for stack, (folder, job_id) in content.items()
                if re.fullmatch(r"\d+(_\d+)?", job_id)
            }
        return {}

    def _write_record(self) -> None:
        content = {stack: (job.paths.folder.name, job.job_id) for stack, job in self._jobs.items()}
        with replacing(self.record, synced=False) as partial:
            partial.write_text(json.dumps(content), encoding="utf-8")


@dataclass
class Task:
    """What a job does: it trains a stack, and is requeued at its time limit.

    Attributes:
        requeues: whether Slurm requeues it if it is preempted.
    """

    path: Path
    requeues: bool

    def __call__(self) -> None:
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
            ended = run_job(self.path)
        except Exception:
            traceback.print_exc()
            sys.exit(1)  # without a result
        if not ended and is_at_limit.is_set():
            requeue(number, None)
        if not ended and self.requeues:  # or it was cancelled
            sys.exit(128 + signal.SIGTERM)

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """What a requeued job does: the same, from the saved state."""
        return submitit.helpers.DelayedSubmission(self)
