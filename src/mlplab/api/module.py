"""Networks for a Trainer of Lightning's own."""

from mlplab.api.keywords import compose_run, keywords_of
from mlplab.cli.overrides import read_overrides
from mlplab.data.batches.datamodule import TableDataModule
from mlplab.data.cache import RunData
from mlplab.data.defaults import resolve_auto
from mlplab.training.module import MLPModule
from mlplab.training.progress import Sizes
from mlplab.training.stack.build import build_stack_network


def lightning_module(data: TableDataModule, **keys: object) -> MLPModule:
    """A network for the batches of a data module, which any `lightning.Trainer` trains.

    It starts from the weights with which `mlplab.train` starts, and makes the same steps. Early stopping,
    calibration and intervals are not part of it.

    Args:
        keys: of the network and its training, as in `mlplab.train`: `model={"hidden": [64, 64]}`,
            `optimizer={"lr": 0.01}`, `loss="huber"`. The seed is that of `data` by default.

    Raises:
        UserError: if a key is unknown, or a value is wrong.
    """
    table, [split] = data.table, data.splits
    own = {"data": {"name": "frame", "target": [*table.schema.targets]}, "ensemble": 1, "seed": data.seeds[0]}
    config = resolve_auto(compose_run(read_overrides([], keywords=[*keywords_of(own | keys)])), table, split)
    network = build_stack_network([config], [RunData(table, split)], initialize=True)
    sizes = Sizes(data.steps, [len(split.val)], [len(split.test)])
    return MLPModule(network, [config], table.schema, sizes)
