"""Weights that a new run begins with, from a trained one (`init=FOLDER`)."""

from pathlib import Path

import torch

from mlplab.config import TrainConfig
from mlplab.data.schema import Schema
from mlplab.errors import Fault, UserError, listed
from mlplab.keys import differing
from mlplab.nets import Network
from mlplab.runs.find import finished_runs
from mlplab.runs.load import TrainedRun


def begin_with_trained(network: Network, member: int, run: TrainConfig, schema: Schema) -> None:
    """Gives a member the best weights of the run that `run.init` names, its encoder included: at first it
    predicts what that run predicts.

    Raises:
        UserError: if that is no trained run, takes other columns, or is another network.
    """
    folder = Path(run.init or "")
    if finished_runs(folder) != [folder]:
        raise UserError(Fault("is a sweep's folder", f"init={folder}", remedy="name one of its runs"))
    trained = TrainedRun(folder)
    if (trained.schema.names, trained.schema.target) != (schema.names, schema.target):
        raise UserError(
            Fault(
                "was trained on other columns",
                f"init={folder}",
                f"{listed(trained.schema.names)} → {trained.schema.target}",
                f"{listed(schema.names)} → {schema.target}",
                "give both tables the same columns, in the same order",
            )
        )
    here, there = run.model.model_dump(), trained.config.model.model_dump()
    if differs := [key for key in differing(here, there) if key != "dropout"]:
        keys = listed(f"model.{key}" for key in differs)
        raise UserError(
            Fault("is another network", f"init={folder}", f"other {keys}", remedy="give the same model keys")
        )
    kept = trained.network.state_dict()
    # Between what the columns are centred by.
    moved = torch.from_numpy(trained.schema.offsets - schema.offsets)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            tensor[member] = kept[name][0]
        for tensor in (network.encoder.x_mean, network.encoder.x_median):
            tensor[member] = tensor[member].double() + moved
