"""Stops members whose metric no longer improves, runs that a stage has made worse, and training."""

import signal
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor
from torch.func import functional_call

from mlplab.config.trainer import EarlyStopping as Section
from mlplab.signals import stop_signals
from mlplab.training.block_module import BlockModule
from mlplab.training.callbacks.stack_callback import StackCallback, Tensors, copy_members
from mlplab.training.optimization.schedules import stage_ends
from mlplab.training.private_interfaces import forget_sigterm
from mlplab.training.scoring.losses import row_errors

if TYPE_CHECKING:
    from mlplab.training.fit import StackTrainer


class EarlyStopping(StackCallback):
    """Stops members whose monitored metric no longer improves.

    Args:
        sections: of each member. One whose patience is no number of epochs does not stop.

    Attributes:
        lowest: the lowest monitored metric of each member, negated if the highest is the best.
        waited: the number of epochs of each member without improvement.
        network: the tensors of stopped members at the end of their training.
    """

    def __init__(self, sections: Sequence[Section]) -> None:
        patience = [each.patience for each in sections]
        self.patience = torch.tensor([each if isinstance(each, int) else torch.inf for each in patience])
        self.min_delta = torch.tensor([each.min_delta for each in sections], dtype=torch.float64)
        self.lowest: Float64[Tensor, " member"] = torch.full_like(self.min_delta, torch.inf)
        self.waited: Int64[Tensor, " member"] = torch.zeros(len(sections), dtype=torch.int64)
        self.network: Tensors = {}

    def on_epoch(self, stack: "StackTrainer") -> None:
        """Stops members that have waited for too long."""
        module, monitored = stack.module, stack.module.monitored
        better: Bool[Tensor, " member"] = monitored < self.lowest - self.min_delta
        self.lowest = torch.where(better, monitored, self.lowest)
        self.waited = torch.where(better, 0, self.waited + 1)
        self.stop(self.waited >= self.patience, module)

    def stop(self, members: Bool[Tensor, " member"] | Sequence[int], module: BlockModule) -> None:
        """Stops those of these members that are active, and copies their tensors.

        Args:
            members: a mask, or their places.
        """
        chosen = torch.zeros_like(module.members.active)
        chosen[members] = module.members.active[members]
        if chosen.any():
            copy_members(self.network, module.network.state_dict(), chosen)
            module.members.active &= ~chosen

    def last_weights(self, module: BlockModule) -> Tensors:
        """Tensors of the network on the CPU, for each member from the end of its own training."""
        network = {name: tensor.clone() for name, tensor in module.network.state_dict().items()}
        copy_members(network, self.network, ~module.members.active)
        return {name: tensor.cpu() for name, tensor in network.items()}


class ShrinkStack(StackCallback):
    """Stops training when no run is active, or when at most half are: then a smaller stack goes on."""

    triggered = False

    def on_start(self, stack: "StackTrainer") -> None:
        """Stops at once if all members had stopped before resuming."""
        stack.trainer.should_stop |= not stack.module.members.active.any()

    def on_epoch(self, stack: "StackTrainer") -> None:
        """Stops if no run is active; unless this was the last epoch, also if at most half are."""
        module, trainer = stack.module, stack.trainer
        active = module.members.active_runs().tolist()
        trainer.should_stop |= not any(active)
        few = 2 * sum(active) <= len(active)
        if few and not trainer.should_stop and module.progress.epoch < module.progress.max_epochs:
            self.triggered = trainer.should_stop = True


# How many standard errors better the best epochs must be, and on how many validation rows at least.
STANDARD_ERRORS, FEWEST_ROWS = 3, 30

ByRow = Float64[Tensor, "member row"]


