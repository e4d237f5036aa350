"""Callbacks of a stack: best weights, early stopping, shrinking, checkpoints, signals.

They are called in the order of a list by a single Lightning callback, because the Trainer calls each of its
callbacks eight times per step. They read `StackModule.values` after an epoch's validation.
"""

import signal
from collections.abc import Callable, Sequence
from math import inf
from time import perf_counter
from types import FrameType
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64, Int64
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from mlplab.training.module import StackModule


class StackCallback:
    """Base class of the callbacks."""

    def on_start(self, trainer: Trainer, module: StackModule) -> None:
        """Called when training starts."""

    def on_step(self, trainer: Trainer, module: StackModule) -> None:
        """Called after each step."""

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Called after each epoch and its validation."""

    def on_end(self, trainer: Trainer, module: StackModule) -> None:
        """Called when training ends, while the network is still on its device."""


class CallbackDispatcher(Callback):
    """Calls stack callbacks, in order."""

    def __init__(self, callbacks: Sequence[StackCallback]) -> None:
        self.callbacks = list(callbacks)
        self._with_steps = [each for each in callbacks if type(each).on_step is not StackCallback.on_step]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Calls `on_start`."""
        assert isinstance(pl_module, StackModule)
        for callback in self.callbacks:
            callback.on_start(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Calls `on_step` of the callbacks that define it."""
        for callback in self._with_steps:
            assert isinstance(pl_module, StackModule)
            callback.on_step(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Calls `on_end`."""
        assert isinstance(pl_module, StackModule)
        for callback in self.callbacks:
            callback.on_end(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Calls `on_epoch`, unless validation runs outside training."""
        assert isinstance(pl_module, StackModule)
        if trainer.state.fn == "fit":
            for callback in self.callbacks:
                callback.on_epoch(trainer, pl_module)


class BestWeights(StackCallback):
    """Keeps each member's weights from the (earliest) epoch with the best monitored metric.

    It is the member's own metric, but in an ensemble the mean of other members: more rows decide then, and
    none of those that the member itself holds out, so that its predictions for these are honest.

    Args:
        deciders: for each member of each ensemble, the members of it whose metric decides; None: each member
            decides alone.

    Attributes:
        epochs: best epoch of each member, counted from 1; 0 before its first epoch.
        lowest: the metric that decides in that epoch, negated if the highest is the best.
        sound: the members that had not diverged when `lowest` was compared last.
        state: tensors of the network, for each member from its best epoch.
        values: values of the module, for each member from its best epoch.
    """

    def __init__(self, members: int, deciders: Bool[Tensor, "run one other"] | None = None) -> None:
        self.deciders = deciders
        self.epochs: Int64[Tensor, " member"] = torch.zeros(members, dtype=torch.int64)
        self.lowest = torch.full((members,), torch.inf, dtype=torch.float64)
        self.sound = torch.ones(members, dtype=torch.bool)
        self.state: dict[str, Tensor] = {}
        self.values: dict[str, Float[Tensor, " member"]] = {}

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Copies the weights and values of the members that have improved."""
        state = module.network.state_dict()
        if not self.state:
            self.state = {name: tensor.clone() for name, tensor in state.items()}
            self.values = {name: value.clone() for name, value in module.values.items()}
        deciding = self._deciding(module)
        lower = (self.epochs == 0) | (deciding < self.lowest)
        better = (lower & module.active).nonzero().flatten()
        if len(better):
            self.epochs[better] = trainer.current_epoch + 1
            self.lowest[better] = deciding[better]
            for best, current in ((self.state, state), (self.values, module.values)):
                for name, tensor in best.items():
                    tensor[better] = current[name][better]

    def by_run(self, module: StackModule) -> Float64[Tensor, " run"]:
        """The mean `lowest` of each run's members that have not diverged; NaN if all have."""
        lowest = self.lowest.view(-1, module.ensemble)
        sound = torch.tensor([member not in module.diverged for member in range(lowest.numel())]).view_as(
            lowest
        )
        return torch.where(sound, lowest, 0).sum(1) / sound.sum(1)

    def _deciding(self, module: StackModule) -> Float64[Tensor, " member"]:
        """The metric that decides about each member: the mean of its deciders that have not diverged."""
        own = module.monitored(module.values).double()
        if self.deciders is None:
            return own
        sound = torch.tensor([member not in module.diverged for member in range(len(own))])
        lost = (self.sound & ~sound).view(-1, 1, module.ensemble)
        self.lowest[(self.deciders & lost).any(2).flatten()] = torch.inf  # it was a mean of other members
        self.sound = sound
        deciders = self.deciders & sound.view(-1, 1, module.ensemble)
        means = torch.where(deciders, own.view(-1, 1, module.ensemble), 0).sum(2) / deciders.sum(2)
        return torch.where(deciders.any(2).flatten(), means.flatten(), own)


class EarlyStopping(StackCallback):
    """Stops members whose monitored metric no longer improves, and training when all have stopped.

    Args:
        patience: epochs without improvement, for each member; None: never stop it.
        min_delta: smallest change that counts as an improvement, in the metric's units, for each member.

    Attributes:
        state: for each member, its `lowest` monitored metric (negated if the highest is the best), and how
            many epochs it has `waited`.
        stopped: tensors of the network, for each stopped member from when it stopped.
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
        """Stops at once if all members had stopped before resuming."""
        trainer.should_stop |= not module.active.any()

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Stops members that have waited for too long."""
        monitored = module.monitored(module.values).double()
        better: Bool[Tensor, " member"] = monitored < self.state["lowest"] - self.min_delta
        self.state["lowest"] = torch.where(better, monitored, self.state["lowest"])
        self.state["waited"] = torch.where(better, 0, self.state["waited"] + 1)
        self.stop(module.active & (self.state["waited"] >= self.patience), module)
        if not module.active.any():
            trainer.should_stop = True

    def stop(self, members: Bool[Tensor, " member"], module: StackModule) -> None:
        """Stops active members, and keeps their tensors."""
        if members.any():
            state = module.network.state_dict()
            self.stopped = self.stopped or {name: tensor.clone() for name, tensor in state.items()}
            for name, tensor in self.stopped.items():
                tensor[members] = state[name][members]
            module.active &= ~members

    def last_state(self, module: StackModule) -> dict[str, Tensor]:
        """Tensors of the network on the CPU, for each member from the end of its own training."""
        state = {name: tensor.clone() for name, tensor in module.network.state_dict().items()}
        for name, tensor in self.stopped.items():
            state[name][~module.active] = tensor[~module.active]
        return {name: tensor.cpu() for name, tensor in state.items()}


class ShrinkStack(StackCallback):
    """Stops training when few runs are active, so that it can continue with a smaller stack of these.

    Args:
        share: training stops when at most this share of the runs is active.

    Attributes:
        triggered: whether this callback has stopped training.
    """

    def __init__(self, share: float = 0.5) -> None:
        self.share, self.triggered = share, False

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Stops unless this was the last epoch."""
        active, epochs = module.active_runs(), trainer.max_epochs or 0
        if 0 < active.sum() <= self.share * len(active) and trainer.current_epoch + 1 < epochs:
            self.triggered = trainer.should_stop = True


class PeriodicCheckpoint(StackCallback):
    """Saves the training state at intervals, in case the process is killed.

    Args:
        every: minimum number of seconds between saves; None: never save.
        save: the function that saves.
        last: when the state was last saved, by `perf_counter`; None: now.
    """

    def __init__(self, every: float | None, save: Callable[[], None], last: float | None = None) -> None:
        self.every, self.save = inf if every is None else every, save
        self.last = perf_counter() if last is None else last

    def on_step(self, trainer: Trainer, module: StackModule) -> None:
        """Saves within an epoch if it is time; after an epoch's last step, `on_epoch` saves."""
        if perf_counter() - self.last >= self.every and module.position.batch < module.sizes.steps:
            self._save()

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Saves between epochs if it is time."""
        if perf_counter() - self.last >= self.every:
            self._save()

    def _save(self) -> None:
        self.save()
        self.last = perf_counter()


class AtEnd(StackCallback):
    """Calls a function when training ends.

    Afterwards, the Trainer moves the network to the CPU, and its parameters are no longer the optimizer's.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        self.function = function

    def on_end(self, trainer: Trainer, module: StackModule) -> None:
        """Calls it."""
        self.function()


class StopOnSignal(StackCallback):
    """Stops training after the current step on SIGINT or SIGTERM.

    A context manager, which restores the previous signal handlers.

    Attributes:
        received: the signal; None if there was none.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopOnSignal":
        self._previous = {each: signal.signal(each, self._stop) for each in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._previous.items():
            signal.signal(each, handler)

    def on_start(self, trainer: Trainer, module: StackModule) -> None:
        """Replaces Lightning's handlers, which exit with code 0 on SIGTERM."""
        for each in self._previous:
            signal.signal(each, self._stop)
        trainer._signal_connector.received_sigterm = False  # Lightning's handler has called ours
        trainer.should_stop |= self.received is not None

    def on_step(self, trainer: Trainer, module: StackModule) -> None:
        """Ends an unfinished epoch; with `should_stop` alone, Lightning would validate first."""
        if self.received and module.position.batch < module.sizes.steps:
            trainer.should_stop = True
            raise StopIteration

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Starts no further epoch."""
        trainer.should_stop |= self.received is not None

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
