"""What is refused of a sweep before torch is imported."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mlplab.cli.composition import Job
from mlplab.data.cache import DataCache
from mlplab.data.load import table_key
from mlplab.errors import Fault, UserError
from mlplab.runs.checks import check_inputs


def check_jobs(jobs: Sequence[Job], root: Path, cache: DataCache) -> list[Job]:
    """The runs of a sweep, those whose inputs cannot be used among the wrong ones.

    The tables and splits that it reads stay in `inputs`.

    Args:
        root: the sweep's folder.

    Raises:
        UserError: if all runs are wrong, or two would fill one folder.
    """
    _check_folders(jobs, root)
    checked = list(check_each(jobs, cache))
    if all(job.error for job in checked):
        raise checked[0].error or AssertionError
    return checked


def check_each(jobs: Sequence[Job], cache: DataCache) -> Iterator[Job]:
    """The jobs, those whose inputs cannot be used with what is wrong."""
    found: dict[str, UserError | None] = {}  # one look at a file is enough
    for job in jobs:
        if not job.config:
            yield job
            continue
        run = job.config
        needs = str((table_key(run), run.model.preprocessing.target, run.data.split, run.init_from))
        if needs not in found:
            try:
                check_inputs(job.config, cache)
                found[needs] = None
            except UserError as error:
                found[needs] = error
        wrong = found[needs]
        yield job.refused(wrong) if wrong else job


def _check_folders(jobs: Sequence[Job], root: Path) -> None:
    seen: dict[Path, Job] = {}
    for job in jobs:
        if not job.folder.resolve().is_relative_to(root.resolve()):
            raise UserError(Fault("leaves the sweep's folder", str(job.folder)))
        if job.folder in seen:
            raise UserError(
                Fault(
                    "two runs would fill the same folder",
                    str(job.folder),
                    remedy="give each value once, or name runs apart with hydra.sweep.subdir",
                )
            )
        seen[job.folder] = job
