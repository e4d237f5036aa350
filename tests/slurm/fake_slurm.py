"""A Slurm cluster for tests: its commands on the PATH, and what can happen to its jobs and machines.

It knows what submitit asks for: sbatch, srun, sacct, scancel and scontrol requeue.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, RLock, Thread
from typing import Any, Self

COMMANDS = ("sbatch", "scancel", "scontrol", "srun", "sacct")
KILL_WAIT = 1.0  # seconds between SIGTERM and SIGKILL; 30 in Slurm


class RefusedError(Exception): ...


@dataclass
class Job:
    id: int
    name: str  # of a task: 12_3
    options: dict[str, str]
    script: str
    folder: str
    environment: dict[str, str]  # where it was submitted
    state: str = "PENDING"
    nodes: list[str] = field(default_factory=list)  # of each of its runs
    ends: list[str] = field(default_factory=list)  # how each of its runs has ended
    process: subprocess.Popen[bytes] | None = None  # the batch shell
    steps: list[int] = field(default_factory=list)  # process groups that srun started
    warn_at: float = float("inf")  # when the signal of --signal is due
    end_at: float = 0.0  # the time limit, or the end of the grace time
    kill_at: float = float("inf")
    outcome: str | None = None  # its state once its processes have ended
    is_preempted: bool = False

    def path(self, pattern: str) -> Path:
        array, _, task = self.name.partition("_")
        values = {"A": array, "a": task, "j": self.id, "t": 0}
        return Path(self.folder, re.sub("%(.)", lambda match: str(values[match[1]]), pattern))

    def signal_steps(self, *signals: int) -> None:
        """Signals what srun started, but never the batch shell."""
        for group in self.steps:
            for number in signals:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, number)

    def start(self, node: str) -> None:
        self.state, self.end_at = "RUNNING", time.time() + 60 * float(self.options["time"])
        self.warn_at = self.end_at - float(self.options["signal"].partition("@")[2])
        self.nodes.append(node)
        array, _, task = self.name.partition("_")
        values: dict[str, object] = {
            **{"SLURM_JOB_ID": self.id, "SLURM_RESTART_COUNT": len(self.ends), "SLURM_JOB_NODELIST": node},
            **dict.fromkeys(("SLURM_JOB_NUM_NODES", "SLURM_NTASKS"), 1),
            **dict.fromkeys(("SLURM_NODEID", "SLURM_PROCID", "SLURM_LOCALID"), 0),
            **({"SLURM_ARRAY_JOB_ID": array, "SLURM_ARRAY_TASK_ID": task} if task else {}),
        }
        with self.path(self.options["output"]).open("ab") as out:
            self.process = subprocess.Popen(
                ["bash", "-c", f"{self.script}\nexit $?"],  # else bash becomes its last command
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self.environment | {name: str(value) for name, value in values.items()},
                start_new_session=True,
            )

    def terminate(self, outcome: str) -> None:
        if not self.outcome:
            self.kill_at = time.time() + KILL_WAIT
            self.signal_steps(signal.SIGCONT, signal.SIGTERM)
        self.outcome = outcome

    def finish(self) -> None:
        """Kills what is left of it. All jobs may be requeued, as Slurm's default is."""
        for group in (self.process.pid, *self.steps):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        ended = "FAILED" if self.process.wait() else "COMPLETED"
        if self.is_preempted:
            ended = "REQUEUED"  # even with status 0 in the grace time: so does Slurm 24.11
        ended = self.outcome or ended
        self.ends.append(ended)
        self.state = "PENDING" if ended == "REQUEUED" else ended
        self.process, self.outcome, self.steps, self.is_preempted = None, None, [], False
        self.kill_at = float("inf")


