"""Networks for a Trainer of Lightning's own."""

from mlplab.api.keywords import keywords_of
from mlplab.composition.compose import compose_run
from mlplab.composition.overrides import read_overrides
from mlplab.data.batches.datamodule import TableDataModule
from mlplab.data.cache import RunData
from mlplab.data.defaults import resolve_auto
from mlplab.errors import listed, refusal
from mlplab.training.mlp_module import MLPModule
from mlplab.training.stack.build import build_stack_network

KEYS = ("model", "optimizer", "scheduler", "loss", "seed")


def lightning_module(data: TableDataModule, **keys: object) -> MLPModule:
    """A network for the batches of a data module, which any `lightning.Trainer` trains.

    It starts from the weights with which `mlplab.train` starts, and makes the same steps. Early stopping,
    calibration and intervals are not part of it.

    Args:
        keys: of the network and its training, as in `mlplab.train`: `model={"hidden": [64, 64]}`,
            `optimizer={"lr": 0.01}`, `loss="huber"`. The seed is that of `data` by default.

    Raises:
        UserError: if a key is unknown or that of something else, or a value is wrong.
    """
    if others := [key for key in keys if key.partition(".")[0] not in KEYS]:
        what = "is not a key of the network and its training: set the Trainer itself, or use mlplab.train"
        raise refusal(what, others[0], f"choose among {listed(KEYS)}")
    table, [split] = data.table, data.splits
    own = {"data": {"name": "frame", "target": [*table.schema.targets]}, "ensemble": 1, "seed": data.seeds[0]}
    config = resolve_auto(compose_run(read_overrides([], keywords=[*keywords_of(own | keys)])), table, split)
    network = build_stack_network([config], [RunData(table, split)], initialize=True)
    return MLPModule(network, [config], data)
