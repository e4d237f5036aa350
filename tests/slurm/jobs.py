"""Jobs of the fake cluster: what is recorded of each, its processes and its environment."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

OVER = {"COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "PREEMPTED"}


@dataclass
class Run:
    """One time that a job ran."""

    node: str
    start: float
    end: float | None = None
    state: str = "RUNNING"  # then how it ended; REQUEUED if the job went back to the queue


@dataclass
class Job:
    """A job, or one task of an array."""

    id: int  # its array's until the task starts
    array: int | None
    task: int | None
    tasks: Sequence[int]  # of its array
    throttle: int  # how many tasks of its array may run at once; 0: any number
    options: dict[str, str]
    script: str
    arguments: list[str]
    folder: str
    environment: dict[str, str]  # where it was submitted
    state: str = "PENDING"
    runs: list[Run] = field(default_factory=list)
    restarts: int = 0
    begin: float = 0
    process: subprocess.Popen[bytes] | None = None  # the batch shell
    place: int = 0  # which of the jobs of its node it is
    steps: list[int] = field(default_factory=list)  # process groups that srun started
    warn_at: float | None = None  # when the signal of --signal is due
    end_at: float | None = None  # the time limit, or the end of the grace time
    preempted: bool = False  # in its grace time
    kill_at: float | None = None
    outcome: str | None = None  # its state once its processes have ended

    @property
    def name(self) -> str:
        """Its id as squeue prints it."""
        return str(self.id) if self.array is None else f"{self.array}_{self.task}"

    @property
    def node(self) -> str:
        """Where it runs or ran last."""
        return self.runs[-1].node if self.runs else ""

    @property
    def ended(self) -> float | None:
        """When its last run ended."""
        return self.runs[-1].end if self.runs else None

    @property
    def warning(self) -> tuple[signal.Signals, float]:
        """The signal of --signal, and how many seconds before the time limit it is due."""
        name, _, lead = self.options["signal"].partition("@")
        return signal.Signals[f"SIG{name.removeprefix('SIG')}"], float(lead or 60)

    @property
    def mark(self) -> str:
        """Stands in the environment of all processes of this run."""
        return f"FAKE_SLURM_JOB={self.environment['FAKE_SLURM']}:{self.name}:{self.restarts}"

    def path(self, pattern: str) -> Path:
        """The file that a pattern of --output stands for."""
        values = {"A": self.array or self.id, "a": self.task, "j": self.id, "t": 0, "%": "%"}
        values |= {"x": self.options["job_name"], "N": self.node}
        return Path(self.folder, re.sub("%(.)", lambda match: str(values[match[1]]), pattern))

    def record(self) -> dict[str, object]:
        """What tests see."""
        names = ("id", "name", "state", "restarts", "options")
        return {name: getattr(self, name) for name in names} | {"runs": [asdict(run) for run in self.runs]}

    def signal_steps(self, *signals: signal.Signals) -> None:
        """Signals what srun started, but never the batch shell."""
        for group in self.steps:
            for each in signals:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, each)

    def batch_has_ended(self) -> bool:
        """Whether its script is through."""
        return self.process is not None and self.process.poll() is not None

    def steps_have_ended(self) -> bool:
        """Whether there were steps, and none has a process left."""
        for group in self.steps:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, 0)
                return False
        return bool(self.steps)

    def processes(self) -> list[int]:
        """All processes of this run, as its control group would list them."""
        found, mark = [], self.mark.encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return found

    def run_environment(self) -> dict[str, str]:
        """The environment of the batch script."""
        run, options = self.runs[-1], self.options
        values: dict[str, object] = {
            "SLURM_JOB_ID": self.id,
            "SLURM_JOB_NAME": options["job_name"],
            "SLURM_JOB_PARTITION": options["partition"],
            "SLURM_JOB_NODELIST": run.node,
            "SLURMD_NODENAME": run.node,
            "SLURM_SUBMIT_DIR": self.folder,
            "SLURM_JOB_START_TIME": int(run.start),
            "SLURM_OPEN_MODE": "a" if options["open_mode"] == "append" else "t",
        }
        values |= dict.fromkeys(("SLURM_JOB_NUM_NODES", "SLURM_NNODES", "SLURM_NTASKS"), 1)
        values |= dict.fromkeys(("SLURM_NODEID", "SLURM_PROCID", "SLURM_LOCALID"), 0)
        if self.array is not None:
            values |= {"SLURM_ARRAY_JOB_ID": self.array, "SLURM_ARRAY_TASK_ID": self.task}
            values |= {"SLURM_ARRAY_TASK_MIN": min(self.tasks), "SLURM_ARRAY_TASK_MAX": max(self.tasks)}
            values |= {"SLURM_ARRAY_TASK_COUNT": len(self.tasks)}
        if self.restarts:
            values |= {"SLURM_RESTART_COUNT": self.restarts}
        if self.end_at:
            values |= {"SLURM_JOB_END_TIME": int(self.end_at)}
        if options["cpus_per_task"]:
            values |= {"SLURM_CPUS_PER_TASK": options["cpus_per_task"]}
        if gpus := int(options["gpus_per_node"].rpartition(":")[2] or 0):
            devices = range(self.place * gpus, (self.place + 1) * gpus)
            values |= {"SLURM_GPUS_ON_NODE": gpus, "CUDA_VISIBLE_DEVICES": ",".join(map(str, devices))}
        inherited = {name: value for name, value in self.environment.items() if not name.startswith("SLURM_")}
        return (
            inherited | {name: str(value) for name, value in values.items()} | dict([self.mark.split("=", 1)])
        )


def seconds(limit: str) -> float:
    """A time limit in any of Slurm's forms; unlike Slurm, of fractions too.

    Raises ValueError for anything else.
    """
    days, _, rest = limit.rpartition("-")
    parts = [float(part) for part in rest.split(":")]
    units = [3600, 60, 1] if days or len(parts) == 3 else [60, 1]
    return float(days or 0) * 86400 + sum(part * unit for part, unit in zip(parts, units, strict=False))
