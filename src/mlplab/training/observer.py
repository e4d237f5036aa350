"""The base class of observers, which watch the training of a stack."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lightning.pytorch.loggers import Logger
from torch import Tensor

from mlplab.training.callbacks.stack_callback import StackCallback, Tensors
from mlplab.training.outcome import Outcome
from mlplab.training.run import Run

if TYPE_CHECKING:
    from mlplab.training.fit import StackTrainer


class Observer(StackCallback):
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

    def on_stop(self, stack: "StackTrainer") -> None:
        """Called when the training of runs has ended, before their outcomes are known."""

    def ended(self, run: Run, outcome: Outcome) -> None:
        """Called for each run, when its outcome is known; again, with the error, if an observer fails."""

    def state(self) -> Tensors:
        """Tensors with a leading member axis, from which the observer goes on when runs are resumed."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Takes over the result of `state`, of the members of a new stack."""
