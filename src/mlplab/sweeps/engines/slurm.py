"""Trains stacks as Slurm jobs, by submitit.

Jobs go on when the command that started them has ended. Given again, it finds them: `jobs.json` in the folder
of their files says which job trains which runs, and all jobs of a sweep have one name. Other jobs with that
name are cancelled: their command was killed before it could record them.

What a job replies is a JSON file. A command unpickles nothing from a sweep's folder.
"""

import hashlib
import json
import logging
import os
import shutil
import signal
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Lock, Thread
from types import FrameType
from typing import Any

import submitit

from mlplab import config
from mlplab.data.cache import DataCache
from mlplab.errors import Fault, UserError
from mlplab.files import replacing
from mlplab.runs.devices import available_cores
from mlplab.sweeps.engines.engine import Engine, WorkerLost
from mlplab.sweeps.engines.slurm_queue import LocalQueue, Queue, SlurmQueue
from mlplab.sweeps.engines.worker import Assignment, Reply, train_assigned

FOLDER = "slurm"
"""Folder in the sweep's folder with the files of its jobs."""

RECORD = "jobs.json"
"""File in it: the job of each stack that has not ended."""

LOOK_SECONDS = 1.0
"""How often replies are looked for."""

GRACE = 15.0
"""Seconds after the end of a job in which its reply may still be seen."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A job that trains a stack.

    Attributes:
        job_id: such as `1234_5`.
        reply: the name of the file with its reply.
        runs: a hash of the configuration of each run, by the path of its folder.
    """

    job_id: str
    reply: str
    runs: Mapping[str, str]

    def trains(self, assignment: Assignment) -> bool:
        """Whether it trains all runs of an assignment."""
        return assignment.runs.items() <= self.runs.items()


