"""Logs the distributions of weights and gradients to TensorBoard."""

from collections.abc import Sequence

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch import Tensor

from mlplab.training.callbacks import StackCallback
from mlplab.training.module import StackModule

WEIGHTS = "weights/"
"""The group of these histograms, which TensorBoard shows after those of the curves."""


class Histograms(StackCallback):
    """Logs each run's weights, and the gradients of its last step, in every nth epoch.

    The weights are those that are validated. Those of an ensemble's members are counted together.

    Args:
        loggers: of each run.
        every: the number of epochs.
    """

    def __init__(self, loggers: Sequence[Sequence[Logger]], every: int) -> None:
        self.loggers, self.every = loggers, every

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Logs the histograms if it is an nth epoch."""
        epoch = trainer.current_epoch + 1
        if epoch % self.every:
            return
        members = module.active.view(-1, module.ensemble)
        for name, parameter in module.network.named_parameters():
            tensors = {WEIGHTS + name: parameter.detach()}
            if parameter.grad is not None:
                tensors[f"{WEIGHTS}{name}/gradient"] = parameter.grad
            for tag, tensor in tensors.items():
                values = tensor.cpu().view(*members.shape, -1)
                for loggers, active, of_run in zip(self.loggers, members, values, strict=True):
                    _log(tag, of_run[active], loggers, epoch)


def _log(tag: str, values: Tensor, loggers: Sequence[Logger], epoch: int) -> None:
    finite = values[values.isfinite()]
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger) and len(finite):
            logger.experiment.add_histogram(tag, finite, epoch)
