"""The configuration of a run in which values replace `auto`. Imports no torch."""

from contextlib import suppress
from pathlib import Path

from mlplab.config import Mlp, TrainConfig, parse
from mlplab.data.cache import DataCache
from mlplab.errors import UserError
from mlplab.runs.discovery import read_config

ARCHITECTURE = ("hidden", "periodic_features")
"""Keys of the model on which the shapes of its weights depend, and which may be `auto`."""


def resolved(run: TrainConfig, cache: DataCache) -> TrainConfig:
    """The run with the defaults for its table, and with the architecture of the run that it starts from.

    Raises:
        UserError: if the table or the split cannot be used.
    """
    return cache.resolved(_with_architecture(run))


def _with_architecture(run: TrainConfig) -> TrainConfig:
    """The run in which the values of the run `init_from` replace `auto`, as far as that run can be read."""
    model = run.model
    if run.init_from and isinstance(model, Mlp):
        with suppress(UserError):  # checked before training, with a message
            trained = parse(read_config(Path(run.init_from))).model
            if isinstance(trained, Mlp):
                autos = [key for key in ARCHITECTURE if getattr(model, key) == "auto"]
                changed = {key: getattr(trained, key) for key in autos}
                return run.model_copy(update={"model": model.model_copy(update=changed)})
    return run
