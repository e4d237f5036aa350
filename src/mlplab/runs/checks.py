"""What is refused of a run before torch is imported, which takes seconds."""

from pathlib import Path

from mlplab.config import TrainConfig
from mlplab.data.cache import DataCache
from mlplab.runs.discovery import finished_run
from mlplab.runs.folder import RunFolder
from mlplab.runs.resume import has_ended


def check_run(run: TrainConfig, folder: Path, cache: DataCache, *, begun: bool) -> None:
    """Checks a run's folder and inputs; the table and the split that it reads stay in `inputs`.

    Args:
        begun: the folder is this run's already. One that has ended needs no table.

    Raises:
        UserError: if the folder is in use, or as `check_inputs`.
    """
    if not begun:
        RunFolder(folder).check_unused()
        check_inputs(run, cache)
    elif not has_ended(folder, run):
        cache.split(run)


def check_inputs(run: TrainConfig, cache: DataCache) -> None:
    """Reads and splits a run's table, and looks for the run that its weights come from.

    Raises:
        UserError: if the table or the split cannot be used, or `init_from` names no finished run.
    """
    if run.init_from:
        finished_run(Path(run.init_from), "init_from")
    cache.split(run)
