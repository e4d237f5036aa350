"""The resume state of a stack: captured from one, reduced to some of its members, restored in another."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mlplab.training.callbacks.stack_callback import Tensors
from mlplab.training.private_interfaces import set_counters

if TYPE_CHECKING:
    from mlplab.training.fit import StackTrainer

Parts = Mapping[str, Tensors]


@dataclass(frozen=True)
class StackState:
    """The state of a stack between two steps.

    Args:
        epoch: completed epochs, validation included.
        batch: completed steps of the next epoch.
        step: completed steps in total.
        diverged, pruned: why, for each member; None if it is not.
        parts: tensors with a leading member axis, by what they belong to (see `capture`) and their name.
    """

    epoch: int
    batch: int
    step: int
    seconds: float
    diverged: list[str | None]
    pruned: list[str | None]
    parts: Parts

    def select(self, members: Sequence[int]) -> "StackState":
        """The state of a stack of these members."""
        chosen = list(members)
        diverged, pruned = ([each[member] for member in chosen] for each in (self.diverged, self.pruned))
        parts = _mapped(lambda tensor: tensor[chosen], self.parts)
        return replace(self, diverged=diverged, pruned=pruned, parts=parts)

    @classmethod
    def join(cls, states: Sequence["StackState"]) -> "StackState":
        """The state of a stack of all their members; their `join_key` must be equal."""
        diverged, pruned = zip(*((state.diverged, state.pruned) for state in states), strict=True)
        parts = _mapped(lambda *tensors: torch.cat(tensors), *(state.parts for state in states))
        return replace(states[0], diverged=[*chain(*diverged)], pruned=[*chain(*pruned)], parts=parts)

    @property
    def join_key(self) -> Hashable:
        """What states must have in common to be joined: epoch, step and the names of their tensors."""
        names = tuple((part, name) for part, tensors in self.parts.items() for name in tensors)
        return self.epoch, self.batch, self.step, names

    def plain(self) -> dict[str, object]:
        """Plain data, and tensors on the CPU."""
        return {**vars(self), "parts": _mapped(lambda tensor: tensor.detach().cpu(), self.parts)}

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> "StackState":
        """The state from the result of `plain`.

        Raises:
            TypeError, AttributeError: if it is anything else.
        """
        state = cls(**content)
        lengths = {len(tensor) for tensors in state.parts.values() for tensor in tensors.values()}
        if lengths != {len(state.diverged)}:
            raise TypeError("tensors that lack some of the members")
        return state


def _mapped(function: Callable[..., Tensor], *parts: Parts) -> dict[str, Tensors]:
    return {
        part: {name: function(*(state[part][name] for state in parts)) for name in tensors}
        for part, tensors in parts[0].items()
    }


class WrongStateError(Exception):
    """A training state is not one of the stack in which it was to be restored."""


def capture(stack: "StackTrainer") -> StackState:
    """A copy of the current state of training."""
    module, best, stopping, pruning = stack.module, stack.best, stack.stopping, stack.pruning
    members = range(len(module.configs))
    with module.optimizer.averaged():
        parts: Parts = {
            "network": module.network.state_dict(),
            **module.training_state(),
            "rungs": pruning.values,
            "best": {"epochs": best.epochs, "lowest": best.lowest, "not_diverged": best.not_diverged},
            "best_network": best.network,
            "best_values": best.values,
            "stopping": {"lowest": stopping.lowest, "waited": stopping.waited},
            "stopped_network": stopping.network,
            **{observer.part: observer.state() for observer in stack.observers if observer.part},
        }
        parts = _mapped(lambda tensor: tensor.detach().clone(), parts)
    diverged, pruned = ([*map(each.get, members)] for each in (module.members.diverged, pruning.reasons))
    position = module.progress.epoch, module.progress.step, stack.trainer.global_step
    return StackState(*position, stack.seconds, diverged, pruned, parts)


def restore(state: StackState, stack: "StackTrainer") -> None:
    """Restores a state in a new stack, before training, and takes over its tensors.

    The datamodule must start there, too.

    Raises:
        WrongStateError: if the state is not one of this stack.
    """
    try:
        module, best, stopping, pruning = stack.module, stack.best, stack.stopping, stack.pruning
        device, parts = stack.trainer.strategy.root_device, state.parts

        def on_device(part: str) -> Tensors:
            return {name: tensor.to(device) for name, tensor in parts[part].items()}

        module.network.load_state_dict(parts["network"])
        module.restore(parts, state.epoch, state.batch, state.step, device)
        best.epochs, best.lowest, best.not_diverged = (
            parts["best"][name] for name in ("epochs", "lowest", "not_diverged")
        )
        best.network, best.values = on_device("best_network"), parts["best_values"]
        stopping.lowest, stopping.waited = (parts["stopping"][name] for name in ("lowest", "waited"))
        stopping.network = on_device("stopped_network")
        pruning.values = parts["rungs"]
        for observer in stack.observers:
            if observer.part:
                observer.load_state(parts.get(observer.part, {}))
        module.members.diverged, pruning.reasons = (
            {member: reason for member, reason in enumerate(reasons) if reason}
            for reasons in (state.diverged, state.pruned)
        )
        steps = module.progress.steps
        epoch, batch = state.epoch, module.batches(steps) - module.batches(steps - state.batch)
        if module.spans_epochs:
            epoch, batch = int(state.epoch >= module.progress.max_epochs), 0
        set_counters(stack.trainer, epoch=epoch, batch=batch, step=state.step)
    except (RuntimeError, LookupError, TypeError, ValueError) as error:
        raise WrongStateError(str(error)) from error
