"""The configuration of a run in which values replace `auto`. Imports no torch."""

from contextlib import suppress
from pathlib import Path

from mlplab.config import Mlp, ResolvedConfig, TrainConfig, parse_resolved
from mlplab.data.cache import DataCache
from mlplab.data.defaults import resolve_auto
from mlplab.errors import UserError
from mlplab.runs.discovery import read_config
from mlplab.runs.run_file import unpacked

ARCHITECTURE = (
    *("hidden", "activation", "periodic_features"),
    *("piecewise_linear_bins", "piecewise_linear_width", "linear_path"),
)
"""Keys of the model on which the meaning of its weights depends, and which may be `auto`."""


def resolved(
    run: TrainConfig, cache: DataCache, folder: Path | None = None, *, alone: bool = False
) -> ResolvedConfig:
    """The run with the defaults for its table, and with the architecture of the run that it starts from.

    Args:
        folder: of the run, if it may have been started before: `init_from` may be gone by now.
        alone: whether the run is no part of a sweep.

    Raises:
        UserError: if the table or the split cannot be used.
    """
    if run.init_from:
        started = folder if folder and (folder / "config.yaml").exists() else None
        run = _with_architecture(run, started or Path(run.init_from))
    data = cache.data(run)
    return resolve_auto(run, data.table, data.split, alone=alone)


def _with_architecture(run: TrainConfig, other: Path) -> TrainConfig:
    """The run in which the values of another run replace `auto`, as far as that run can be read."""
    model = run.model
    if isinstance(model, Mlp):
        with suppress(UserError):  # checked before training, with a message
            with unpacked(other) as folder:
                trained = parse_resolved(read_config(folder)).model
            if isinstance(trained, Mlp):
                autos = [key for key in ARCHITECTURE if getattr(model, key) == "auto"]
                changed = {key: getattr(trained, key) for key in autos}
                if isinstance(names := changed.get("activation"), list):
                    members = 1 if run.ensemble == "auto" else run.ensemble
                    changed["activation"] = names[:members] if members > 1 else names[0]
                return run.model_copy(update={"model": model.model_copy(update=changed)})
    return run
