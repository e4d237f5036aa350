"""What runs that were stopped have kept: whether it is theirs, and what their training goes on from."""

from collections.abc import Sequence
from pathlib import Path

from mlplab.config import TrainConfig
from mlplab.errors import Fault, UserError
from mlplab.runs.begun import ENDED, differences, name_in_sweep
from mlplab.runs.find import read_config, read_metrics
from mlplab.runs.folder import RunFolder
from mlplab.runs.inputs import Inputs
from mlplab.training import checkpoint
from mlplab.training.state import StackState


def has_ended(folder: Path, run: TrainConfig) -> bool:
    """Whether a run that has begun in a folder would come to the same end again."""
    return read_metrics(folder)["status"] in ENDED and not differences(
        run, read_config(folder), str(folder), may_grow=False
    )


def kept_of_run(folder: Path, run: TrainConfig, inputs: Inputs) -> StackState | None:
    """What a run goes on from; None if it must begin again.

    Raises:
        UserError: if its checkpoint is damaged and there is none before it, or it is another run's, or the
            table has changed.
    """
    path = RunFolder(folder).last
    content = checkpoint.load_newest(path)
    if content is None:
        return None
    try:
        before, table, training = content["config"], content["table"], content.get("training")
    except KeyError as error:
        raise UserError(Fault(f"is damaged: it lacks a part ({error})", str(path))) from error
    if faults := differences(run, before, str(path)):
        raise UserError(*faults)
    if inputs.fingerprint(run.data) != table:
        source = inputs.table(run.data).source
        raise UserError(Fault("has changed since the training began", source, remedy="start anew"))
    if training is None:
        remedy = "start anew; init=FOLDER begins with its weights"
        raise UserError(Fault("training has stopped early, and cannot go on", str(folder), remedy=remedy))
    return StackState.from_plain(training)


def kept_of_stack(path: Path, folders: Sequence[Path]) -> StackState | None:
    """What a sweep's runs in these folders go on from together; None if they must begin again."""
    runs = [name_in_sweep(folder, path) for folder in folders]
    try:
        content = checkpoint.load_newest(path)
    except UserError:
        return None
    if content is None or not set(runs) <= set(content["runs"]):
        return None
    members = [content["runs"].index(run) for run in runs]
    return StackState.from_plain(content["training"]).select(members)
