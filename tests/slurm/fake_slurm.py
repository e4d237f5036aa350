"""A cluster for tests: its commands on the PATH, and what can happen to its jobs and machines."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
COMMANDS = ("sbatch", "scancel", "scontrol", "srun", "sacct")


@dataclass(frozen=True)
class JobRecord:
    """What became of a job, or of one task of an array."""

    name: str  # of a task: 12_3
    state: str
    nodes: list[str]  # of each of its runs
    ends: list[str]  # how each of its runs has ended
    options: dict[str, str]


class FakeSlurm:
    """A cluster of two nodes; leaving its context kills all its processes.

    Its controller ends with the process that made it, even if that is killed.
    """

    def __init__(self, folder: Path, nodes: int = 2):
        self.bin, self._port, self._errors = folder / "bin", folder / "port", folder / "controller.err"
        self.bin.mkdir(parents=True)
        source = (HERE / "client.py").read_text()
        for name in COMMANDS:
            (self.bin / name).write_text(f"#!{sys.executable} -IS\n{source}")
            (self.bin / name).chmod(0o755)
        with self._errors.open("w") as errors:
            self._controller = subprocess.Popen(
                [sys.executable, "-IS", HERE / "controller.py", str(folder), str(nodes)],
                stdin=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        self.until(self._port.exists, "the controller does not start")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._controller.stdin
        self._controller.stdin.close()
        self._controller.wait(20)
        assert not self._errors.read_text(), self._errors.read_text()

    def hold(self) -> None:
        """No job starts from now on."""
        self._ask("hold")

    def refuse(self, *answers: str) -> None:
        """Answers the next calls of sbatch in this way, one after the other."""
        self._ask("refuse", *answers)

    def jobs(self) -> list[JobRecord]:
        """All jobs ever submitted, each task of an array by itself."""
        return [JobRecord(**record) for record in self._ask("jobs")]

    def finished_jobs(self) -> list[JobRecord]:
        """All jobs, once each has ended: a job ends later than the run whose results it has written."""
        self.until(
            lambda: all(job.state not in ("PENDING", "RUNNING") for job in self.jobs()), "a job does not end"
        )
        return self.jobs()

    def preempt(self, name: str, *, send_user_signal: bool) -> None:
        """Takes the node from a running job after 30 seconds, SIGTERM (or its own signal) first."""
        self._ask("preempt", name, "SIGUSR2" if send_user_signal else "SIGTERM")

    def time_out(self, name: str) -> None:
        """Sends a running job the signal of its --signal now; its time limit follows as long after."""
        self._ask("time_out", name)

    def lose_node(self, node: str) -> None:
        """Kills all jobs of `node1`, say, with no signal before, and keeps the node down."""
        self._ask("lose_node", node)

    def _ask(self, *arguments: Any) -> Any:
        address = "127.0.0.1", int(self._port.read_text())
        with socket.create_connection(address) as connection, connection.makefile("rw") as stream:
            stream.write(json.dumps({"command": "control", "arguments": arguments}) + "\n")
            stream.flush()
            return json.load(stream)["out"]

    def until(self, condition: Callable[[], bool], message: str, timeout: float = 120) -> None:
        """Waits for anything else."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"{message}\n{self._errors.read_text()}"
            time.sleep(0.02)
