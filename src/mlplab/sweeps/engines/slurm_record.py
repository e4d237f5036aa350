"""Which Slurm jobs train which runs, as a sweep's folder says it to the next command."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from mlplab.files import replacing
from mlplab.sweeps.engines.worker import Assignment
from mlplab.sweeps.folder import SLURM_JOBS


@dataclass(frozen=True)
class Job:
    """A job that trains a stack.

    Attributes:
        job_id: such as `1234_5`.
        folder: the name of the folder of its command.
        reply: the name of the file there with its reply.
        runs: a hash of the configuration of each run, by the path of its folder.
    """

    job_id: str
    folder: str
    reply: str
    runs: Mapping[str, str]

    def trains(self, assignment: Assignment) -> bool:
        """Whether it trains all runs of an assignment."""
        return assignment.runs.items() <= self.runs.items()


def read_jobs(root: Path) -> list[Job]:
    """The jobs in a sweep's folder; none if their file is absent or damaged."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads((root / SLURM_JOBS).read_text(encoding="utf-8"))
        places = [(Path(each["folder"]).name, Path(each["reply"]).name) for each in content]
        return [
            Job(str(each["job_id"]), *place, dict(each["runs"]))
            for each, place in zip(content, places, strict=True)
        ]
    return []


def write_jobs(root: Path, jobs: Iterable[Job]) -> None:
    """Replaces the jobs in a sweep's folder."""
    with replacing(root / SLURM_JOBS, synced=False) as partial:
        partial.write_text(json.dumps([asdict(job) for job in jobs]), encoding="utf-8")
