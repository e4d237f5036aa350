"""Builds the objects that training needs from configurations: stack, loggers, Trainer."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy

from mlplab import config
from mlplab.config.allowed_classes import instantiate
from mlplab.data.cache import RunData
from mlplab.data.datamodule import TableDataModule
from mlplab.data.loader import Batch
from mlplab.data.splits.split import Split
from mlplab.data.statistics import Statistics
from mlplab.data.table import Table
from mlplab.errors import Fault, UserError, reason_of
from mlplab.models import FeatureLayout, Network, Preprocessing, build_network
from mlplab.runs import warm_start
from mlplab.runs.class_weights import class_weights
from mlplab.training.loggers.files import build_loggers
from mlplab.training.module import Sizes, StackModule

DTYPES = {32: torch.float32, 64: torch.float64}

MEMMAP_BLOCK = 1024
"""Consecutive rows of a memory-mapped table that are read together (some tens of kilobytes)."""


@dataclass(frozen=True)
class Stack:
    """The data and the network of runs that share a table and a network shape."""

    configs: list[config.TrainConfig]
    data: list[RunData]
    datamodule: TableDataModule
    module: StackModule

    @property
    def table(self) -> Table:
        """The table that all members share."""
        return self.data[0].table


def build_stack(
    configs: Sequence[config.TrainConfig], data: Sequence[RunData], *, initialize: bool = True
) -> Stack:
    """Builds the network and the batches of all members.

    Args:
        configs: the configuration of each member.
        data: the data of each member, all with one table.
        initialize: whether to compute statistics and initial weights. A training state replaces both.

    Raises:
        UserError: if the network cannot be built.
    """
    configs, data = list(configs), list(data)
    first, table, splits = configs[0], data[0].table, [each.split for each in data]
    datamodule = TableDataModule(
        torch.from_numpy(table.x),
        torch.from_numpy(table.y),
        None if table.weight is None else torch.from_numpy(table.weight)[:, None],
        splits,
        [each.seed for each in configs],
        config.chosen(first.data.batch_size),
        fill=supports_padding(first.model),
        block=MEMMAP_BLOCK if table.memmapped else None,
    )
    _check_equal_rows(first, splits)
    network = _build_network(configs, data, initialize=initialize)
    if initialize:
        warm_start.initialize(network, configs, table.schema)
    val, test = ([len(getattr(split, part)) for split in splits] for part in ("val", "test"))
    schema, epochs = table.schema, config.chosen(first.trainer.max_epochs)
    sizes = Sizes(epochs, datamodule.steps, val, test, schema.targets, len(schema.classes))
    return Stack(configs, data, datamodule, StackModule(network, configs, sizes))


def check_buildable(run: config.TrainConfig, data: RunData) -> None:
    """Checks that everything a run needs can be built, without its statistics and initial weights.

    Raises:
        UserError: if the device does not exist, a custom class cannot be imported or instantiated, or the run
            cannot start from `init_from`.
    """
    choose_accelerator(run.trainer)
    _check_equal_rows(run, [member.split for member in data.members])
    try:
        network = _build_network([run], [data], initialize=False)
        warm_start.initialize(network, [run], data.table.schema)
        build_callbacks(run)
        build_loggers(run, ".")
    except UserError:
        raise
    except Exception as error:  # from a custom class
        raise UserError(Fault(f"cannot be built: {reason_of(error)}", "the run")) from error


def _check_equal_rows(run: config.TrainConfig, splits: Sequence[Split]) -> None:
    """Checks that members have equally many training rows, unless their batches may be padded."""
    if supports_padding(run.model) or len({len(split.train) for split in splits}) == 1:
        return
    what = "its networks have different numbers of training rows, which this model does not support"
    remedy = "use ensemble=1, or a split without groups and time"
    where, found = f"ensemble={run.ensemble}", "batch norm or a custom model"
    raise UserError(Fault(what, where, found, remedy=remedy))


def supports_padding(model: config.Mlp | config.Linear | config.CustomModel) -> bool:
    """Whether a network treats each row separately, so that batches may be padded with rows of weight 0."""
    return isinstance(model, config.Linear) or (isinstance(model, config.Mlp) and model.norm != "batch")


def choose_accelerator(section: config.Trainer) -> str:
    """`cpu` or `cuda`; `auto` is CUDA if there is a device.

    Raises:
        UserError: if CUDA is requested and there is no device.
    """
    wanted, present = section.accelerator, torch.cuda.is_available()
    if wanted == "cuda" and not present:
        raise UserError(
            Fault(
                "torch finds no CUDA device",
                "trainer.accelerator",
                remedy="use trainer.accelerator=cpu, or auto, which uses CUDA only if available",
            )
        )
    return ("cuda" if present else "cpu") if wanted == "auto" else wanted


def _build_network(
    configs: Sequence[config.TrainConfig], data: Sequence[RunData], *, initialize: bool
) -> Network:
    first, table, seeds = configs[0], data[0].table, [each.seed for each in configs]
    section, schema = first.model.preprocessing, table.schema
    statistics = None
    if initialize:
        statistics = Statistics.of(
            table.x,
            table.y,
            [each.split.train for each in data],
            categories=schema.categories,
            weight=table.weight,
            quantiles=section.name == "quantile",
            log_target=section.target == "log",
        ).tensors()
    preprocessing = Preprocessing(
        section,
        FeatureLayout(schema.categories, schema.missing),
        len(schema.targets),
        seeds,
        DTYPES[first.trainer.precision],
        statistics,
        len(schema.classes),
        class_weights(configs, data),
    )
    return build_network([each.model for each in configs], seeds, preprocessing, initialize=initialize)


@contextmanager
def lightning_quiet() -> Iterator[None]:
    """Silences Lightning's banners, and warnings that users cannot act on.

    These are that Lightning uses a deprecated function of torch, that the gradients of a stack are views (see
    `MemberOptimizer`), and that a machine has Slurm.
    """
    loggers = [logging.getLogger(f"lightning.{name}") for name in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated")
        warnings.filterwarnings("ignore", "grad and param do not obey the gradient layout contract")
        warnings.filterwarnings("ignore", "The `srun` command is available on your system but is not used")
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def build_callbacks(run: config.TrainConfig) -> list[Callback]:
    """The custom callbacks."""
    return [instantiate(each.class_path, Callback, **each.arguments) for each in run.callbacks.added.values()]


class _NoProfiler(PassThroughProfiler):
    """Does nothing. The Trainer's default profiler runs a hundred generators per step."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()


