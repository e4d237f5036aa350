"""Trains stacks as Slurm jobs, by submitit.

Jobs go on when the command that started them has ended. Given again, it finds them: `jobs.json` in the folder
of their files says which job trains which runs, and all jobs of a sweep have one name. Other jobs with that
name are cancelled: their command was killed before it could record them.

What a job replies is a JSON file: a command unpickles nothing from a sweep's folder. It gives its jobs what
they train in a new folder, so that nobody can have put another pickle there.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import signal
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread

import submitit

from mlplab import config
from mlplab.data.cache import DataCache
from mlplab.errors import Fault, UserError
from mlplab.runs.devices import available_cores
from mlplab.sweeps.engines.engine import Cluster, WorkerLost
from mlplab.sweeps.engines.slurm_job import Work
from mlplab.sweeps.engines.slurm_queue import LocalQueue, Queue, SlurmQueue
from mlplab.sweeps.engines.slurm_record import Job, read_jobs, write_jobs
from mlplab.sweeps.engines.worker import Assignment, Reply
from mlplab.sweeps.folder import SLURM

LOOK_SECONDS = 1.0
"""How often replies are looked for."""

GRACE = 15.0
"""Seconds after the end of a job in which its reply may still be seen."""

PAUSES = (5, 15, 60, 120)
"""Seconds until jobs are submitted again if Slurm is busy."""

BUSY = r"timed out|timeout|Unable to contact|temporarily|try again"
"""What Slurm says then."""

log = logging.getLogger(__name__)


class SlurmJobs(Cluster):
    """A job for each stack.

    Args:
        root: the sweep's folder.
        workers: the largest number of jobs of an array at a time; None: as many as Slurm runs.

    Raises:
        UserError: if Slurm's commands are not installed here, or it does not answer.
    """

    place, slots = "Slurm jobs", 1

    def __init__(self, section: config.SlurmEngine, root: Path, workers: int | None) -> None:
        self.section, self.workers = section, workers
        self.folder = root.absolute() / SLURM
        self.name = f"mlplab-{hashlib.sha256(os.fspath(root.resolve()).encode()).hexdigest()[:8]}"
        self.is_local = section.cluster == "local"
        self.queue: Queue = LocalQueue(self.folder) if self.is_local else SlurmQueue(self.name)
        self.queue.check()
        self._own = self.folder / uuid.uuid4().hex[:12]
        self._earlier = read_jobs(self.folder.parent)
        self._jobs: dict[Future[Reply], Job] = {}
        self._waiting: deque[tuple[Assignment, Future[Reply]]] = deque()  # only on this machine: Slurm queues
        self._ended: set[str] = set()
        self._lock, self._closed = Lock(), Event()
        self._stopping = self._any_lost = False
        self._thread: Thread | None = None

    def room(self, working: int) -> int:
        """All stacks are handed over at once."""
        return 10**9

    def submit(self, assignments: Sequence[Assignment], cache: DataCache) -> list[Future[Reply]]:
        """Submits arrays of jobs, but none for stacks that jobs of an earlier command train."""
        futures = [Future[Reply]() for _ in assignments]
        alive = self.queue.alive()
        with self._lock:
            for assignment, future in zip(assignments, futures, strict=True):
                if not self._adopt(assignment, future, alive):
                    self._waiting.append((assignment, future))
            self._earlier = []
            own = {job.job_id for job in self._jobs.values()}
            if others := (alive or set()) - own - self._ended:
                log.info("cancelling %d jobs of an earlier command", len(others))
                self.queue.cancel(others)
            self._start()
        if self._thread is None:
            self._thread = Thread(target=self._watch, daemon=True)
            self._thread.start()
        return futures

    def _adopt(self, assignment: Assignment, future: Future[Reply], alive: set[str] | None) -> bool:
        """Takes over a job of an earlier command, or its result."""
        for job in (job for job in self._earlier if job.trains(assignment)):
            if reply := self._reply(job):
                if isinstance(reply, Reply) and reply.outcomes:
                    future.set_result(reply)
                    return True
            elif alive is None or job.job_id in alive:
                log.info("job %s of an earlier command trains %d runs", job.job_id, len(job.runs))
                self._jobs[future] = job
                return True
        return False

    def _start(self) -> None:
        """Submits stacks that are waiting; on this machine, only as many as there is room for."""
        while self._waiting:
            count = self.queue.largest_array
            if self.is_local:
                count = (self.workers or available_cores()) - len(self._jobs)
            starting = [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
            if not starting:
                return
            replies = [f"reply-{uuid.uuid4().hex[:12]}.json" for _ in starting]
            self._own.mkdir(parents=True, exist_ok=True)
            jobs = self._submitted(
                [
                    Work(assignment, self._own / reply, requeues=not self.is_local)
                    for (assignment, _), reply in zip(starting, replies, strict=True)
                ]
            )
            for (assignment, future), reply, job_id in zip(starting, replies, jobs, strict=True):
                self._jobs[future] = Job(job_id, self._own.name, reply, assignment.runs)
            write_jobs(self.folder.parent, self._jobs.values())

    def _submitted(self, work: Sequence[Work]) -> list[str]:
        """Submits an array; the ids of its jobs.

        Raises:
            UserError: if Slurm refuses it.
        """
        executor = self._executor()
        for pause in (*PAUSES, 0):
            try:
                with _without_ctrl_c():
                    return [str(job.job_id) for job in executor.submit_array(work)]
            except submitit.core.utils.FailedJobError as error:
                said = str(error).strip().splitlines()[-1]
                if not pause or not re.search(BUSY, said, re.IGNORECASE):
                    what, remedy = f"Slurm refuses the jobs: {said}", "correct its keys, such as partition"
                    raise UserError(Fault(what, "hydra.launcher.engine", remedy=remedy)) from error
                log.warning("%s; the jobs are submitted again in %d seconds", said, pause)
                time.sleep(pause)
        raise AssertionError

    def _executor(self) -> submitit.AutoExecutor:
        section = self.section
        # Each time limit continues from where the last one stopped.
        limits = {f"{section.cluster}_max_num_timeout": 10_000}
        executor = submitit.AutoExecutor(self._own, section.cluster, **limits)
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

    def _watch(self) -> None:
        """Looks for replies, and now and then for jobs that have ended without one."""
        missing: dict[str, float] = {}
        changed = looked = time.monotonic()
        while not self._closed.wait(LOOK_SECONDS):
            try:
                if ended := dict(self._replies()):
                    changed = time.monotonic()
                    self._end(ended)
                pause = 0.0 if self._stopping else min(30.0, max(2.0, (looked - changed) / 10))
                if time.monotonic() - looked > pause:  # Slurm is asked seldom
                    with self._lock:
                        asked = dict(self._jobs)
                    alive, looked = self.queue.alive(), time.monotonic()
                    if alive is not None:
                        gone = {job.job_id for job in asked.values()} - alive
                        missing = {job_id: missing.get(job_id, looked) for job_id in gone}
                        grace = 0 if self._stopping else GRACE
                        over = {job_id for job_id, since in missing.items() if looked - since >= grace}
                        self._end({future: _lost(job) for future, job in asked.items() if job.job_id in over})
            except OSError as error:  # the file system may come back
                log.debug("the files of the jobs cannot be read: %s", error)
            except Exception as error:
                with self._lock:
                    futures = [*self._jobs, *(future for _, future in self._waiting)]
                    self._jobs.clear()
                    self._waiting.clear()
                for future in futures:
                    future.set_exception(error)
                return

    def _replies(self) -> Iterator[tuple[Future[Reply], Reply | WorkerLost]]:
        with self._lock:
            jobs = dict(self._jobs)
        folders = {self.folder / job.folder for job in jobs.values()}
        there = {path for folder in folders if folder.is_dir() for path in folder.iterdir()}
        for future, job in jobs.items():
            if self.folder / job.folder / job.reply in there and (reply := self._reply(job)):
                yield future, reply

    def _reply(self, job: Job) -> Reply | WorkerLost | None:
        """The reply of a job, which is then removed; None if there is none."""
        path = self.folder / job.folder / job.reply
        if not path.is_file():
            return None
        try:
            return Reply.from_plain(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return WorkerLost(f"the reply of job {job.job_id} cannot be read: {error}")
        finally:
            path.unlink(missing_ok=True)

    def _end(self, ended: Mapping[Future[Reply], Reply | WorkerLost]) -> None:
        """Passes on how jobs have ended, and starts others."""
        with self._lock:
            ended = {future: reply for future, reply in ended.items() if future in self._jobs}
            for future, reply in ended.items():
                job = self._jobs.pop(future)
                if isinstance(reply, WorkerLost):
                    self._any_lost = True
                    future.set_exception(reply)
                else:
                    self._ended.add(job.job_id)
                    future.set_result(reply)
            if ended:
                self._start()
                write_jobs(self.folder.parent, self._jobs.values())

    def stop(self) -> str:
        """Leaves the jobs in Slurm's queue; stops those on this machine."""
        with self._lock:
            count = len(self._jobs) + len(self._waiting)
            for _, future in self._waiting:
                future.set_result(Reply(stopped="stopped before it started"))
            self._waiting.clear()
            if self.is_local:
                self._stopping = True
                self.queue.cancel({job.job_id for job in self._jobs.values()})
                return ""
            for future in self._jobs:
                future.set_result(Reply(stopped="left alone"))
            self._closed.set()
        if not count:
            return ""
        return (
            f"{count} jobs go on in Slurm\n"
            "  to watch them, type the command again with the same name=…\n"
            f"  to end them: scancel --name={self.name}"
        )

    def close(self) -> None:
        """Stops looking for replies; removes the files of this command's jobs if all have ended well."""
        self._closed.set()
        if self._thread is None:
            return
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


def _lost(job: Job) -> WorkerLost:
    where = f"{SLURM}/{job.folder}/{job.job_id}_0_log.err"
    return WorkerLost(f"job {job.job_id} ended without a result (see {where})")
