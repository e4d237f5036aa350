"""The base class of a stack's callbacks.

`BlockModule` calls them, in order: the Trainer would call each of its own eight times per step.
"""

import sys
from typing import TYPE_CHECKING

from jaxtyping import Bool
from torch import Tensor

if TYPE_CHECKING:
    from mlplab.training.fit import StackTrainer

Tensors = dict[str, Tensor]  # tensors of members by name, such as those of a network


class StackCallback:
    """Base class of the callbacks."""

    def on_start(self, stack: "StackTrainer") -> None:
        """Called when training starts; again when a smaller stack of the same runs goes on."""

    def next_stop(self, step: int) -> int:
        """The number of steps after which `on_step` must be called next, given that of steps made.

        Elsewhere, it may be called after several steps.
        """
        return sys.maxsize

    def on_step(self, stack: "StackTrainer") -> None:
        """Called after each step, or after several: see `next_stop`."""

    def on_epoch(self, stack: "StackTrainer") -> None:
        """Called after each epoch, its validation, and what callbacks before this one decided by it."""


def copy_members(target: Tensors, source: Tensors, members: Bool[Tensor, " member"]) -> None:
    """Copies the tensors of some members; of all members where there is no such tensor yet."""
    are_all, chosen = bool(members.all()), members.nonzero().flatten()
    for name, tensor in source.items():
        if name not in target:
            target[name] = tensor.clone()
        elif are_all:
            target[name].copy_(tensor)
        else:
            target[name][chosen] = tensor[chosen]