class SlurmJobs(Engine):
    """A job for each stack.

    Args:
        root: the sweep's folder.
        workers: the largest number of jobs at a time; None: as many as Slurm runs.

    Raises:
        UserError: if Slurm's commands are not installed here.
    """

    def __init__(self, section: config.SlurmEngine, root: Path, workers: int | None) -> None:
        self.section, self.workers = section, workers
        self.place, self.slots = "Slurm jobs", 1
        self.folder = root.absolute() / FOLDER
        self.name = f"mlplab-{hashlib.sha256(os.fspath(root.resolve()).encode()).hexdigest()[:8]}"
        self.queue: Queue = LocalQueue(self.folder) if section.cluster == "local" else SlurmQueue(self.name)
        self.queue.check()
        self._jobs: dict[Future[Reply], Job] = {}
        self._waiting: deque[tuple[Assignment, Future[Reply]]] = deque()  # only on this machine: Slurm queues
        self._replied: set[str] = set()
        self._lock, self._closed, self._any_lost = Lock(), Event(), False
        self._thread: Thread | None = None

    def room(self, working: int) -> int:
        """All stacks are handed over at once, in arrays."""
        return self.queue.largest_array

    def submit(self, assignments: Sequence[Assignment], cache: DataCache) -> list[Future[Reply]]:
        """Submits arrays of jobs, but none for stacks that jobs of an earlier command train."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock:
            futures = [Future[Reply]() for _ in assignments]
            alive, recorded, new = self.queue.alive(), self._recorded(), []
            for assignment, future in zip(assignments, futures, strict=True):
                known = (job for job in recorded if job.trains(assignment))
                job = next((job for job in known if job.job_id in alive or self._has_reply(job)), None)
                if job:
                    self._jobs[future] = job
                    log.info("job %s of an earlier command trains %d runs", job.job_id, len(job.runs))
                else:
                    new.append((assignment, future))
            own = {job.job_id for job in self._jobs.values()}
            if others := alive - own - self._replied:
                log.info("cancelling %d jobs of an earlier command", len(others))
                self.queue.cancel(others)
            self._waiting += new
            self._start()
        if self._thread is None:
            self._thread = Thread(target=self._watch, daemon=True)
            self._thread.start()
        return futures

    def _start(self) -> None:
        """Submits stacks that are waiting; on this machine, only as many as there is room for."""
        count = len(self._waiting)
        if self.section.cluster == "local":
            count = min(count, max(0, (self.workers or available_cores()) - len(self._jobs)))
        starting = [self._waiting.popleft() for _ in range(count)]
        if not starting:
            return
        replies = [f"reply-{uuid.uuid4().hex[:12]}.json" for _ in starting]
        work = [Work(each, self.folder / reply) for (each, _), reply in zip(starting, replies, strict=True)]
        try:
            with _without_ctrl_c():
                jobs = self._executor().submit_array(work)
        except submitit.core.utils.FailedJobError as error:
            what = f"Slurm refuses the jobs: {str(error).strip().splitlines()[-1]}"
            remedy = "correct its keys, such as partition and minutes"
            raise UserError(Fault(what, "hydra.launcher.engine", remedy=remedy)) from error
        for (assignment, future), reply, job in zip(starting, replies, jobs, strict=True):
            self._jobs[future] = Job(str(job.job_id), reply, assignment.runs)
        self._record()

    def _executor(self) -> submitit.AutoExecutor:
        section = self.section
        executor = submitit.AutoExecutor(
            self.folder,
            section.cluster,
            **{
                f"{section.cluster}_max_num_timeout": 10_000
            },  # each continues from where the last was stopped
        )
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
            slurm_array_parallelism=self.workers or self.queue.largest_array,
            slurm_additional_parameters=dict(section.sbatch),
        )
        return executor

    def _recorded(self) -> list[Job]:
        """The jobs that have not ended, as far as this or an earlier command knows."""
        if self._jobs:
            return list(self._jobs.values())
        try:
            content = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
            return [
                Job(str(each["job_id"]), Path(each["reply"]).name, dict(each["runs"])) for each in content
            ]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def _record(self) -> None:
        with replacing(self.folder / RECORD) as partial:
            partial.write_text(json.dumps([asdict(job) for job in self._jobs.values()]), encoding="utf-8")

    def _has_reply(self, job: Job) -> bool:
        return (self.folder / job.reply).is_file()

    def _watch(self) -> None:
        """Looks for replies, and now and then for jobs that have ended without one."""
        missing: dict[str, float] = {}
        changed = looked = time.monotonic()
        while not self._closed.wait(LOOK_SECONDS):
            next(self.folder.iterdir(), None)  # refreshes what this machine knows of a shared folder
            with self._lock:
                now, ended = time.monotonic(), {}
                if now - looked > min(30.0, max(2.0, (now - changed) / 10)):  # Slurm is asked seldom
                    alive, looked = self.queue.alive(), now
                    lost = {job.job_id for job in self._jobs.values()} - alive
                    missing = {job_id: missing.get(job_id, now) for job_id in lost}
                for future, job in self._jobs.items():
                    if self._has_reply(job):
                        ended[future] = self._read(job)
                    elif now - missing.get(job.job_id, now) > GRACE:
                        where = f"{FOLDER}/{job.job_id}_0_log.err"
                        self._any_lost = True
                        ended[future] = WorkerLost(f"job {job.job_id} ended without a result (see {where})")
                if ended:
                    changed = now
                    for future in ended:
                        self._replied.add(self._jobs.pop(future).job_id)
                    self._start()
                    self._record()
            for future, reply in ended.items():
                future.set_exception(reply) if isinstance(reply, WorkerLost) else future.set_result(reply)

    def _read(self, job: Job) -> Reply | WorkerLost:
        path = self.folder / job.reply
        try:
            reply = Reply.from_plain(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            return WorkerLost(f"the reply of job {job.job_id} cannot be read: {error}")
        path.unlink()
        return reply

    def stop(self) -> str:
        """Leaves the jobs in Slurm's queue; stops those on this machine."""
        with self._lock:
            count = len(self._jobs) + len(self._waiting)
            for _, future in self._waiting:
                future.set_result(Reply(stopped="it had not started"))
            self._waiting.clear()
            if self.section.cluster == "local":
                self.queue.cancel({job.job_id for job in self._jobs.values()})
                return ""
            for future in self._jobs:
                future.set_result(Reply(stopped="it goes on in Slurm"))
            self._closed.set()
        return (
            f"; {count} jobs go on in Slurm\n"
            "  to watch them, type the command again with the same name=…\n"
            f"  to end them: scancel --name={self.name}"
        )

    def close(self) -> None:
        """Ends looking for replies; removes the files of jobs if none was lost."""
        self._closed.set()
        if self._thread:
            self._thread.join()
        if self._jobs or self._any_lost:
            return
        deadline = time.monotonic() + GRACE  # jobs end a moment after their replies
        while (alive := self.queue.alive()) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS / 2)
        if alive:  # Slurm has requeued them although they had ended
            self.queue.cancel(alive)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Starts processes that do not hear Ctrl-C, which only this command handles."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass
class Work:
    """What a job does."""

    assignment: Assignment
    reply: Path

    def __call__(self) -> None:
        """Trains the stack and writes the reply. At the time limit, saves its state and requeues the job."""
        number = getattr(signal, f"SIG{submitit.JobEnvironment.USR_SIG}")
        requeue: Callable[[int, FrameType | None], Any] = signal.getsignal(number)  # type: ignore[assignment]
        asked = Event()

        def save(number: int, frame: FrameType | None) -> None:
            asked.set()
            os.kill(os.getpid(), signal.SIGTERM)

        signal.signal(number, save)
        reply = train_assigned(self.assignment)
        if reply.stopped and asked.is_set():
            requeue(number, None)
        if reply.stopped and "SLURM_JOB_ID" in os.environ:  # Slurm requeues it, or it was cancelled
            sys.exit(128 + signal.SIGTERM)
        with replacing(self.reply) as partial:
            partial.write_text(json.dumps(reply.plain()), encoding="utf-8")

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """What a requeued job does: the same, from the saved state."""
        return submitit.helpers.DelayedSubmission(self)
