"""What is used of Lightning, torch and TensorBoard beyond their documented interfaces; a test names them."""

import inspect
import time
from collections.abc import Callable
from typing import TypeVar

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import WandbLogger
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

# The kernels of torch's fused optimizers, which themselves take several times as long to get there as an
# update of a small network takes.
fused_sgd, fused_adam, fused_adamw = torch._fused_sgd_, torch._fused_adam_, torch._fused_adamw_


F = TypeVar("F", bound=Callable[..., object])


def with_signature(function: F) -> F:
    """Remembers the signature of a training step, which Lightning would inspect at each step."""
    function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return function


def unhooked(step: F) -> F:
    """Keeps torch from wrapping an optimizer's step for its profiler and for hooks, which takes 40 µs."""
    step.hooked = True  # type: ignore[attr-defined]
    return step


class FastAttributes:
    """Sets what Lightning sets at each hook without torch's slow search for parameters."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)


def forget_sigterm(trainer: Trainer) -> None:
    """Makes the Trainer continue after a SIGTERM before its first step, so that our own callback stops it."""
    trainer._signal_connector.received_sigterm = False


def count_steps(trainer: Trainer, steps: int) -> None:
    """Counts optimizer steps that the Trainer has not seen, in manual optimization."""
    total = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.total
    total.ready += steps
    total.completed += steps


def set_counters(trainer: Trainer, *, epoch: int, batch: int, step: int) -> None:
    """Sets the Trainer's counters: completed epochs, batches of the next epoch, and steps in total."""
    loop = trainer.fit_loop
    for epochs in (loop.epoch_progress.current, loop.epoch_progress.total):
        vars(epochs).update(dict.fromkeys(vars(epochs), epoch))
    automatic, manual = loop.epoch_loop.automatic_optimization, loop.epoch_loop.manual_optimization
    for steps in (automatic.optim_progress.optimizer.step.total, manual.optim_step_progress.total):
        steps.ready = steps.completed = step
    if batch:
        batches = loop.epoch_loop.batch_progress.current
        vars(batches).update(dict.fromkeys(vars(batches), batch))
        loop.epoch_loop.restarting = True  # otherwise the epoch would reset these counters


def forget_anonymous(logger: WandbLogger) -> None:
    """Leaves out an argument that W&B warns of, and that Lightning always gives."""
    logger._wandb_init.pop("anonymous", None)


def add_summary(writer: SummaryWriter, summary: Summary, step: int) -> None:
    """Writes an event for TensorBoard, with all its values in one.

    To wake the writer's thread, which would write it, takes longer than an epoch of a small network.
    """
    event = Event(wall_time=time.time(), step=step, summary=summary)
    file_writer = writer._get_file_writer()  # type: ignore[no-untyped-call]
    file_writer.event_writer._async_writer._writer.write(event.SerializeToString())
