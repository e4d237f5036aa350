"""Stops training that validation rows say is over."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float64
from torch import Tensor
from torch.func import functional_call

from mlplab.training.callbacks.stack_callback import StackCallback
from mlplab.training.optimization.schedules import stage_ends
from mlplab.training.scoring.losses import row_errors

if TYPE_CHECKING:
    from mlplab.training.fit import StackTrainer

STANDARD_ERRORS, FEWEST_ROWS = 3, 30
"""How many standard errors better the best epochs must be, and on how many validation rows at least."""

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
        candidates = [run for run in range(len(stack.runs)) if self._has_no_new_best(run, stack)]
        differences = self._differences(stack) if candidates else ()
        for run in candidates:
            if self._is_worse(_active_members(run, stack), stack, *differences):
                stack.stopping.stop(stack.members(run), stack.module)

    def _has_no_new_best(self, run: int, stack: "StackTrainer") -> bool:
        """Whether a stage ends with this epoch, and no network of a run had its best epoch in it."""
        progress, section = stack.module.progress, stack.runs[run].config
        members = _active_members(run, stack)
        if section.callbacks.early_stopping.patience != "auto" or not members:
            return False
        ends, epoch = stage_ends(section.scheduler, progress.max_epochs), progress.epoch
        if epoch not in ends[1:-1]:
            return False
        return bool((stack.best.epochs[members] <= ends[ends.index(epoch) - 1]).all())

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


def _active_members(run: int, stack: "StackTrainer") -> list[int]:
    return [member for member in stack.members(run) if stack.module.members.active[member]]
