"""All that a stack must keep to go on: saved from one, cut to some of its members, loaded by another."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from mlplab.models.layers import Dropout
from mlplab.training.callbacks import BestWeights, EarlyStopping
from mlplab.training.module import Position, StackModule


@dataclass(frozen=True)
class StackState:
    """A stack between two steps.

    Args:
        epoch: epochs done, validation included.
        batch: steps done of the next.
        step: optimizer steps done of all.
        seconds: that it took.
        diverged: why each member's training is no longer of use; None where it is.
        members: by its part and name, each tensor with a leading member axis.
    """

    epoch: int
    batch: int
    step: int
    seconds: float
    diverged: tuple[str | None, ...]
    members: Mapping[str, Mapping[str, Tensor]]

    def select(self, members: Sequence[int]) -> "StackState":
        """The state of a stack of those members."""
        kept = {
            part: {name: tensor[list(members)] for name, tensor in tensors.items()}
            for part, tensors in self.members.items()
        }
        diverged = tuple(self.diverged[member] for member in members)
        return replace(self, diverged=diverged, members=kept)

    @classmethod
    def join(cls, states: Sequence["StackState"]) -> "StackState":
        """The state of a stack of all their members, which stand at the same place."""
        first = states[0]
        members = {
            part: {name: torch.cat([each.members[part][name] for each in states]) for name in tensors}
            for part, tensors in first.members.items()
        }
        diverged = tuple(why for each in states for why in each.diverged)
        return replace(first, diverged=diverged, members=members)

    @property
    def place(self) -> Hashable:
        """What members must have in common to share a stack."""
        parts = tuple((part, tuple(tensors)) for part, tensors in self.members.items())
        return self.epoch, self.batch, self.step, parts

    def plain(self) -> dict[str, Any]:
        """As tensors on the CPU and plain data."""
        members = {
            part: {name: tensor.detach().cpu() for name, tensor in tensors.items()}
            for part, tensors in self.members.items()
        }
        return {**vars(self), "diverged": list(self.diverged), "members": members}

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> "StackState":
        """What `plain` gave.

        Raises:
            KeyError, TypeError: of something else.
        """
        state = cls(**{**content, "diverged": tuple(content["diverged"])})
        count = len(state.diverged)
        if not all(len(tensor) == count for part in state.members.values() for tensor in part.values()):
            raise TypeError("members of which something is missing")
        return state


def save(
    trainer: Trainer, module: StackModule, best: BestWeights, stopping: EarlyStopping, seconds: float
) -> StackState:
    """The state that training has come to after so long, none of whose tensors it will change."""
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
        "best epochs": {"best": best.epochs},
        "stopping": stopping.state,
        "stopped": stopping.stopped,
    }
    copies = {
        part: {name: tensor.detach().clone() for name, tensor in tensors.items()}
        for part, tensors in members.items()
    }
    diverged = tuple(module.diverged.get(member) for member in range(len(module.configs)))
    position = module.position
    return StackState(position.epoch, position.batch, trainer.global_step, seconds, diverged, copies)


def load(
    state: StackState, trainer: Trainer, module: StackModule, best: BestWeights, stopping: EarlyStopping
) -> None:
    """Makes a new stack, which has not trained, and its Trainer go on where another stood.

    The datamodule's first epoch must begin with the same batch.

    Raises:
        RuntimeError, KeyError, ValueError: if the state is of another stack.
    """
    members, device = state.members, trainer.strategy.root_device

    def there(part: str) -> dict[str, Tensor]:
        return {name: tensor.to(device, copy=True) for name, tensor in members[part].items()}

    module.network.load_state_dict(dict(members["network"]))
    module.continues = (members["optimizer"], state.step)
    module.schedules.load_state(members["schedules"])
    for name, layer in _dropouts(module):
        for source, kept in zip(layer.generators(device), members["dropout"][name], strict=True):
            source.set_state(kept.clone())  # of a view into a larger tensor it can crash
    module.train_losses.load_state(there("losses"))
    module.epochs, module.active = (members["run"][name].clone() for name in ("epochs", "active"))
    module.diverged = {member: why for member, why in enumerate(state.diverged) if why}
    module.position = Position(state.epoch, state.batch)
    best.state, best.values = there("best"), there("best values")
    best.epochs = members["best epochs"]["best"].clone()
    stopping.state = {name: tensor.clone() for name, tensor in members["stopping"].items()}
    stopping.stopped = there("stopped")
    _move(trainer, state)


def _move(trainer: Trainer, state: StackState) -> None:
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
        loop.epoch_loop.restarting = True  # or the epoch would begin with these counters at zero


def _dropouts(module: StackModule) -> Iterator[tuple[str, Dropout]]:
    return ((name, layer) for name, layer in module.network.named_modules() if isinstance(layer, Dropout))
