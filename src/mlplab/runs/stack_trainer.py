"""A stack in training, from its start or from where a larger one stood, until few of its members are left."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from lightning.pytorch.loggers import Logger
from torch import Tensor

from mlplab.config import TrainConfig
from mlplab.data.cache import DataCache
from mlplab.errors import Fault, UserError
from mlplab.runs.build import Stack, build_stack, build_trainer
from mlplab.runs.folder import RunFolder
from mlplab.training import state
from mlplab.training.callbacks import (
    BestWeights,
    CallbackDispatcher,
    EarlyStopping,
    ShrinkStack,
    StackCallback,
)
from mlplab.training.loggers import EpochCurves, StepCurves
from mlplab.training.progress import EpochLines
from mlplab.training.state import StackState


@dataclass(frozen=True)
class Member:
    """One run in training: its configuration, the folder that it fills, its loggers, and where its words go.

    Args:
        say: takes a line on how far it is.
        tell: takes a line on what it is and what came of it.
    """

    config: TrainConfig
    folder: RunFolder
    loggers: Sequence[Logger]
    say: Callable[[str], None]
    tell: Callable[[str], None]


class StackTrainer:
    """Trains a stack.

    Args:
        members: of the stack, in its order.
        observers: that watch on when a smaller stack takes over.
        kept: what the stack goes on from; None from the start.

    Attributes:
        best: the members' best weights and values.
        last: the network's tensors, each member's from the end of its own training.
        reached: what it would take to go on from where training ended.
    """

    def __init__(
        self,
        stack: Stack,
        members: Sequence[Member],
        observers: Sequence[StackCallback],
        kept: StackState | None = None,
    ) -> None:
        self.stack, self.members, self.observers = stack, list(members), list(observers)
        self._started = perf_counter() - (kept.seconds if kept else 0)
        section, loggers = stack.configs[0].trainer, [member.loggers for member in members]
        stops = [each.callbacks.early_stopping for each in stack.configs]
        self.best = BestWeights(len(members))
        self.stopping = EarlyStopping([each.patience for each in stops], [each.min_delta for each in stops])
        steps = [StepCurves(loggers, section.log_every_n_steps)] if section.log_every_n_steps else []
        self.last: dict[str, Tensor] = {}
        self.reached: StackState | None = None
        self.shrink = ShrinkStack()
        lines = EpochLines([member.say for member in members])
        watch = CallbackDispatcher(
            [self.best, EpochCurves(loggers), *steps, self.stopping, self.shrink, lines, *observers]
        )
        self.trainer = build_trainer(stack, watch, loggers, str(members[0].folder.path))
        if kept:
            stack.data.position = kept.batch
            try:
                state.restore(kept, self.trainer, stack.module, self.best, self.stopping)
            except (RuntimeError, LookupError, ValueError) as error:
                what = f"holds the state of another network: {str(error).partition(chr(10))[0]}"
                where = str(members[0].folder.last)
                raise UserError(Fault(what, where, remedy="start anew")) from error

    def fit(self) -> None:
        """Trains to the end, or until few members are left, or a signal comes."""
        self.trainer.fit(self.stack.module, datamodule=self.stack.data)
        self.last, self.reached = self.stopping.last_state(self.stack.module), self.state()

    def ended(self, *, interrupted: bool) -> list[int]:
        """The members whose training is over: all, if neither a signal nor few being left has stopped it."""
        module = self.stack.module
        if not (interrupted or self.shrink.few_left):
            return list(range(len(self.members)))
        over = ~module.active | (module.epochs >= (self.trainer.max_epochs or 0))
        return over.nonzero().flatten().tolist()

    def rest(self, cache: DataCache) -> "StackTrainer":
        """A session that goes on with the members that are still active."""
        left = self.stack.module.active.nonzero().flatten().tolist()
        stack = build_stack([self.stack.configs[member] for member in left], cache, goes_on=True)
        members = [self.members[member] for member in left]
        assert self.reached is not None
        return StackTrainer(stack, members, self.observers, self.reached.select(left))

    def state(self) -> StackState:
        """What it would take to go on from here."""
        return state.capture(self.trainer, self.stack.module, self.best, self.stopping, self.seconds)

    @property
    def seconds(self) -> float:
        """Since training began, less the time between what was kept and going on from it."""
        return perf_counter() - self._started

    def test(self) -> None:
        """Tests each member's best weights; the scores are in the module's values."""
        self.stack.module.network.load_state_dict(self.best.state)
        self.trainer.test(self.stack.module, datamodule=self.stack.data, verbose=False)