class FakeSlurm:
    """A cluster of two nodes; leaving its context kills all its processes.

    Its commands ask a thread, which starts and ends jobs as slurmctld and slurmd do.
    """

    def __init__(self, folder: Path):
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        self._free, self._jobs = {"node1", "node2"}, list[Job]()
        self._last_id, self.is_held = 0, False  # a cluster that is held starts no job
        self.refusals = list[str]()  # of the next jobs
        self._lock, self._over = RLock(), Event()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=128)
        (folder / "port").write_text(str(self._server.getsockname()[1]))
        source = Path(__file__).with_name("client.py").read_text()
        for name in COMMANDS:
            (self.bin / name).write_text(f"#!{sys.executable} -IS\n{source}")
            (self.bin / name).chmod(0o755)
        self._thread = Thread(target=self._control, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for job in self._running:
            job.finish()

    def _control(self) -> None:
        with self._server:
            self._server.settimeout(0.02)
            while not self._over.is_set():
                with contextlib.suppress(OSError), self._server.accept()[0] as client:
                    with client.makefile("rb") as stream:
                        line = stream.readline()
                    if line.endswith(b"\n"):  # the command lived long enough to ask
                        client.sendall(json.dumps(self._answer(json.loads(line))).encode())
                with self._lock:
                    self._tick()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            try:
                return {"out": getattr(self, f"_{request['command']}")(request), "err": "", "status": 0}
            except RefusedError as refused:
                return {"out": "", "err": f"{refused}\n", "status": 1}

    @property
    def _running(self) -> list[Job]:
        return [job for job in self._jobs if job.process]

    def _job(self, name: str) -> Job:
        return next(job for job in self._running if name in (job.name, str(job.id)))

    def _tick(self) -> None:
        """Ends what has ended, sends signals that are due, and starts what can start."""
        now = time.time()
        for job in self._running:
            if job.process.poll() is not None or now > job.kill_at:
                job.finish()
            elif now > job.warn_at and not job.outcome:
                job.warn_at = float("inf")
                name, _, _ = job.options["signal"].partition("@")
                job.signal_steps(signal.SIGCONT, signal.Signals[f"SIG{name}"])
            elif now > job.end_at and not job.outcome:
                job.terminate("REQUEUED" if job.is_preempted else "TIMEOUT")
        free = sorted(self._free - {job.nodes[-1] for job in self._running})
        pending = [job for job in self._jobs if job.state == "PENDING" and not self.is_held]
        for job, node in zip(pending, free, strict=False):
            job.start(node)

    def _sbatch(self, request: dict[str, Any]) -> str:
        script = Path(request["folder"], *request["arguments"]).read_text()
        words = [shlex.split(line)[1][2:] for line in script.splitlines() if line.startswith("#SBATCH --")]
        options = {name: value for name, _, value in (word.partition("=") for word in words)}
        if self.refusals:
            raise RefusedError(f"sbatch: error: Batch job submission failed: {self.refusals.pop(0)}")
        self._last_id = array = self._last_id + 1
        values = (options, script, request["folder"], request["environment"])
        if "array" not in options:
            self._jobs.append(Job(array, str(array), *values))
            return f"Submitted batch job {array}\n"
        for task in range(int(options["array"].partition("%")[0].partition("-")[2]) + 1):
            self._last_id += 1
            self._jobs.append(Job(self._last_id, f"{array}_{task}", *values))
        return f"Submitted batch job {array}\n"

    def _srun(self, request: dict[str, Any]) -> dict[str, Any]:
        """Notes a step, which the process that asks then becomes."""
        words = request["arguments"]
        job = self._job(request["environment"]["SLURM_JOB_ID"])
        job.steps.append(request["process"])
        if job.outcome:
            job.signal_steps(signal.SIGTERM)
        paths = [str(job.path(words[words.index(name) + 1])) for name in ("--output", "--error")]
        return {"run": words[words.index("--error") + 2 :], "paths": paths}

    def _sacct(self, request: dict[str, Any]) -> str:
        wanted = request["arguments"][request["arguments"].index("-j") :]
        known = [job for job in self._jobs if job.name.partition("_")[0] in wanted]
        lines = [f"{job.name}|{job.state}|{job.nodes[-1] if job.process else ''}" for job in known]
        return "\n".join(["JobID|State|NodeList", *lines, ""])

    def _scancel(self, request: dict[str, Any]) -> str:
        word, *ids = request["arguments"]
        for job in self._jobs:
            if word == f"--name={job.options['job-name']}" and (not ids or job.name in ids):
                if job.process:
                    job.terminate("CANCELLED")
                elif job.state == "PENDING":
                    job.state = "CANCELLED"
        return ""

    def _scontrol(self, request: dict[str, Any]) -> str:
        action, name = request["arguments"]
        assert action == "requeue"
        self._job(name).terminate("REQUEUED")
        return ""

    def jobs(self) -> list[Job]:
        with self._lock:
            return [*self._jobs]

    def finished_jobs(self) -> list[Job]:
        """All jobs, once each has ended: a job ends later than the run whose results it has written."""
        deadline = time.monotonic() + 120
        while any(job.state in ("PENDING", "RUNNING") for job in self.jobs()):
            assert self._thread.is_alive(), "the controller has failed"
            assert time.monotonic() < deadline, "a job does not end"
            time.sleep(0.02)
        return self.jobs()

    def preempt(self, name: str, number: signal.Signals) -> None:
        """Takes the node from a running job 30 seconds after a signal."""
        with self._lock:
            job = self._job(name)
            job.signal_steps(signal.SIGCONT, number)
            job.is_preempted, job.warn_at, job.end_at = True, float("inf"), time.time() + 30

    def time_out(self, name: str) -> None:
        """Sends a running job the signal of its --signal now; its time limit follows as long after."""
        with self._lock:
            job = self._job(name)
            job.end_at += time.time() - job.warn_at
            job.warn_at = time.time()

    def lose_node(self) -> None:
        """Kills a running job with no signal before, and keeps its node down."""
        with self._lock:
            job = self._running[0]
            self._free.discard(job.nodes[-1])
            job.outcome = "REQUEUED"
            job.finish()
