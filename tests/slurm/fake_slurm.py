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

from slurm.jobs import Run

HERE = Path(__file__).parent
COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "srun", "sacct")


@dataclass(frozen=True)
class JobRecord:
    """What became of a job, or of one task of an array."""

    id: int
    name: str  # of a task: 12_3
    state: str
    restarts: int
    options: dict[str, str]
    runs: tuple[Run, ...]


class FakeSlurm:
    """A cluster with two partitions, `main` and `gpu`; leaving its context kills all its processes.

    Its controller ends with the process that made it, even if that is killed.
    """

    def __init__(self, folder: Path, nodes: int = 2):
        self.bin, self._port = folder / "bin", folder / "port"
        self._errors = folder / "controller.err"
        self.bin.mkdir(parents=True)
        (folder / "scripts").mkdir()
        source = (HERE / "client.py").read_text()
        for name in COMMANDS:
            (self.bin / name).write_text(f"#!{sys.executable} -IS\n{source}")
            (self.bin / name).chmod(0o755)
        with self._errors.open("w") as errors:
            self._controller = subprocess.Popen(
                [sys.executable, "-S", "-m", "slurm.commands", str(folder), str(nodes)],
                stdin=subprocess.PIPE,
                stderr=errors,
                cwd=HERE.parent,
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

    def configure(self, **settings: Any) -> None:
        """Changes what slurm.conf would say: see `controller.Settings`."""
        self._ask("configure", settings)

    def hold(self) -> None:
        """No job starts until `release`."""
        self.configure(held=True)

    def release(self) -> None:
        """Jobs start again."""
        self.configure(held=False)

    def without_sacct(self) -> None:
        """As on a cluster whose submission host has none."""
        (self.bin / "sacct").unlink()

    def jobs(self) -> list[JobRecord]:
        """All jobs ever submitted, each task of an array by itself."""
        records = self._ask("jobs")
        return [JobRecord(**each | {"runs": tuple(Run(**run) for run in each["runs"])}) for each in records]

    def job(self, name: str | int) -> JobRecord:
        """A job by its id, a task of an array by 12_3."""
        (found,) = [job for job in self.jobs() if str(name) == job.name]
        return found

    def wait_for(self, name: str | int, *states: str, runs: int = 1, timeout: float = 60) -> JobRecord:
        """The job once it is in one of these states and has run at least `runs` times."""

        def there() -> bool:
            job = self.job(name)
            return job.state in states and len(job.runs) >= runs

        self.until(there, f"{name} is not {states}", timeout)
        return self.job(name)

    def preempt(self, name: str | int, grace: float = 0, send_user_signal: bool = False) -> None:
        """Takes the node from a running job after `grace` seconds, SIGTERM (or its own signal) first.

        It is requeued if it may be, whatever its status if it ends in the grace time.
        """
        self._ask("preempt", str(name), grace, send_user_signal)

    def time_out(self, name: str | int) -> None:
        """Sends a running job the signal of its --signal now; its time limit follows as long after."""
        self._ask("time_out", str(name))

    def lose_node(self, node: str) -> None:
        """Kills all jobs of `node1`, say, with no signal before, and keeps the node down."""
        self._ask("lose_node", node)

    def restore_node(self, node: str) -> None:
        """Jobs may run there again."""
        self._ask("restore_node", node)

    def _ask(self, *arguments: Any) -> Any:
        address = "127.0.0.1", int(self._port.read_text())
        with socket.create_connection(address) as connection, connection.makefile("rw") as stream:
            stream.write(json.dumps({"command": "control", "arguments": arguments}) + "\n")
            stream.flush()
            return json.load(stream)["out"]

    def until(self, condition: Callable[[], bool], message: str, timeout: float = 60) -> None:
        """Waits for anything else."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"{message}\n{self._errors.read_text()}"
            time.sleep(0.02)