class StageStopping(StackCallback):
    """Stops a run that a whole stage of training has made worse.

    Averaged weights lag, and within a cycle of the learning rate, networks get worse while it rises, so few
    epochs say little. If none of a run's networks had its best epoch in the stage that ends, a paired test
    compares the errors of validation rows at its end and in the best epochs. Only runs with
    callbacks.early_stopping.patience=auto are stopped.
    """

    def on_epoch(self, stack: "StackTrainer") -> None:
        """Stops runs where a stage has ended; not after the first one, nor in the last epoch."""
        progress, active, candidates = stack.module.progress, stack.module.members.active, []
        for run, section in enumerate(each.config for each in stack.runs):
            members = [member for member in stack.members(run) if active[member]]
            if not members or section.callbacks.early_stopping.patience != "auto":
                continue
            ends = stage_ends(section.scheduler, progress.max_epochs)
            if progress.epoch in ends[1:-1]:
                before = ends[ends.index(progress.epoch) - 1]
                if (stack.best.epochs[members] <= before).all():  # no new best epoch in this stage
                    candidates.append(members)
        differences = self._differences(stack) if candidates else ()
        for members in candidates:
            if self._is_worse(members, stack, *differences):
                stack.stopping.stop(members, stack.module)

    def _differences(self, stack: "StackTrainer") -> tuple[ByRow, ByRow]:
        """By how much the errors of validation rows are larger than in the best epochs; the rows' weights."""
        network, differences, weights = stack.module.network.eval(), [], []
        quantiles = stack.module.configs[0].quantiles
        with torch.inference_mode():
            for batch in stack.datamodule.val_dataloader():
                moved = stack.trainer.strategy.batch_to_device(batch)
                best = functional_call(network, stack.best.network, moved.x)
                now, then = (row_errors(each, moved.y, quantiles) for each in (network(moved.x), best))
                differences.append(difference := now - then)
                weight = torch.ones_like(difference) if moved.row_weight is None else moved.row_weight[..., 0]
                weights.append(weight.double())
        network.train()
        return torch.cat(differences, 1).cpu(), torch.cat(weights, 1).cpu()

    @staticmethod
    def _is_worse(members: Sequence[int], stack: "StackTrainer", differences: ByRow, weights: ByRow) -> bool:
        """The paired test for the members of a run; the same row of several members counts once."""
        rows = [stack.datamodule.val[member] for member in members]
        distinct, place = torch.unique(torch.cat(rows), return_inverse=True)

        def by_row(values: ByRow) -> Float64[Tensor, " distinct"]:
            parts = [values[member, : len(own)] for member, own in zip(members, rows, strict=True)]
            return values.new_zeros(len(distinct)).index_add(0, place, torch.cat(parts))

        weight = by_row(weights)
        used = weight > 0
        d, w = (by_row(weights * differences)[used] / weight[used]), weight[used]
        mean = (w * d).sum() / w.sum()
        standard_error = (w * (d - mean)).square().sum().sqrt() / w.sum()
        return len(w) >= FEWEST_ROWS and bool(mean > STANDARD_ERRORS * standard_error)


class StopOnSignal(StackCallback):
    """Stops training after the current step on SIGINT or SIGTERM, which `handler` receives."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def handler(self, number: int, frame: FrameType | None) -> None:
        """Receives a signal."""
        self.received = signal.Signals(number)

    def on_start(self, stack: "StackTrainer") -> None:
        """Replaces Lightning's handlers, which exit with code 0 on SIGTERM and have called ours."""
        for number in stop_signals():
            signal.signal(number, self.handler)
        forget_sigterm(stack.trainer)
        stack.trainer.should_stop |= self.received is not None

    def on_step(self, stack: "StackTrainer") -> None:
        """Ends an unfinished epoch; with `should_stop` alone, Lightning would validate first."""
        if self.received and stack.module.progress.step < stack.module.progress.steps:
            stack.trainer.should_stop = stack.module.is_interrupted = True

    def on_epoch(self, stack: "StackTrainer") -> None:
        """Starts no further epoch."""
        stack.trainer.should_stop |= self.received is not None
