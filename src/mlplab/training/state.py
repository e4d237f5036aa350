"""The resume state of a stack: captured from one, reduced to some of its members, restored in another."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from mlplab.models import Dropout
from mlplab.training.callbacks import BestWeights, EarlyStopping
from mlplab.training.module import Position, StackModule
from mlplab.training.pruning import Pruning

RUNGS = "rungs"
"""The part of `StackState.members` with the values at rungs."""


@dataclass(frozen=True)
class StackState:
    """The state of a stack between two steps.

    Args:
        epoch: completed epochs, validation included.
        batch: completed steps of the next epoch.
        step: completed optimizer steps in total.
        seconds: training time.
        diverged: why each member has diverged; None if it has not.
        pruned: why each member has been pruned; None if it has not.
        members: tensors with a leading member axis, by part and name.
    """

    epoch: int
    batch: int
    step: int
    seconds: float
    diverged: tuple[str | None, ...]
    pruned: tuple[str | None, ...]
    members: Mapping[str, Mapping[str, Tensor]]

    def select(self, members: Sequence[int]) -> "StackState":
        """The state of a stack of these members."""
        selected = {
            part: {name: tensor[list(members)] for name, tensor in tensors.items()}
            for part, tensors in self.members.items()
        }
        diverged, pruned = (
            tuple(each[member] for member in members) for each in (self.diverged, self.pruned)
        )
        return replace(self, diverged=diverged, pruned=pruned, members=selected)

    @classmethod
    def join(cls, states: Sequence["StackState"]) -> "StackState":
        """The state of a stack of all their members; their `join_key` must be equal."""
        first = states[0]
        members = {
            part: {name: torch.cat([each.members[part][name] for each in states]) for name in tensors}
            for part, tensors in first.members.items()
        }
        diverged = tuple(reason for each in states for reason in each.diverged)
        pruned = tuple(reason for each in states for reason in each.pruned)
        return replace(first, diverged=diverged, pruned=pruned, members=members)

    @property
    def join_key(self) -> Hashable:
        """What states must have in common to be joined: epoch, step and the names of their tensors."""
        parts = tuple((part, tuple(tensors)) for part, tensors in self.members.items())
        return self.epoch, self.batch, self.step, parts

    def plain(self) -> dict[str, Any]:
        """As plain data and tensors on the CPU."""
        members = {
            part: {name: tensor.detach().cpu() for name, tensor in tensors.items()}
            for part, tensors in self.members.items()
        }
        reasons = {"diverged": list(self.diverged), "pruned": list(self.pruned)}
        return {**vars(self), **reasons, "members": members}

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> "StackState":
        """The state from the result of `plain`.

        Raises:
            KeyError, TypeError: if it is anything else.
        """
        reasons = {name: tuple(content[name]) for name in ("diverged", "pruned")}
        state = cls(**{**content, **reasons})
        count = len(state.diverged)
        if len(state.pruned) != count or not all(
            len(tensor) == count for part in state.members.values() for tensor in part.values()
        ):
            raise TypeError("tensors that lack some of the members")
        return state


def capture(
    trainer: Trainer,
    module: StackModule,
    best: BestWeights,
    stopping: EarlyStopping,
    pruning: Pruning,
    seconds: float,
) -> StackState:
    """A copy of the current state of training, which has taken that many seconds.

    Its network has the averaged weights, if there are any.
    """
    with module.optimizer.averaged():
        copies = _copies(trainer, module, best, stopping, pruning)
    diverged, pruned = (
        tuple(map(reasons.get, range(len(module.configs)))) for reasons in (module.diverged, pruning.reasons)
    )
    position = module.position
    return StackState(position.epoch, position.batch, trainer.global_step, seconds, diverged, pruned, copies)


def _copies(
    trainer: Trainer, module: StackModule, best: BestWeights, stopping: EarlyStopping, pruning: Pruning
) -> dict[str, dict[str, Tensor]]:
    members = {
        "network": module.network.state_dict(),
        "optimizer": module.optimizer.member_state(),
        "schedules": module.schedules.state,
        "dropout": {
            name: torch.stack([each.get_state() for each in layer.generators(trainer.strategy.root_device)])
            for name, layer in _dropouts(module)
        },
        "losses": module.train_losses.state(),
        "run": {"epochs": module.epochs, "active": module.active},
        "best": best.state,
        "best values": best.values,
        "best epochs": {"best": best.epochs, "lowest": best.lowest, "sound": best.sound},
        "stopping": stopping.state,
        "stopped": stopping.stopped,
        RUNGS: pruning.values,
    }
    return {
        part: {name: tensor.detach().clone() for name, tensor in tensors.items()}
        for part, tensors in members.items()
    }


def restore(
    state: StackState,
    trainer: Trainer,
    module: StackModule,
    best: BestWeights,
    stopping: EarlyStopping,
    pruning: Pruning,
) -> None:
    """Restores a state in a new stack and its Trainer, before training.

    The datamodule's `position` must be set to the state's `batch`.

    Raises:
        RuntimeError, KeyError, ValueError: if the state is not one of this stack.
    """
    members, device = state.members, trainer.strategy.root_device

    def on_device(part: str) -> dict[str, Tensor]:
        return {name: tensor.to(device, copy=True) for name, tensor in members[part].items()}

    module.network.load_state_dict(dict(members["network"]))
    module.resume_from = (members["optimizer"], state.step)
    module.schedules.load_state(members["schedules"])
    for name, layer in _dropouts(module):
        for source, saved in zip(layer.generators(device), members["dropout"][name], strict=True):
            source.set_state(saved.clone())  # can crash with a view into a larger tensor
    module.train_losses.load_state(on_device("losses"))
    module.epochs, module.active = (members["run"][name].clone() for name in ("epochs", "active"))
    module.diverged = {member: reason for member, reason in enumerate(state.diverged) if reason}
    module.position = Position(state.epoch, state.batch)
    best.state, best.values = on_device("best"), on_device("best values")
    best.epochs, best.lowest, best.sound = (
        members["best epochs"][name].clone() for name in ("best", "lowest", "sound")
    )
    stopping.state = {name: tensor.clone() for name, tensor in members["stopping"].items()}
    stopping.stopped = on_device("stopped")
    pruning.values = {number: tensor.clone() for number, tensor in members[RUNGS].items()}
    pruning.reasons = {member: reason for member, reason in enumerate(state.pruned) if reason}
    _set_counters(trainer, state)


def _set_counters(trainer: Trainer, state: StackState) -> None:
    """Sets the counters of the Trainer's loops."""
    loop = trainer.fit_loop
    counters = [loop.epoch_progress.current, loop.epoch_progress.total]
    for epochs in counters:
        for counter in vars(epochs):
            setattr(epochs, counter, state.epoch)
    steps = loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total
    steps.ready = steps.completed = state.step
    if state.batch:
        batches = loop.epoch_loop.batch_progress.current
        for counter in vars(batches):
            setattr(batches, counter, state.batch)
        loop.epoch_loop.restarting = True  # otherwise the epoch would reset these counters


def _dropouts(module: StackModule) -> Iterator[tuple[str, Dropout]]:
    return ((name, layer) for name, layer in module.network.named_modules() if isinstance(layer, Dropout))
