"""Saves the training state at intervals."""

from collections.abc import Callable
from math import inf
from time import perf_counter

from lightning.pytorch import Trainer

from mlplab.training.callbacks.stack_callback import StackCallback
from mlplab.training.module import StackModule


class PeriodicCheckpoint(StackCallback):
    """Saves the training state at intervals, in case the process is killed.

    Args:
        minutes: between saves at least; None: never save.
        last: when the state was last saved, by `perf_counter`; None: now.
    """

    def __init__(self, minutes: float | None, save: Callable[[], None], last: float | None = None) -> None:
        self.seconds, self.save = inf if minutes is None else 60 * minutes, save
        self.last = perf_counter() if last is None else last

    def on_step(self, trainer: Trainer, module: StackModule) -> None:
        """Saves within an epoch if it is time; after an epoch's last step, `on_epoch` saves."""
        if module.completed_steps < module.steps:
            self.on_epoch(trainer, module)

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Saves between epochs if it is time."""
        if perf_counter() - self.last >= self.seconds:
            self.save()
            self.last = perf_counter()
