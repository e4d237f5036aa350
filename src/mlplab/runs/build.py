"""From configurations to the objects of a training. What is wrong with either is told here."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import PassThroughProfiler

from mlplab import config
from mlplab.config.allowed_classes import instantiate
from mlplab.data.cache import DataCache
from mlplab.data.datamodule import TableDataModule
from mlplab.data.splits.splitters import Split
from mlplab.data.statistics import Statistics
from mlplab.data.table import Table
from mlplab.errors import Fault, UserError, reason_of
from mlplab.models import Preprocessing, build_network, build_preprocessing
from mlplab.runs.layout import layout_of
from mlplab.runs.warm_start import begin_with_trained
from mlplab.training.module import Sizes, StackModule

DTYPES = {32: torch.float32, 64: torch.float64}

STORED_BLOCK = 1024
"""Rows of a table in a file that are read together, some tens of kilobytes."""


@dataclass(frozen=True)
class Stack:
    """All that a Trainer needs for runs that share a table and a shape."""

    configs: list[config.TrainConfig]
    accelerator: str
    table: Table
    splits: list[Split]
    data: TableDataModule
    module: StackModule


def build_stack(configs: Sequence[config.TrainConfig], cache: DataCache, *, goes_on: bool = False) -> Stack:
    """Makes network and batches for all members.

    Args:
        goes_on: the weights will come from where another stack stood.

    Raises:
        UserError: if the device is absent, or the data cannot be used.
    """
    configs = list(configs)
    first = configs[0]
    accelerator = choose_accelerator(first.trainer.accelerator)
    table = cache.table(first)
    splits = [cache.split(each) for each in configs]
    seeds = [each.seed for each in configs]
    data = TableDataModule(
        torch.from_numpy(table.x),
        torch.from_numpy(table.y),
        None if table.weight is None else torch.from_numpy(table.weight)[:, None],
        splits,
        seeds,
        first.data.batch_size,
        fill=may_fill(first.model),
        block=STORED_BLOCK if table.memmapped else None,
    )
    preprocessing = _encoder(configs, table, splits)
    network = build_network([each.model for each in configs], seeds, preprocessing)
    for member, run in enumerate(configs):
        if run.init_from and not goes_on:
            begin_with_trained(network, member, run, table.schema)
    val, test = ([len(getattr(split, part)) for split in splits] for part in ("val", "test"))
    steps = len(data.train_dataloader())
    sizes = Sizes(first.trainer.max_epochs, steps, val, test, table.schema.targets)
    return Stack(configs, accelerator, table, splits, data, StackModule(network, configs, sizes))


def check_buildable(run: config.TrainConfig, cache: DataCache) -> None:
    """Makes all that a run needs, and throws it away.

    Raises:
        UserError: as `build_stack`, and for classes that cannot be found or made.
    """
    try:
        with lightning_quiet():
            build_trainer(build_stack([run], cache), Callback(), [build_loggers(run, ".")], ".")
    except UserError:
        raise
    except Exception as error:  # of a class of the user's
        raise UserError(Fault(f"cannot be made: {reason_of(error)}", "the run")) from error


def may_fill(model: config.Mlp | config.Linear | config.CustomModel) -> bool:
    """Whether a network treats each row of a batch by itself, so that rows that do not count harm nothing."""
    return isinstance(model, config.Linear) or (isinstance(model, config.Mlp) and model.norm != "batch")


def choose_accelerator(wanted: str) -> str:
    """`auto` is CUDA where there is a device, else the CPU."""
    present = torch.cuda.is_available()
    if wanted == "cuda" and not present:
        raise UserError(
            Fault(
                "there is no CUDA device that torch can use",
                "trainer.accelerator",
                "cuda",
                remedy="use trainer.accelerator=cpu, or auto, which takes CUDA where there is one",
            )
        )
    return ("cuda" if present else "cpu") if wanted == "auto" else wanted


def _encoder(configs: Sequence[config.TrainConfig], table: Table, splits: Sequence[Split]) -> Preprocessing:
    first, seeds = configs[0], [each.seed for each in configs]
    section, layout = first.model.preprocessing, layout_of(table.schema)
    statistics = Statistics.of(
        table.x,
        table.y,
        [split.train for split in splits],
        categories=layout.categories,
        weight=table.weight,
        quantiles=section.name == "quantile",
        log_target=section.target == "log",
    )
    dtype = DTYPES[first.trainer.precision]
    return build_preprocessing(section, layout, len(table.schema.targets), seeds, dtype, statistics.tensors())


@contextmanager
def lightning_quiet() -> Iterator[None]:
    """Without Lightning's banners, nor its use of what torch has deprecated since."""
    loggers = [logging.getLogger(f"lightning.{name}") for name in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated")
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def build_loggers(run: config.TrainConfig, folder: str) -> list[Logger]:
    """The loggers of one run; each has the run folder as its `save_dir`."""
    return [
        instantiate(each.class_path, Logger, save_dir=folder, **each.arguments)  # type: ignore[type-abstract]
        for each in run.logger.values()
    ]


class _NoProfiler(PassThroughProfiler):
    """The Trainer times a hundred actions a step, by a generator each, even where nobody asked."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()


def build_trainer(stack: Stack, watch: Callback, loggers: Sequence[Sequence[Logger]], folder: str) -> Trainer:
    """The Trainer, with the user's callbacks after ours; bars and checkpoints are not Lightning's.

    It gets the loggers only if there are callbacks of the user's that may want them: it closes them after
    each fit and test, and all that this project logs goes to them past it.
    """
    first = stack.configs[0]
    section = first.trainer
    added = [
        instantiate(each.class_path, Callback, **each.arguments) for each in first.callbacks.added.values()
    ]
    return instantiate(
        section.class_path,
        Trainer,
        max_epochs=section.max_epochs,
        min_epochs=0,  # or a signal in the first epoch would wait for its end
        accelerator=stack.accelerator,
        devices=1,
        precision="64-true" if section.precision == 64 else "32-true",
        gradient_clip_val=section.gradient_clip_val,
        fast_dev_run=section.fast_dev_run,
        callbacks=[watch, *added],
        profiler=_NoProfiler(),
        log_every_n_steps=len(stack.data.train_dataloader()),  # for callbacks of the user's, once an epoch
        logger=[each for own in loggers for each in own] if added else False,
        default_root_dir=folder,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
