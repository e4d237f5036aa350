"""What happens beside the steps: the best weights kept, early stopping, curves, and signals heeded.

All look at `StackModule.values` when an epoch's validation is done, in the order of the Trainer's list.
"""

import signal
from collections.abc import Sequence
from types import FrameType
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from torch import Tensor

from mlplab.training.module import StackModule


class EpochCallback(Callback):
    """Calls `on_epoch` with the module after the validation of each epoch of training."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Passes on what belongs to training."""
        assert isinstance(pl_module, StackModule)
        if trainer.state.fn == "fit":
            self.on_epoch(trainer, pl_module)

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """An epoch of training and its validation are done."""


class BestWeights(EpochCallback):
    """Keeps each member's weights from the epoch with its lowest monitored metric; the first among equals.

    Attributes:
        epochs: the best epoch of each member, counted from 1.
        state: the network's tensors, each member's from its own best epoch.
        values: the module's values, likewise.
    """

    def __init__(self) -> None:
        self.epochs: Int64[Tensor, " member"] = torch.empty(0, dtype=torch.int64)
        self.state: dict[str, Tensor] = {}
        self.values: dict[str, Float[Tensor, " member"]] = {}

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Takes over the members that have improved."""
        state = module.network.state_dict()
        if not self.state:
            self.epochs = torch.full((len(module.configs),), trainer.current_epoch + 1)
            self.state = {name: tensor.clone() for name, tensor in state.items()}
            self.values = {name: value.clone() for name, value in module.values.items()}
            return
        better = (module.values[module.monitor] < self.values[module.monitor]) & module.active.to(
            module.device
        )
        if better.any():
            self.epochs[better.cpu()] = trainer.current_epoch + 1
            for kept, new in ((self.state, state), (self.values, module.values)):
                for name, tensor in kept.items():
                    tensor[better] = new[name][better]


class EarlyStopping(EpochCallback):
    """Ends a member's training once its monitored metric has not fallen for long; with the last, all.

    Args:
        patience: epochs without improvement, for each member; None never stops.
        min_delta: what a fall must exceed to count, in the metric's units, for each member.

    Attributes:
        stopped: the network's tensors, each member's as they were when it stopped.
    """

    def __init__(self, patience: Sequence[int | None], min_delta: Sequence[float]) -> None:
        self.patience = torch.tensor([torch.inf if each is None else each for each in patience])
        self.min_delta = torch.tensor(min_delta, dtype=torch.float64)
        self.lowest = torch.full((len(patience),), torch.inf, dtype=torch.float64)
        self.waited = torch.zeros(len(patience), dtype=torch.int64)
        self.stopped: dict[str, Tensor] = {}

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Counts, and marks members as stopped."""
        monitored = module.values[module.monitor].cpu().double()
        better: Bool[Tensor, " member"] = monitored < self.lowest - self.min_delta
        self.lowest = torch.where(better, monitored, self.lowest)
        self.waited = torch.where(better, 0, self.waited + 1)
        stops = module.active & (self.waited >= self.patience)
        if stops.any():
            state = module.network.state_dict()
            self.stopped = self.stopped or {name: tensor.clone() for name, tensor in state.items()}
            for name, tensor in self.stopped.items():
                tensor[stops] = state[name][stops]
            module.active &= ~stops
        if not module.active.any():
            trainer.should_stop = True

    def last_state(self, module: StackModule) -> dict[str, Tensor]:
        """The network's tensors, each member's from the end of its own training."""
        state = {name: tensor.clone() for name, tensor in module.network.state_dict().items()}
        for name, tensor in self.stopped.items():
            state[name][~module.active] = tensor[~module.active]
        return state


class Curves(EpochCallback):
    """Writes each member's values to its own loggers, an epoch a step, counted from 1.

    Args:
        loggers: of each member.
        every_n_steps: also writes the training loss of every nth step, as `train/loss_step`.
    """

    def __init__(self, loggers: Sequence[Sequence[Logger]], every_n_steps: int | None) -> None:
        self.loggers, self.every_n_steps = loggers, every_n_steps

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """The epoch's point of every curve."""
        values = {name: value.tolist() for name, value in module.values.items()}
        for member, loggers in enumerate(self.loggers):
            if module.active[member]:
                point = {name: value[member] for name, value in values.items()}
                for logger in loggers:
                    logger.log_metrics(point, trainer.current_epoch + 1)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """A step's point, if asked for."""
        if self.every_n_steps and trainer.global_step % self.every_n_steps == 0:
            assert isinstance(pl_module, StackModule)
            for loss, loggers in zip(pl_module.last_losses().tolist(), self.loggers, strict=True):
                for logger in loggers:
                    logger.log_metrics({"train/loss_step": loss}, trainer.global_step)


class Signals(Callback):
    """Stops training after the current step on SIGINT or SIGTERM.

    Attributes:
        received: the signal, if one came.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the signals over; later than Lightning, which ends with status 0 on SIGTERM."""

        def stop(number: int, frame: FrameType | None) -> None:
            self.received = signal.Signals(number)
            trainer.should_stop = True

        for each in (signal.SIGINT, signal.SIGTERM):
            self._before[each] = signal.signal(each, stop)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Hands the signals back."""
        for each, handler in self._before.items():
            signal.signal(each, handler)
        self._before = {}
