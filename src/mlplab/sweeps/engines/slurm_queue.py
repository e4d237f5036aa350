"""Which jobs of a sweep wait or train, and how they are cancelled: in Slurm, or on this machine."""

import os
import re
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import psutil

from mlplab.errors import Fault, UserError

COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "srun")

SECONDS = 60
"""After which a command of Slurm's that does not answer is given up."""


class Queue(ABC):
    """The jobs of a sweep.

    Attributes:
        largest_array: the largest number of jobs that can be submitted together.
    """

    largest_array = 1000

    @abstractmethod
    def check(self) -> None:
        """Checks that jobs can be submitted.

        Raises:
            UserError: otherwise.
        """

    @abstractmethod
    def alive(self) -> set[str] | None:
        """The ids of the jobs that wait or train; None if Slurm does not answer."""

    @abstractmethod
    def cancel(self, jobs: Collection[str]) -> None:
        """Cancels jobs; those that train save their state first."""


class SlurmQueue(Queue):
    """The jobs of this user with a name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def check(self) -> None:
        """Checks that Slurm's commands are on the PATH, and that it answers."""
        if missing := [each for each in COMMANDS if shutil.which(each) is None]:
            remedy = "start the sweep on a machine of the cluster, or try its jobs on this one: "
            remedy += "hydra.launcher.engine.cluster=local"
            what = "Slurm is not installed here"
            raise UserError(Fault(what, "hydra/launcher/engine=slurm", f"no {missing[0]}", remedy=remedy))
        if self.alive() is None:
            remedy = "look at: squeue --me"
            raise UserError(Fault("Slurm does not answer", "hydra/launcher/engine=slurm", remedy=remedy))
        if found := re.search(r"MaxArraySize\s*=\s*(\d+)", self._asked("scontrol", "show", "config") or ""):
            self.largest_array = max(1, int(found[1]) - 1)

    def alive(self) -> set[str] | None:
        """As Slurm lists them."""
        options = ("--me", "--array", "--noheader", "--format=%i", f"--name={self.name}")
        answer = self._asked("squeue", *options)
        return None if answer is None else set(answer.split())

    def _asked(self, *command: str) -> str | None:
        """What a command of Slurm's answers; None if it fails."""
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout

    def cancel(self, jobs: Collection[str]) -> None:
        """By scancel, which sends SIGTERM first."""
        self._asked("scancel", *sorted(jobs))


class LocalQueue(Queue):
    """The processes of submitit's local executor whose files are in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = os.fspath(folder)

    def check(self) -> None:
        """Nothing can be missing."""

    def alive(self) -> set[str]:
        """Their process ids."""
        return {
            str(process.pid)
            for process in psutil.process_iter(["cmdline"])
            if "submitit.local._local" in (words := process.info["cmdline"] or [])
            and any(word.startswith(self.folder) for word in words)
        }

    def cancel(self, jobs: Collection[str]) -> None:
        """By SIGTERM, which submitit hands on."""
        for job in self.alive().intersection(jobs):
            with suppress(ProcessLookupError):
                os.kill(int(job), signal.SIGTERM)
