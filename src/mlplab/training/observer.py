"""The base class of observers, which watch the training of a stack."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lightning.pytorch.loggers import Logger
from torch import Tensor

from mlplab.training.callbacks.stack_callback import StackCallback, Tensors
from mlplab.training.outcome import Outcome
from mlplab.training.run import Run

if TYPE_CHECKING:
    from mlplab.training.fit import StackTrainer


class Observer:
    """Watches a training. Observers are called in order, and change no bits of what is trained.

    Attributes:
        loggers, folder: what the Trainer gets for custom callbacks.
        part: the name of the observer's state within the training state; none if it has no state.
    """

    loggers: Sequence[Logger] = ()
    folder: str | None = None
    part = ""

    def on_fit_start(self, stack: "StackTrainer") -> None:
        """Called once, when the stack was built, before its first step. An error ends the training."""

    def on_start(self, stack: "StackTrainer") -> None:
        """Called when training starts; again when a smaller stack of the same runs goes on."""

    def next_stop(self, step: int) -> int:
        """The number of steps after which `on_step` must be called next, given that of steps made.

        Elsewhere, it may be called after several steps.
        """
        return sys.maxsize

    def on_step(self, stack: "StackTrainer") -> None:
        """Called after each step, or after several: see `next_stop`."""

    def on_epoch(self, stack: "StackTrainer") -> None:
        """Called after each epoch, its validation, and what was decided by it."""

    def on_stop(self, stack: "StackTrainer", ended: int) -> None:
        """Called when the training of a number of runs has ended, before their outcomes are known."""

    def ended(self, run: Run, outcome: Outcome) -> None:
        """Called for each run, when its outcome is known; again, with the error, if an observer fails."""

    def state(self) -> Tensors:
        """Tensors with a leading member axis, from which the observer goes on when runs are resumed."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Takes over the result of `state`, of the members of a new stack."""


class Observed(StackCallback):
    """Calls an observer of a stack."""

    def __init__(self, observer: Observer, stack: "StackTrainer") -> None:
        self._observer, self._stack = observer, stack

    @property
    def acts_on_steps(self) -> bool:
        """Whether the observer does."""
        return type(self._observer).on_step is not Observer.on_step

    def on_start(self, *_: object) -> None:
        """Calls it."""
        self._observer.on_start(self._stack)

    def next_stop(self, step: int) -> int:
        """That of the observer."""
        return self._observer.next_stop(step)

    def on_step(self, *_: object) -> None:
        """Calls it."""
        self._observer.on_step(self._stack)

    def on_epoch(self, *_: object) -> None:
        """Calls it."""
        self._observer.on_epoch(self._stack)
