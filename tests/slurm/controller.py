"""The fake cluster's controller: what slurmctld and slurmd do, in a process whose children are batch shells.

It knows what submitit asks for: sbatch, srun, sacct, scancel and scontrol requeue.
"""

import contextlib
import json
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KILL_WAIT = 1.0
"""Seconds between SIGTERM and SIGKILL; 30 in Slurm."""


class RefusedError(Exception):
    """What a command prints to stderr before it ends with status 1."""


@dataclass
class Job:
    """A job, or one task of an array."""

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
    warn_at: float | None = None  # when the signal of --signal is due
    end_at: float | None = None  # the time limit, or the end of the grace time
    kill_at: float | None = None
    outcome: str | None = None  # its state once its processes have ended
    is_preempted: bool = False

    def path(self, pattern: str) -> Path:
        """The file that a pattern of --output stands for."""
        array, _, task = self.name.partition("_")
        values = {"A": array, "a": task, "j": self.id, "t": 0}
        return Path(self.folder, re.sub("%(.)", lambda match: str(values[match[1]]), pattern))

    @property
    def warning(self) -> tuple[signal.Signals, float]:
        """The signal of --signal, and how many seconds before the time limit it is due."""
        name, _, lead = self.options["signal"].partition("@")
        return signal.Signals[f"SIG{name}"], float(lead)

    def signal_steps(self, *signals: signal.Signals) -> None:
        """Signals what srun started, but never the batch shell."""
        for group in self.steps:
            for number in signals:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, number)

    def start(self, node: str) -> None:
        """Runs the batch script."""
        self.state, self.end_at = "RUNNING", time.time() + 60 * float(self.options["time"])
        self.warn_at = self.end_at - self.warning[1]
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
        """Asks its steps to end; SIGKILL follows."""
        if not self.outcome:
            self.kill_at = time.time() + KILL_WAIT
            self.signal_steps(signal.SIGCONT, signal.SIGTERM)
        self.outcome = outcome

    def finish(self) -> None:
        """Kills what is left of it. All jobs may be requeued, as Slurm's default is."""
        assert self.process
        for group in (self.process.pid, *self.steps):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        ended = "FAILED" if self.process.wait() else "COMPLETED"
        if self.is_preempted:
            ended = "REQUEUED"  # even with status 0 in the grace time: so does Slurm 24.11
        self.state = self.outcome or ended
        self.ends.append(self.state)
        self.process = self.warn_at = self.end_at = self.kill_at = self.outcome = None
        self.is_preempted, self.steps = False, []
        if self.state == "REQUEUED":
            self.state = "PENDING"