class _Strategy(SingleDeviceStrategy):
    """Moves batches without the Trainer's hooks for that, which take longer than a small layer."""

    def batch_to_device(
        self, batch: Batch, device: torch.device | None = None, dataloader_idx: int = 0
    ) -> Batch:
        """The batch itself if the table is on the device already."""
        return batch if batch.x.device == self.root_device else batch.to(self.root_device)


def build_trainer(
    stack: Stack, callback: Callback, loggers: Sequence[Sequence[Logger]], folder: str
) -> Trainer:
    """Builds the Trainer, with custom callbacks after ours.

    The Trainer gets the loggers only if there are custom callbacks, which may use them: it closes loggers
    after each fit and test, and mlplab logs to them directly.
    """
    first = stack.configs[0]
    section, added = first.trainer, build_callbacks(first)
    accelerator = choose_accelerator(section)
    return instantiate(
        section.class_path,
        Trainer,
        max_epochs=config.chosen(section.max_epochs),
        min_epochs=0,  # or a signal in the first epoch would only stop at its end
        accelerator=accelerator,
        devices=1,
        strategy=_Strategy("cuda:0" if accelerator == "cuda" else "cpu"),
        plugins=[LightningEnvironment()],  # or, in a Slurm job, it would take it for its own
        precision="64-true" if section.precision == 64 else "32-true",
        gradient_clip_val=section.gradient_clip_val,
        fast_dev_run=section.fast_dev_run,
        callbacks=[callback, *added],
        profiler=_NoProfiler(),
        log_every_n_steps=stack.datamodule.steps,  # for custom callbacks: once per epoch
        logger=[each for own in loggers for each in own] if added else False,
        default_root_dir=folder,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
