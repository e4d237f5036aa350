"""Stops training that validation rows say is over, at the end of a cycle of the learning rate."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float64
from lightning.pytorch import Trainer
from torch import Tensor
from torch.func import functional_call

from mlplab import config
from mlplab.training.callbacks.best_weights import BestWeights
from mlplab.training.callbacks.early_stopping import EarlyStopping
from mlplab.training.callbacks.stack_callback import StackCallback
from mlplab.training.module import StackModule
from mlplab.training.optimization.schedules import completed_cycles

STANDARD_ERRORS = 3
"""By which the best epoch must be better."""


class CycleStopping(StackCallback):
    """Stops a run if its networks are worse at the end of a cycle than in their best epochs.

    Within a cycle, networks get worse while the learning rate rises, and better again while it falls. At its
    end, a paired test compares the errors of validation rows, those of all networks of an ensemble together.

    Args:
        schedules: of each run; None: it is not stopped.
    """

    def __init__(
        self, schedules: Sequence[config.Schedule | None], best: BestWeights, stopping: EarlyStopping
    ) -> None:
        self.schedules, self.best, self.stopping = list(schedules), best, stopping

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Stops runs where a cycle has ended."""
        epoch, epochs = module.completed_epochs, module.max_epochs
        has_ended = torch.tensor(
            [
                schedule is not None
                and completed_cycles(schedule, (epoch - 1) / epochs)
                < completed_cycles(schedule, epoch / epochs)
                for schedule in self.schedules
            ]
        )
        if epoch < epochs and (has_ended & module.active_runs()).any():
            stopped = has_ended & self._are_worse(trainer, module)
            self.stopping.stop(module.active & stopped.repeat_interleave(module.ensemble), module)
            trainer.should_stop |= not module.active.any()

    def _are_worse(self, trainer: Trainer, module: StackModule) -> Bool[Tensor, " run"]:
        """Which runs are worse than in the best epochs of their networks."""
        network, differences, weights = module.network.eval(), [], []
        with torch.inference_mode():
            for batch in trainer.datamodule.val_dataloader():  # type: ignore[attr-defined]
                moved = trainer.strategy.batch_to_device(batch)
                best = functional_call(network, self.best.network, moved.x)
                difference = row_errors(network(moved.x), moved.y) - row_errors(best, moved.y)
                differences.append(difference)
                weight = torch.ones_like(difference) if moved.row_weight is None else moved.row_weight[..., 0]
                weights.append(weight.double())
        network.train()
        d, w = torch.cat(differences, 1), torch.cat(weights, 1)
        lost = list(module.diverged)
        d[lost], w[lost] = 0, 0
        d, w = (each.view(len(self.schedules), -1) for each in (d, w))
        mean = (w * d).sum(1, keepdim=True) / w.sum(1, keepdim=True)
        standard_error = (w * (d - mean)).square().sum(1).sqrt() / w.sum(1)
        return (mean[:, 0] > STANDARD_ERRORS * standard_error).cpu()


def row_errors(
    predicted: Float64[Tensor, "member batch output"], y: Float64[Tensor, "member batch target"]
) -> Float64[Tensor, "member batch"]:
    """The absolute error of each row, summed over targets, or its log loss."""
    if predicted.shape == y.shape:
        return (predicted - y).abs().sum(2)
    smallest = torch.finfo(predicted.dtype).tiny
    return -predicted.gather(2, y.long()).clamp(min=smallest)[..., 0].log()
