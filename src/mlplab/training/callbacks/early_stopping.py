"""Stops members whose metric no longer improves, and training when few or no runs are left."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from mlplab.training.callbacks.stack_callback import StackCallback, Tensors, copy_members
from mlplab.training.module import StackModule

if TYPE_CHECKING:
    from mlplab.training.fit import StackTrainer


class EarlyStopping(StackCallback):
    """Stops members whose monitored metric no longer improves, and training when all have stopped.

    Args:
        patience: epochs without improvement, for each member; otherwise, it does not stop.
        min_delta: smallest change that counts as an improvement, in the metric's units, for each member.

    Attributes:
        lowest: the lowest monitored metric of each member, negated if the highest is the best.
        waited: its number of epochs without improvement.
        network: the network's tensors, of stopped members from when they stopped.
    """

    def __init__(self, patience: Sequence[int | str | None], min_delta: Sequence[float]) -> None:
        self.patience = torch.tensor(
            [epochs if isinstance(epochs, int) else torch.inf for epochs in patience]
        )
        self.min_delta = torch.tensor(min_delta, dtype=torch.float64)
        self.lowest: Float64[Tensor, " member"] = torch.full_like(self.min_delta, torch.inf)
        self.waited: Int64[Tensor, " member"] = torch.zeros(len(patience), dtype=torch.int64)
        self.network: Tensors = {}

    def on_start(self, stack: "StackTrainer") -> None:
        """Stops at once if all members had stopped before resuming."""
        stack.trainer.should_stop |= not stack.module.active.any()

    def on_epoch(self, stack: "StackTrainer") -> None:
        """Stops members that have waited for too long."""
        module = stack.module
        monitored = module.monitored
        better: Bool[Tensor, " member"] = monitored < self.lowest - self.min_delta
        self.lowest = torch.where(better, monitored, self.lowest)
        self.waited = torch.where(better, 0, self.waited + 1)
        self.stop(module.active & (self.waited >= self.patience), module)
        stack.trainer.should_stop |= not module.active.any()

    def stop(self, members: Bool[Tensor, " member"], module: StackModule) -> None:
        """Stops active members, and copies their tensors."""
        if members.any():
            copy_members(self.network, module.network.state_dict(), members)
            module.active &= ~members

    def last_weights(self, module: StackModule) -> Tensors:
        """Tensors of the network on the CPU, for each member from the end of its own training."""
        network = {name: tensor.clone() for name, tensor in module.network.state_dict().items()}
        copy_members(network, self.network, ~module.active)
        return {name: tensor.cpu() for name, tensor in network.items()}


class ShrinkStack(StackCallback):
    """Stops training when at most half of the runs are active: a smaller stack continues with these."""

    triggered = False

    def on_epoch(self, stack: "StackTrainer") -> None:
        """Stops unless this was the last epoch."""
        module, trainer = stack.module, stack.trainer
        active = module.active_runs().tolist()
        few = 2 * sum(active) <= len(active)
        if few and not trainer.should_stop and module.completed_epochs < module.max_epochs:
            self.triggered = trainer.should_stop = True
