"""The fake cluster: what slurmctld and slurmd do, in one process whose children are the batch shells."""

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from slurm.jobs import OVER, Job, Run, seconds


@dataclass(slots=True)
class Settings:
    """What slurm.conf would say; times in seconds."""

    partitions: tuple[str, ...] = ("main", "gpu")  # the first is the default
    jobs_per_node: int = 1
    max_array_size: int = 1001
    kill_wait: float = 1  # 30 in Slurm
    begin_delay: float = 0  # until a requeued job may start; 120 in Slurm
    min_job_age: float = 0  # how long squeue and scontrol know a job that is over; 300 in Slurm
    accounting: bool = True
    held: bool = False  # no job starts


class Cluster:
    """Jobs and nodes; `tick` does what is due."""

    def __init__(self, nodes: int):
        self.settings = Settings()
        self.nodes = {f"node{index + 1}": True for index in range(nodes)}  # whether each is up
        self.jobs: list[Job] = []
        self.running: list[Job] = []  # those with processes
        self.last_id = 0

    def next_id(self) -> int:
        """An id that no job has had."""
        self.last_id += 1
        return self.last_id

    def known(self) -> list[Job]:
        """The jobs that slurmctld remembers."""
        oldest = time.time() - self.settings.min_job_age
        return [job for job in self.jobs if job.state not in OVER or (job.ended or 0) > oldest]

    def tick(self) -> None:
        """Ends what has ended, sends signals that are due, and starts what can start."""
        now = time.time()
        for job in list(self.running):
            if job.batch_has_ended() or (job.kill_at and (now > job.kill_at or job.steps_have_ended())):
                self.finish(job)
            elif job.outcome:
                continue
            elif job.warn_at and now > job.warn_at:
                job.warn_at = None
                job.signal_steps(signal.SIGCONT, job.warning[0])
            elif job.end_at and now > job.end_at:
                self.terminate(job, self.lost(job, "PREEMPTED") if job.preempted else "TIMEOUT")
        if not self.settings.held:
            self.schedule()

    def schedule(self) -> None:
        """Starts pending jobs in the order of their submission."""
        busy = {(job.node, job.place) for job in self.running}
        places = [(node, place) for place in range(self.settings.jobs_per_node) for node in self.nodes]
        free = [place for place in places if self.nodes[place[0]] and place not in busy]
        for job in self.jobs:
            if not free:
                break
            if job.state == "PENDING" and job.begin <= time.time() and not self.throttled(job):
                self.start(job, *free.pop(0))

    def throttled(self, job: Job) -> bool:
        """Whether as many tasks of its array run as may run at once."""
        return 0 < job.throttle <= sum(other.array == job.array for other in self.running)

    def start(self, job: Job, node: str, place: int) -> None:
        """Runs the batch script."""
        now, limit = time.time(), seconds(job.options["time"])
        unstarted = [other for other in self.jobs if other.array == job.array and not other.runs]
        if job.array is not None and not job.runs and len(unstarted) > 1:
            job.id = self.next_id()  # the last task of an array has the array's
        job.state, job.place = "RUNNING", place
        job.runs.append(Run(node, now))
        job.end_at = now + limit if limit else None
        if job.end_at and job.options["signal"]:
            job.warn_at = job.end_at - job.warning[1]
        script = Path(job.environment["FAKE_SLURM"], "scripts", f"{job.name}.sh")
        script.write_text(job.script)
        script.chmod(0o700)
        mode = "ab" if job.options["open_mode"] == "append" else "wb"
        try:
            with contextlib.ExitStack() as files:
                out, err = (
                    files.enter_context(job.path(name).open(mode)) if name else subprocess.STDOUT
                    for name in (job.options["output"], job.options["error"])
                )
                job.process = subprocess.Popen(
                    [script, *job.arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    cwd=job.folder,
                    env=job.run_environment(),
                    start_new_session=True,
                )
            self.running.append(job)
        except OSError:  # there is no folder for the output, say
            self.end_run(job, "FAILED")

    def terminate(self, job: Job, outcome: str) -> None:
        """Asks the steps of a running job to end; SIGKILL follows KillWait later."""
        if not job.outcome:
            job.state, job.kill_at = "COMPLETING", time.time() + self.settings.kill_wait
            job.signal_steps(signal.SIGCONT, signal.SIGTERM)
        job.outcome = outcome

    def preempt(self, job: Job, grace: float, send_user_signal: bool) -> None:
        """Signals now, the end after the grace time; in Slurm, a job of a higher tier would ask for it."""
        user = send_user_signal and job.options["signal"]
        job.signal_steps(signal.SIGCONT, job.warning[0] if user else signal.SIGTERM)
        job.preempted, job.warn_at, job.end_at = True, None, time.time() + grace

    def time_out(self, job: Job) -> None:
        """Brings the time limit so near that the signal of --signal is due."""
        job.warn_at = time.time()
        job.end_at = job.warn_at + job.warning[1]

    def lose_node(self, node: str) -> None:
        """The machine is gone, and no process on it heard of it."""
        self.nodes[node] = False
        for job in list(self.running):
            if job.node == node:
                job.outcome = self.lost(job, "NODE_FAIL")
                self.finish(job)

    def lost(self, job: Job, state: str) -> str:
        """What becomes of a job that must leave its node."""
        return "REQUEUED" if job.options["requeue"] else state

    def finish(self, job: Job) -> None:
        """Kills what is left of a job."""
        assert job.process
        for group in (job.process.pid, *job.steps):  # a process that execs just now shows no environment
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        while left := job.processes():
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.005)
        status = job.process.wait()
        self.running.remove(job)
        ended = "FAILED" if status else "COMPLETED"
        if job.preempted:
            ended = self.lost(job, "PREEMPTED")  # even with status 0 in the grace time: so does Slurm 24.11
        self.end_run(job, job.outcome or ended)

    def end_run(self, job: Job, outcome: str) -> None:
        """Records how a run ended."""
        job.state = job.runs[-1].state = outcome
        job.runs[-1].end = time.time()
        job.process = job.warn_at = job.end_at = job.kill_at = job.outcome = None
        job.preempted, job.steps = False, []
        if outcome == "REQUEUED":
            self.requeue(job)

    def requeue(self, job: Job) -> None:
        """Puts a job that does not run into the queue again."""
        job.state, job.begin = "PENDING", time.time() + self.settings.begin_delay
        job.restarts += 1
