"""All that a stack must keep to go on: saved from one, cut to some of its members, loaded by another."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from mlplab.nets.layers import Dropout
from mlplab.training.callbacks import BestWeights, EarlyStopping
from mlplab.training.module import StackModule


@dataclass(frozen=True)
class StackState:
    """A stack between two epochs.

    Args:
        epoch: epochs done.
        step: optimizer steps done.
        members: by its part and name, each tensor with a leading member axis.
    """

    epoch: int
    step: int
    members: Mapping[str, Mapping[str, Tensor]]

    def select(self, members: Sequence[int]) -> "StackState":
        """The state of a stack of those members."""
        kept = {
            part: {name: tensor[list(members)] for name, tensor in tensors.items()}
            for part, tensors in self.members.items()
        }
        return StackState(self.epoch, self.step, kept)


def save(trainer: Trainer, module: StackModule, best: BestWeights, stopping: EarlyStopping) -> StackState:
    """The state after the epoch that the Trainer has ended with."""
    members = {
        "network": {name: tensor.clone() for name, tensor in module.network.state_dict().items()},
        "optimizer": module.optimizer.member_state(),
        "schedules": module.schedules.state,
        "dropout": {
            name: torch.stack([each.get_state() for each in layer.generators(module.device)])
            for name, layer in _dropouts(module)
        },
        "run": {"epochs": module.epochs},
        "best": best.state,
        "best values": best.values,
        "best epochs": {"best": best.epochs},
        "stopping": stopping.state,
    }
    return StackState(trainer.current_epoch, trainer.global_step, members)


def load(
    state: StackState, trainer: Trainer, module: StackModule, best: BestWeights, stopping: EarlyStopping
) -> None:
    """Makes a new stack, which has not trained, and its Trainer go on where another stood."""
    members = state.members
    module.network.load_state_dict(dict(members["network"]))
    module.continues = (members["optimizer"], state.step)
    module.schedules.load_state(members["schedules"])
    for name, layer in _dropouts(module):
        device = trainer.strategy.root_device
        for source, kept in zip(layer.generators(device), members["dropout"][name], strict=True):
            source.set_state(kept.clone())  # of a view into a larger tensor it can crash
    module.epochs = members["run"]["epochs"].clone()
    best.state, best.values = dict(members["best"]), dict(members["best values"])
    best.epochs = members["best epochs"]["best"].clone()
    stopping.state = dict(members["stopping"])
    epochs = trainer.fit_loop.epoch_progress.current
    for counter in vars(epochs):
        setattr(epochs, counter, state.epoch)
    steps = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total
    steps.ready = steps.completed = state.step


def _dropouts(module: StackModule) -> Iterator[tuple[str, Dropout]]:
    return ((name, layer) for name, layer in module.network.named_modules() if isinstance(layer, Dropout))
