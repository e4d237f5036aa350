"""The base class of a stack's callbacks, and the Lightning callback that calls them.

The Trainer calls each of its callbacks eight times per step. So a single one calls all those of a stack, in
order. They read `StackModule.values` after an epoch's validation.
"""

from collections.abc import Callable, Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from mlplab.training.module import StackModule

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
