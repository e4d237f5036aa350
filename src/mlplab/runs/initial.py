"""Weights that a new run begins with, from a trained one (`init=FOLDER`)."""

from pathlib import Path

import torch

from mlplab.config import TrainConfig
from mlplab.data.schema import Schema
from mlplab.errors import Fault, UserError, listed
from mlplab.keys import differing
from mlplab.nets import Network
from mlplab.runs.find import finished_run
from mlplab.runs.load import TrainedRun


def begin_with_trained(network: Network, member: int, run: TrainConfig, schema: Schema) -> None:
    """Gives a member the best weights of the run that `run.init` names, its encoder included: at first it
    predicts what that run predicts.

    Raises:
        UserError: if that is no trained run, takes other columns, or is another network.
    """
    folder = finished_run(Path(run.init or ""), "init")
    trained = TrainedRun(folder)
    if (there := _shape(trained.schema)) != (here := _shape(schema)):
        differs = [name for name in there.keys() | here.keys() if there.get(name) != here.get(name)]
        raise UserError(
            Fault(
                "was trained on other columns",
                f"init={folder}",
                f"{listed(trained.schema.names)} → {listed(trained.schema.targets)}",
                f"{listed(schema.names)} → {listed(schema.targets)}; other are {listed(sorted(differs))}",
                "give both tables the same columns, with the same categories",
            )
        )
    models = run.model.model_dump(), trained.config.model.model_dump()
    if keys := listed(f"model.{key}" for key in differing(*models) if key != "dropout"):
        raise UserError(
            Fault("is another network", f"init={folder}", f"other {keys}", remedy="give the same model keys")
        )
    kept = trained.network.state_dict()
    old, new = (torch.tensor(each.offsets, dtype=torch.float64) for each in (trained.schema, schema))
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            tensor[member] = kept[name][0]
        network.encoder.shift(member, old - new)  # what the columns are centred by


def _shape(schema: Schema) -> dict[str, object]:
    """What networks that may take each other's weights have in common, by column, in the columns' order."""
    columns = {
        column.name: (place, column.kind, column.missing, column.categories, column.parts)
        for place, column in enumerate(schema.inputs)
    }
    return {**columns, **{name: f"target {place}" for place, name in enumerate(schema.targets)}}
