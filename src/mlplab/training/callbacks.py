"""What happens beside the steps: the best weights kept, early stopping, curves, and signals heeded.

All of it observes `StackModule.values` when an epoch's validation is done, in the order of a list, behind one
callback of the Trainer: the Trainer calls each of its callbacks eight times a step.
"""

import signal
from collections.abc import Callable, Mapping, Sequence
from math import inf
from time import perf_counter
from types import FrameType
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from torch import Tensor

from mlplab.training.module import StackModule

STEP_LOSS = "train/loss_step"
"""The one curve that counts steps and not epochs."""


class StackCallback:
    """Something that happens beside the steps."""

    def on_start(self, trainer: Trainer, module: StackModule) -> None:
        """Training begins."""

    def on_step(self, trainer: Trainer, module: StackModule) -> None:
        """A step is done."""

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """An epoch of training and its validation are done."""


class CallbackDispatcher(Callback):
    """Tells observers, in their order."""

    def __init__(self, observers: Sequence[StackCallback]) -> None:
        self.observers = list(observers)
        self._of_steps = [each for each in observers if type(each).on_step is not StackCallback.on_step]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Passes on."""
        assert isinstance(pl_module, StackModule)
        for observer in self.observers:
            observer.on_start(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Passes on to those that want it."""
        for observer in self._of_steps:
            assert isinstance(pl_module, StackModule)
            observer.on_step(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Passes on what belongs to training."""
        assert isinstance(pl_module, StackModule)
        if trainer.state.fn == "fit":
            for observer in self.observers:
                observer.on_epoch(trainer, pl_module)


class BestWeights(StackCallback):
    """Keeps each member's weights from the epoch with its lowest monitored metric; the first among equals.

    Attributes:
        epochs: the best epoch of each member, counted from 1; 0 where there is none.
        state: the network's tensors, each member's from its own best epoch.
        values: the module's values, likewise.
    """

    def __init__(self, members: int) -> None:
        self.epochs: Int64[Tensor, " member"] = torch.zeros(members, dtype=torch.int64)
        self.state: dict[str, Tensor] = {}
        self.values: dict[str, Float[Tensor, " member"]] = {}

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Takes over the members that have improved."""
        state = module.network.state_dict()
        if not self.state:
            self.state = {name: tensor.clone() for name, tensor in state.items()}
            self.values = {name: value.clone() for name, value in module.values.items()}
        monitored = module.values[module.monitor].cpu()
        lower = (self.epochs == 0) | (monitored < self.values[module.monitor].cpu())
        better = (lower & module.active).nonzero().flatten()
        if len(better):
            self.epochs[better] = trainer.current_epoch + 1
            for kept, new in ((self.state, state), (self.values, module.values)):
                for name, tensor in kept.items():
                    tensor[better] = new[name][better]


class EarlyStopping(StackCallback):
    """Ends a member's training once its monitored metric has not fallen for long; with the last, all.

    Args:
        patience: epochs without improvement, for each member; None never stops.
        min_delta: what a fall must exceed to count, in the metric's units, for each member.

    Attributes:
        state: of each member, the `lowest` monitored metric and how many epochs it has `waited`.
        stopped: the network's tensors, each member's as they were when it stopped.
    """

    def __init__(self, patience: Sequence[int | None], min_delta: Sequence[float]) -> None:
        self.patience = torch.tensor([torch.inf if each is None else each for each in patience])
        self.min_delta = torch.tensor(min_delta, dtype=torch.float64)
        self.state = {
            "lowest": torch.full((len(patience),), torch.inf, dtype=torch.float64),
            "waited": torch.zeros(len(patience), dtype=torch.int64),
        }
        self.stopped: dict[str, Tensor] = {}

    def on_start(self, trainer: Trainer, module: StackModule) -> None:
        """Ends at once what goes on from where all had stopped."""
        trainer.should_stop |= not module.active.any()

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Counts, and marks members as stopped."""
        monitored = module.values[module.monitor].cpu().double()
        better: Bool[Tensor, " member"] = monitored < self.state["lowest"] - self.min_delta
        self.state["lowest"] = torch.where(better, monitored, self.state["lowest"])
        self.state["waited"] = torch.where(better, 0, self.state["waited"] + 1)
        stops = module.active & (self.state["waited"] >= self.patience)
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
            # which has left the GPU already
            state[name][~module.active] = tensor[~module.active].to(state[name].device)
        return state


class ShrinkStack(StackCallback):
    """Ends a stack's training when few of its members are left, for a smaller stack to go on with those.

    Args:
        share: of the members; with so many left or fewer it ends.

    Attributes:
        few_left: whether it has.
    """

    def __init__(self, share: float = 0.5) -> None:
        self.share, self.few_left = share, False

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Looks whether it is worth it."""
        active, epochs = int(module.active.sum()), trainer.max_epochs or 0
        if 0 < active <= self.share * len(module.active) and trainer.current_epoch + 1 < epochs:
            self.few_left = trainer.should_stop = True


class PeriodicCheckpoint(StackCallback):
    """Has the state of training kept now and then, for a process that is killed without a warning.

    Args:
        every: seconds that pass between two times at least; None: never.
        keep: keeps it.
    """

    def __init__(self, every: float | None, keep: Callable[[], None]) -> None:
        self.every, self.keep = inf if every is None else every, keep
        self._last = perf_counter()

    def on_step(self, trainer: Trainer, module: StackModule) -> None:
        """Keeps it within an epoch, if it is time and the epoch goes on."""
        if perf_counter() - self._last >= self.every and module.position.batch < module.sizes.steps:
            self._now()

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Keeps it between epochs, if it is time."""
        if perf_counter() - self._last >= self.every:
            self._now()

    def _now(self) -> None:
        self.keep()
        self._last = perf_counter()


class EpochCurves(StackCallback):
    """Writes each member's values to its own loggers, an epoch a step, counted from 1."""

    def __init__(self, loggers: Sequence[Sequence[Logger]]) -> None:
        self.loggers = loggers

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """The epoch's point of every curve."""
        values = {name: value.tolist() for name, value in module.values.items()}
        for member, loggers in enumerate(self.loggers):
            if module.active[member]:
                _log(
                    {name: value[member] for name, value in values.items()},
                    loggers,
                    trainer.current_epoch + 1,
                )


class StepCurves(StackCallback):
    """Writes each member's training loss of every nth step to its own loggers, as `STEP_LOSS`."""

    def __init__(self, loggers: Sequence[Sequence[Logger]], every: int) -> None:
        self.loggers, self.every = loggers, every

    def on_step(self, trainer: Trainer, module: StackModule) -> None:
        """A step's point, now and then."""
        if trainer.global_step % self.every == 0:
            for member, (loss, loggers) in enumerate(
                zip(module.last_losses().tolist(), self.loggers, strict=True)
            ):
                if module.active[member]:
                    _log({STEP_LOSS: loss}, loggers, trainer.global_step)


def _log(point: Mapping[str, float], loggers: Sequence[Logger], step: int) -> None:
    for logger in loggers:
        logger.log_metrics(dict(point), step)


class StopOnSignal(StackCallback):
    """Stops training after the current step on SIGINT or SIGTERM; a context, which hands them back.

    Attributes:
        received: the signal, if one came.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopOnSignal":
        self._before = {each: signal.signal(each, self._stop) for each in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def on_start(self, trainer: Trainer, module: StackModule) -> None:
        """Takes the signals from Lightning, which ends with status 0 on SIGTERM."""
        for each in self._before:
            signal.signal(each, self._stop)
        trainer.should_stop |= self.received is not None

    def on_step(self, trainer: Trainer, module: StackModule) -> None:
        """Leaves an epoch that goes on; the Trainer's own way would validate first, as if it were over."""
        if self.received and module.position.batch < module.sizes.steps:
            trainer.should_stop = True
            raise StopIteration

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Begins no other epoch."""
        trainer.should_stop |= self.received is not None

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
