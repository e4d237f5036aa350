"""Lightning's Trainer, without what costs time in every step."""

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy

from mlplab import config
from mlplab.config.allowed_classes import import_class, instantiate
from mlplab.console import quiet
from mlplab.data.batches.loader import Batch
from mlplab.errors import Fault, UserError
from mlplab.training.block_module import BlockModule


@contextmanager
def lightning_quiet() -> Iterator[None]:
    """Silences Lightning's banners, and warnings that users cannot act on.

    These are that Lightning uses a deprecated function of torch, that the gradients of a stack are views (see
    `MemberOptimizer`), and that a machine has Slurm.
    """
    before = [*warnings.filters]
    warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated")
    warnings.filterwarnings("ignore", "grad and param do not obey the gradient layout contract")
    warnings.filterwarnings("ignore", "The `srun` command is available on your system but is not used")
    added = [each for each in warnings.filters if each not in before]
    try:
        with quiet("lightning.pytorch", "lightning.fabric", level=logging.WARNING):
            yield
    finally:  # those that another thread has added stay, which `catch_warnings` would remove
        warnings.filters[:] = [each for each in warnings.filters if each not in added]  # type: ignore[index]


def choose_accelerator(section: config.Trainer) -> str:
    """`cpu` or `cuda`.

    Raises:
        UserError: if CUDA is requested and there is no device.
    """
    wanted, present = section.accelerator, torch.cuda.is_available()
    if wanted == "cuda" and not present:
        remedy = "use trainer.accelerator=cpu, or auto, which uses CUDA only if available"
        raise UserError(Fault("torch finds no CUDA device", "trainer.accelerator", remedy=remedy))
    return ("cuda" if present else "cpu") if wanted == "auto" else wanted


def build_custom_callbacks(run: config.TrainConfig) -> list[Callback]:
    """The callbacks that a user has added."""
    sections = run.callbacks.added.values()
    return [instantiate(each.class_path, Callback, **each.arguments) for each in sections]


def has_step_hooks(class_path: str) -> bool:
    """Whether a class of callbacks has a hook that is called at each step."""
    kind = import_class(class_path, Callback)
    hooks = (name for name in dir(Callback) if re.match("on_(train_batch|before|after)_", name))
    return any(getattr(kind, hook) is not getattr(Callback, hook) for hook in hooks)


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


def build_trainer(module: BlockModule, loggers: Sequence[Logger], folder: str | None) -> Trainer:
    """Builds the Trainer of a stack, with the custom callbacks.

    The Trainer gets the loggers only if there are custom callbacks, which may use them: it closes loggers
    after each fit, and mlplab logs to them directly.
    """
    run = module.configs[0]
    section, added = run.trainer, build_custom_callbacks(run)
    steps = module.batches(module.progress.steps)
    steps = steps if module.blocks else section.log_every_n_steps or steps
    accelerator = choose_accelerator(section)
    return Trainer(
        max_epochs=1 if module.spans_epochs else section.max_epochs,
        min_epochs=0,  # or a signal in the first epoch would only stop at its end
        accelerator=accelerator,
        devices=1,
        strategy=_Strategy("cuda:0" if accelerator == "cuda" else "cpu"),
        plugins=[LightningEnvironment()],  # or, in a Slurm job, it would take it for its own
        precision="64-true" if section.precision == 64 else "32-true",
        gradient_clip_val=None if module.blocks else section.gradient_clip_val,
        fast_dev_run=section.fast_dev_run,
        limit_val_batches=0 if module.spans_epochs else None,
        callbacks=added,
        profiler=_NoProfiler(),
        log_every_n_steps=steps,  # for custom callbacks
        logger=list(loggers) if added else False,
        default_root_dir=folder,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )


def device_name(section: config.Trainer) -> str:
    """The name of the device on which such a Trainer trains."""
    is_gpu = choose_accelerator(section) == "cuda"
    return torch.cuda.get_device_name("cuda:0") if is_gpu else "cpu"
