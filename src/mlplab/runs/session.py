"""A stack in training, from its start or from where a larger one stood, until few of its members are left."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lightning.pytorch.loggers import Logger
from torch import Tensor

from mlplab.config import TrainConfig
from mlplab.runs.build import Stack, build_stack, build_trainer
from mlplab.runs.folder import RunFolder
from mlplab.runs.inputs import Inputs
from mlplab.training import state
from mlplab.training.callbacks import (
    BestWeights,
    Curves,
    EarlyStopping,
    Observer,
    StepCurves,
    Thinning,
    Watch,
)
from mlplab.training.progress import EpochLines


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


class Session:
    """Trains a stack.

    Args:
        members: of the stack, in its order.
        observers: that watch on when a smaller stack takes over.

    Attributes:
        best: the members' best weights and values.
        last: the network's tensors, each member's from the end of its own training.
    """

    def __init__(self, stack: Stack, members: Sequence[Member], observers: Sequence[Observer]) -> None:
        self.stack, self.members, self.observers = stack, list(members), list(observers)
        section, loggers = stack.configs[0].trainer, [member.loggers for member in members]
        stops = [each.callbacks.early_stopping for each in stack.configs]
        self.best = BestWeights(len(members))
        self.stopping = EarlyStopping([each.patience for each in stops], [each.min_delta for each in stops])
        steps = [StepCurves(loggers, section.log_every_n_steps)] if section.log_every_n_steps else []
        self.last: dict[str, Tensor] = {}
        self.thinning = Thinning()
        lines = EpochLines([member.say for member in members])
        watch = Watch([self.best, Curves(loggers), *steps, self.stopping, self.thinning, lines, *observers])
        self.trainer = build_trainer(stack, watch, loggers, str(members[0].folder.path))

    def fit(self) -> None:
        """Trains to the end, or until few members are left, or a signal comes."""
        self.trainer.fit(self.stack.module, datamodule=self.stack.data)
        self.last = self.stopping.last_state(self.stack.module)

    def ended(self, *, interrupted: bool) -> list[int]:
        """The members whose training is over: all, if neither a signal nor few being left has stopped it."""
        module = self.stack.module
        if not (interrupted or self.thinning.few_left):
            return list(range(len(self.members)))
        over = ~module.active | (module.epochs >= (self.trainer.max_epochs or 0))
        return over.nonzero().flatten().tolist()

    def rest(self, inputs: Inputs) -> "Session":
        """A session that goes on with the members that are still active."""
        left = self.stack.module.active.nonzero().flatten().tolist()
        stack = build_stack([self.stack.configs[member] for member in left], inputs)
        session = Session(stack, [self.members[member] for member in left], self.observers)
        kept = state.save(self.trainer, self.stack.module, self.best, self.stopping).select(left)
        state.load(kept, session.trainer, stack.module, session.best, session.stopping)
        return session

    def test(self) -> None:
        """Tests each member's best weights; the scores are in the module's values."""
        self.stack.module.network.load_state_dict(self.best.state)
        self.trainer.test(self.stack.module, datamodule=self.stack.data, verbose=False)
