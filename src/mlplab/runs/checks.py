"""What is refused of a run before torch is imported, which takes seconds."""

from pathlib import Path

from mlplab.config import TrainConfig
from mlplab.runs.begun import has_ended
from mlplab.runs.find import finished_run
from mlplab.runs.folder import RunFolder
from mlplab.runs.inputs import Inputs


def check_run(run: TrainConfig, folder: Path, inputs: Inputs, *, begun: bool) -> None:
    """Checks a run's folder and inputs; the table and the split that it reads stay in `inputs`.

    Args:
        begun: the folder is this run's already. One that has ended needs no table.

    Raises:
        UserError: if the folder is in use, or as `check_inputs`.
    """
    if not begun:
        RunFolder(folder).check_unused()
        check_inputs(run, inputs)
    elif not has_ended(folder, run):
        inputs.split(run)


def check_inputs(run: TrainConfig, inputs: Inputs) -> None:
    """Reads and splits a run's table, and looks for the run that its weights come from.

    Raises:
        UserError: if the table or the split cannot be used, or `init` names no finished run.
    """
    if run.init:
        finished_run(Path(run.init), "init")
    inputs.split(run)