class Cluster:
    """Jobs and nodes. Its methods are Slurm's commands, and what only tests ask."""

    def __init__(self, nodes: int):
        self.up = {f"node{index + 1}": True for index in range(nodes)}
        self.jobs: list[Job] = []
        self.last_id, self.held = 0, False
        self.refusals: list[str] = []

    @property
    def running(self) -> list[Job]:
        """The jobs with processes."""
        return [job for job in self.jobs if job.process]

    def tick(self) -> None:
        """Ends what has ended, sends signals that are due, and starts what can start."""
        now = time.time()
        for job in self.running:
            assert job.process
            if job.process.poll() is not None or (job.kill_at and now > job.kill_at):
                job.finish()
            elif job.warn_at and now > job.warn_at and not job.outcome:
                job.warn_at = None
                job.signal_steps(signal.SIGCONT, job.warning[0])
            elif job.end_at and now > job.end_at and not job.outcome:
                job.terminate("REQUEUED" if job.is_preempted else "TIMEOUT")
        busy = {job.nodes[-1] for job in self.running}
        free = [node for node, up in self.up.items() if up and node not in busy and not self.held]
        for job, node in zip([job for job in self.jobs if job.state == "PENDING"], free, strict=False):
            job.start(node)

    def sbatch(self, request: dict[str, Any]) -> str:
        """Puts a script into the queue."""
        (path,) = request["arguments"]
        script = Path(request["folder"], path).read_text()
        words = [shlex.split(line)[1] for line in script.splitlines() if line.startswith("#SBATCH --")]
        options = {
            name: value for name, _, value in (word.removeprefix("--").partition("=") for word in words)
        }
        if self.refusals:
            raise RefusedError(f"sbatch: error: Batch job submission failed: {self.refusals.pop(0)}")
        self.last_id = array = self.last_id + 1
        last = int(options["array"].partition("%")[0].partition("-")[2]) if "array" in options else None
        for name in [f"{array}_{task}" for task in range(last + 1)] if last is not None else [str(array)]:
            self.last_id += 1
            values = (options, script, request["folder"], request["environment"])
            self.jobs.append(Job(self.last_id if last is not None else array, name, *values))
        return f"Submitted batch job {array}\n"

    def srun(self, request: dict[str, Any]) -> dict[str, Any]:
        """Notes a step, which the process that asks then becomes."""
        words = request["arguments"]
        output, error = (words[words.index(name) + 1] for name in ("--output", "--error"))
        (job,) = (job for job in self.running if str(job.id) == request["environment"]["SLURM_JOB_ID"])
        job.steps.append(request["process"])
        if job.outcome:
            job.signal_steps(signal.SIGTERM)
        return {
            "run": words[words.index("--error") + 2 :],
            "paths": [str(job.path(each)) for each in (output, error)],
        }

    def sacct(self, request: dict[str, Any]) -> str:
        """The state of jobs."""
        wanted = request["arguments"][request["arguments"].index("-j") :]
        known = [job for job in self.jobs if job.name.partition("_")[0] in wanted]
        lines = [f"{job.name}|{job.state}|{job.nodes[-1] if job.process else ''}" for job in known]
        return "\n".join(["JobID|State|NodeList", *lines, ""])

    def scancel(self, request: dict[str, Any]) -> str:
        """Ends the jobs with a name, or those of them with some ids."""
        word, *ids = request["arguments"]
        for job in self.jobs:
            if word == f"--name={job.options['job-name']}" and (not ids or job.name in ids):
                if job.process:
                    job.terminate("CANCELLED")
                elif job.state == "PENDING":
                    job.state = "CANCELLED"
        return ""

    def scontrol(self, request: dict[str, Any]) -> str:
        """Requeues a job."""
        action, name = request["arguments"]
        (job,) = (job for job in self.running if job.name == name)
        assert action == "requeue"
        job.terminate("REQUEUED")
        return ""

    def control(self, request: dict[str, Any]) -> Any:
        """What happens to machines, and what the cluster remembers of its jobs."""
        match request["arguments"]:
            case ["jobs"]:
                names = ("name", "state", "nodes", "ends", "options")
                return [{name: getattr(job, name) for name in names} for job in self.jobs]
            case ["hold"]:
                self.held = True
            case ["refuse", *answers]:
                self.refusals += answers
            case ["lose_node", node]:  # no process on it heard of it
                self.up[node] = False
                for job in self.running:
                    if job.nodes[-1] == node:
                        job.outcome = "REQUEUED"
                        job.finish()
            case ["preempt", name, signal_name]:
                (job,) = (job for job in self.running if job.name == name)
                job.signal_steps(signal.SIGCONT, signal.Signals[signal_name])
                job.is_preempted, job.warn_at, job.end_at = True, None, time.time() + 30
            case ["time_out", name]:  # the signal of --signal is due
                (job,) = (job for job in self.running if job.name == name)
                job.warn_at = time.time()
                job.end_at = job.warn_at + job.warning[1]
        return None


def answers(cluster: Cluster, client: socket.socket) -> Iterator[dict[str, Any]]:
    """What a command prints, and its status, if it lives long enough to ask."""
    with contextlib.suppress(OSError), client.makefile("rb") as stream:
        line = stream.readline()
        if line.endswith(b"\n"):
            request = json.loads(line)
            try:
                yield {"out": getattr(cluster, request["command"])(request), "err": "", "status": 0}
            except RefusedError as refused:
                yield {"out": "", "err": f"{refused}\n", "status": 1}


def main(folder: str, nodes: int) -> None:
    """Answers commands until stdin is closed: the test has ended or was killed. Then kills all jobs."""
    cluster = Cluster(nodes)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        Path(folder, "port.new").write_text(str(server.getsockname()[1]))
        Path(folder, "port.new").rename(Path(folder, "port"))
        try:
            while True:
                ready, _, _ = select.select([server, sys.stdin], [], [], 0.02)
                if sys.stdin in ready:
                    break
                if server in ready:
                    with server.accept()[0] as client:
                        for answer in answers(cluster, client):
                            with contextlib.suppress(OSError):
                                client.sendall(json.dumps(answer).encode())
                cluster.tick()
        finally:
            for job in cluster.running:
                job.finish()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
