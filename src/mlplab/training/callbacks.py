"""Callbacks of a stack: early stopping, shrinking, checkpoints, signals.

They are called in the order of a list by a single Lightning callback, because the Trainer calls each of its
callbacks eight times per step. They read `StackModule.values` after an epoch's validation.
"""

import signal
from collections.abc import Callable, Sequence
from math import inf
from time import perf_counter
from types import FrameType
from typing import Any

import torch
from jaxtyping import Bool, Float64, Int64
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from mlplab.training.module import StackModule
from mlplab.training.trainer import forget_sigterm

Tensors = dict[str, Tensor]
"""Tensors of members by name, such as those of a network."""


class StackCallback:
    """Base class of the callbacks."""

    def on_start(self, trainer: Trainer, module: StackModule) -> None:
        """Called when training starts."""

    def on_step(self, trainer: Trainer, module: StackModule) -> None:
        """Called after each step."""

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Called after each epoch and its validation."""


class CallbackDispatcher(Callback):
    """Calls stack callbacks, in order.

    Args:
        on_end: called when training ends. Afterwards, the Trainer moves the network to the CPU, and its
            parameters are no longer the optimizer's.
    """

    def __init__(self, callbacks: Sequence[StackCallback], on_end: Callable[[], None]) -> None:
        self.callbacks, self._on_end = list(callbacks), on_end
        self._with_steps = [each for each in callbacks if type(each).on_step is not StackCallback.on_step]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Calls `on_start`."""
        assert isinstance(pl_module, StackModule)
        for callback in self.callbacks:
            callback.on_start(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Calls `on_step` of the callbacks that define it."""
        for callback in self._with_steps:
            assert isinstance(pl_module, StackModule)
            callback.on_step(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Calls `on_epoch`, unless validation runs outside training."""
        assert isinstance(pl_module, StackModule)
        if trainer.state.fn == "fit":
            for callback in self.callbacks:
                callback.on_epoch(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Calls the function for the end."""
        self._on_end()


def copy_members(target: Tensors, source: Tensors, members: Tensor) -> None:
    """Copies the tensors of some members; of all members where there is no such tensor yet."""
    for name, tensor in source.items():
        if name in target:
            target[name][members] = tensor[members]
        else:
            target[name] = tensor.clone()


class EarlyStopping(StackCallback):
    """Stops members whose monitored metric no longer improves, and training when all have stopped.

    Args:
        patience: epochs without improvement, for each member; None: never stop it.
        min_delta: smallest change that counts as an improvement, in the metric's units, for each member.

    Attributes:
        lowest: the lowest monitored metric of each member, negated if the highest is the best.
        waited: its number of epochs without improvement.
        network: the network's tensors, of stopped members from when they stopped.
    """

    def __init__(self, patience: Sequence[int | None], min_delta: Sequence[float]) -> None:
        self.patience = torch.tensor([torch.inf if epochs is None else epochs for epochs in patience])
        self.min_delta = torch.tensor(min_delta, dtype=torch.float64)
        self.lowest: Float64[Tensor, " member"] = torch.full_like(self.min_delta, torch.inf)
        self.waited: Int64[Tensor, " member"] = torch.zeros(len(patience), dtype=torch.int64)
        self.network: Tensors = {}

    def on_start(self, trainer: Trainer, module: StackModule) -> None:
        """Stops at once if all members had stopped before resuming."""
        trainer.should_stop |= not module.active.any()

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Stops members that have waited for too long."""
        monitored = module.monitored(module.values).double()
        better: Bool[Tensor, " member"] = monitored < self.lowest - self.min_delta
        self.lowest = torch.where(better, monitored, self.lowest)
        self.waited = torch.where(better, 0, self.waited + 1)
        self.stop(module.active & (self.waited >= self.patience), module)
        trainer.should_stop |= not module.active.any()

    def stop(self, members: Bool[Tensor, " member"], module: StackModule) -> None:
        """Stops active members, and copies their tensors."""
        if members.any():
            copy_members(self.network, module.network.state_dict(), members)
            module.active &= ~members

    def last_weights(self, module: StackModule) -> Tensors:
        """Tensors of the network on the CPU, for each member from the end of its own training."""
        network = {name: tensor.clone() for name, tensor in module.network.state_dict().items()}
        if self.network:
            copy_members(network, self.network, ~module.active)
        return {name: tensor.cpu() for name, tensor in network.items()}


class ShrinkStack(StackCallback):
    """Stops training when few runs are active, so that it can continue with a smaller stack of these.

    Args:
        share: training stops when at most this share of the runs is active.

    Attributes:
        triggered: whether this callback has stopped training.
    """

    def __init__(self, share: float = 0.5) -> None:
        self.share, self.triggered = share, False

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Stops unless this was the last epoch."""
        active, epochs = module.active_runs(), trainer.max_epochs or 0
        if 0 < active.sum() <= self.share * len(active) and trainer.current_epoch + 1 < epochs:
            self.triggered = trainer.should_stop = True


class PeriodicCheckpoint(StackCallback):
    """Saves the training state at intervals, in case the process is killed.

    Args:
        minutes: between saves at least; None: never save.
        save: the function that saves.
        last: when the state was last saved, by `perf_counter`; None: now.
    """

    def __init__(self, minutes: float | None, save: Callable[[], None], last: float | None = None) -> None:
        self.seconds, self.save = inf if minutes is None else 60 * minutes, save
        self.last = perf_counter() if last is None else last

    def on_step(self, trainer: Trainer, module: StackModule) -> None:
        """Saves within an epoch if it is time; after an epoch's last step, `on_epoch` saves."""
        if module.position.batch < module.sizes.steps:
            self.on_epoch(trainer, module)

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Saves between epochs if it is time."""
        if perf_counter() - self.last >= self.seconds:
            self.save()
            self.last = perf_counter()


class StopOnSignal(StackCallback):
    """Stops training after the current step on SIGINT or SIGTERM, which `handler` receives.

    Attributes:
        received: the signal; None if there was none.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def handler(self, number: int, frame: FrameType | None) -> None:
        """Receives a signal."""
        self.received = signal.Signals(number)

    def on_start(self, trainer: Trainer, module: StackModule) -> None:
        """Replaces Lightning's handlers, which exit with code 0 on SIGTERM and have called ours."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handler)
        forget_sigterm(trainer)
        trainer.should_stop |= self.received is not None

    def on_step(self, trainer: Trainer, module: StackModule) -> None:
        """Ends an unfinished epoch; with `should_stop` alone, Lightning would validate first."""
        if self.received and module.position.batch < module.sizes.steps:
            trainer.should_stop = True
            raise StopIteration

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Starts no further epoch."""
        trainer.should_stop |= self.received is not None
