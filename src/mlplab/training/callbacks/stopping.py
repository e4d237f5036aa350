"""Stops members whose metric no longer improves, runs without progress, and training."""

import signal
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from mlplab.config.trainer import EarlyStopping as Section
from mlplab.signals import stop_signals
from mlplab.training.block_module import BlockModule
from mlplab.training.callbacks.stack_callback import StackCallback, Tensors, copy_members
from mlplab.training.optimization.schedules import can_judge_progress
from mlplab.training.private_interfaces import forget_sigterm
from mlplab.training.run import Run

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


FEWEST_EPOCHS, FIRST_SHARE = 4, 0.1
"""Before so many epochs, and in this share of all, no run stops because it makes no progress."""

LATE_SHARE, GAIN = 0.4, 0.01
"""That share of a run whose held-out error is not smaller than that of simple models by a share of `GAIN`."""


class NoProgress(StackCallback):
    """Stops a run whose networks all had their best epoch in the first half of the epochs so far.

    Some functions, such as products of several columns, are learned all at once after long standstill. So a
    run that is not yet better than a linear model trains for longer than others.

    Only runs with callbacks.early_stopping.patience=auto are stopped.

    Attributes:
        is_auto: which these are.
        simple: the monitored metric of the better simple model of each run (see `scores_of_simple_models`),
            negated if the highest is the best.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        patience = [run.config.callbacks.early_stopping.patience for run in runs]
        self.is_auto = torch.tensor([each == "auto" for each in patience])
        self.simple: Float64[Tensor, " run"] = torch.full((len(runs),), torch.inf, dtype=torch.float64)

    def on_start(self, stack: "StackTrainer") -> None:
        """Scores the simple models on the held-out rows."""
        if self.is_auto.any():
            scores, members = stack.module.scores_of_simple_models(), stack.module.members
            self.simple = members.by_run(scores, torch.ones_like(members.active))

    def on_epoch(self, stack: "StackTrainer") -> None:
        """Stops runs, where the schedule of the learning rate lets progress be judged."""
        epoch, epochs = stack.module.progress.epoch, stack.module.progress.max_epochs
        is_early = epoch < max(FEWEST_EPOCHS, FIRST_SHARE * epochs)
        if is_early or epoch == epochs or not self.is_auto.any():
            return
        members = stack.module.members
        progressed = members.active & (2 * stack.best.epochs > epoch)
        has_stalled = members.active_runs() & ~progressed.view(-1, members.ensemble).any(1) & self.is_auto
        if epoch < LATE_SHARE * epochs:
            has_stalled &= self.simple - stack.best.by_run(stack.module) >= GAIN * self.simple.abs()
        for number in has_stalled.nonzero().flatten().tolist():
            if can_judge_progress(stack.runs[number].config.scheduler, epoch, epochs):
                stack.stopping.stop(stack.members(number), stack.module)


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
