"""Trains runs in memory. What is to become of them, observers decide."""

from collections.abc import Mapping, Sequence
from time import perf_counter
from types import MappingProxyType

from lightning.pytorch.loggers import Logger
from torch import Tensor

from mlplab.cpu_settings import cpu_settings_for_training
from mlplab.errors import Interrupted, RunFailed, reason_of
from mlplab.signals import handle_signals
from mlplab.training import stack_state
from mlplab.training.callbacks.best_weights import BestWeights, Curves, History, epoch_voters
from mlplab.training.callbacks.pruning import Pruning
from mlplab.training.callbacks.stack_callback import StackCallback, Tensors
from mlplab.training.callbacks.stopping import EarlyStopping, NoProgress, ShrinkStack, StopOnSignal
from mlplab.training.outcome import Outcome, Status
from mlplab.training.run import Run
from mlplab.training.stack.build import build_stack
from mlplab.training.stack.calibrate_and_test import Ending, outcome_of, outcomes
from mlplab.training.stack_state import StackState
from mlplab.training.trainer import build_trainer, lightning_quiet


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


def fit(runs: Sequence[Run], observers: Sequence[Observer] = (), state: StackState | None = None) -> None:
    """Trains runs that share the columns of a table and a network shape; calibrates and tests them.

    As each run ends, `Observer.ended` gets its outcome. A run whose loss becomes non-finite ends with the
    status `diverged`, and one that is not among the best at a rung of its bracket with the status `pruned`;
    the others continue.

    Args:
        state: that of these runs, from which they go on; None: from the beginning.

    Raises:
        UserError: if the runs cannot be built. No observer was called then.
        WrongStateError: if the state is not one of these runs.
        Interrupted: after SIGINT or SIGTERM; the outcomes hold the training states.
        RunFailed: if a custom class exits.
    """
    signals, left = StopOnSignal(), list(runs)
    with lightning_quiet():
        stack = StackTrainer(runs, observers, signals, state)
    # Until now, a signal ends the process at once.
    settings = cpu_settings_for_training(runs[0].config.threads)
    with lightning_quiet(), settings, handle_signals(signals.handler):
        try:
            for observer in observers:
                observer.on_fit_start(stack)
            while left:
                stack.fit()
                ended = stack.ended_runs()
                for observer in observers:
                    observer.on_stop(stack)
                for run, outcome in outcomes(stack, ended):
                    for observer in observers:
                        observer.ended(run, outcome)
                    left.remove(run)
                if signals.received:
                    what = f"stopped by {signals.received.name} after step {stack.trainer.global_step}"
                    raise Interrupted(what, signals.received)
                if left:
                    stack = stack.without_stopped_runs()
        except BaseException as error:
            status: Status = "interrupted" if isinstance(error, Interrupted) else "failed"
            ending = Ending(status, reason_of(error), error)
            for run in left:
                outcome = outcome_of(stack, stack.runs.index(run), ending, None, None)
                for observer in observers:
                    observer.ended(run, outcome)
            if isinstance(error, SystemExit):
                raise RunFailed(f"a custom class called exit({error.code})") from error
            raise


class StackTrainer:
    """Trains the runs of a stack, each of which is one member, or several if it is an ensemble.

    Args:
        runs: with ensembles of equal size.
        history: of runs that were part of a larger stack.

    Attributes:
        module, datamodule, trainer: Lightning's; the module has the network of all members.
        data: the table and split of each member.
        last_weights: the network's tensors, for each member at the end of its own training.
        final_state: the training state when `fit` ended.

    Raises:
        UserError: if the stack cannot be built.
        WrongStateError: if the state does not fit the network.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        observers: Sequence[Observer],
        signals: StopOnSignal,
        state: StackState | None = None,
        history: Mapping[Run, Curves] = MappingProxyType({}),
    ) -> None:
        self.runs, self.observers, self.signals = list(runs), list(observers), signals
        self.module, self.datamodule = build_stack(runs, initialize=state is None)
        self.data = [member for run in runs for member in run.data.members]
        self._started = perf_counter() - (state.seconds if state else 0)
        voters = epoch_voters([member.split.val for member in self.data], self.module.members.ensemble)
        self.best = BestWeights(len(self.data), voters)
        self.stopping = EarlyStopping([each.callbacks.early_stopping for each in self.module.configs])
        self.pruning, self.shrink, self.history = Pruning(), ShrinkStack(), History(runs, history)
        self.last_weights: Tensors = {}
        self.final_state: StackState | None = None
        deciding = self.best, self.history, self.stopping, NoProgress(runs), self.pruning, self.shrink
        self.module.stack, self.module.stack_callbacks = self, [*deciding, signals, *observers]
        loggers = [logger for observer in observers for logger in observer.loggers]
        folder = next((observer.folder for observer in observers if observer.folder), None)
        self.trainer = build_trainer(self.module, loggers, folder)
        if state:
            self.datamodule.start_at(state.epoch, state.batch)
            stack_state.restore(state, self)

    def fit(self) -> None:
        """Trains to the end, until few runs are left, or until a signal is received."""
        self.trainer.fit(self.module, datamodule=self.datamodule)
        if self.final_state is None:  # there was nothing left to train
            self.on_end()

    def on_end(self) -> None:
        """Keeps the last weights and the training state."""
        with self.module.optimizer.averaged():
            self.last_weights = self.stopping.last_weights(self.module)
        self.final_state = self.state()

    def members(self, run: int) -> list[int]:
        """The members of a run."""
        first = run * self.module.members.ensemble
        return list(range(first, first + self.module.members.ensemble))

    def members_not_diverged(self, run: int) -> list[int]:
        """The members of a run that have not diverged; all if all have."""
        members, diverged = self.members(run), self.module.members.diverged
        return [member for member in members if member not in diverged] or members

    def ended_runs(self) -> dict[int, Ending]:
        """The runs whose training is over: all, unless a smaller stack goes on, or a signal was received.

        A run has diverged if all of its members have. One whose time is over is `done`.
        """
        members, pruned, most = self.module.members, self.pruning.reasons, self.module.progress.max_epochs
        some_go_on = self.signals.received or self.shrink.triggered
        ended: dict[int, Ending] = {}
        for run in range(len(self.runs)):
            own = self.members(run)
            epochs, active = members.epochs[own], members.active[own]
            if some_go_on and not ((epochs >= most) | ~active).all():
                continue
            if all(member in members.diverged for member in own):
                ended[run] = Ending("diverged", members.diverged[own[0]])
            elif self.pruning.time_is_over and active.any():
                ended[run] = Ending("done", f"the time was over after epoch {epochs.max()} of {most}")
            else:
                reason = pruned.get(own[0])
                ended[run] = Ending("pruned" if reason else "done", reason)
        return ended

    def without_stopped_runs(self) -> "StackTrainer":
        """The trainer of a smaller stack, which resumes with the runs that have active members."""
        left = self.module.members.active_runs().nonzero().flatten().tolist()
        assert self.final_state is not None
        state = self.final_state.select([member for run in left for member in self.members(run)])
        history = {run: self.history.curves(run) for run in (self.runs[index] for index in left)}
        return StackTrainer([*history], self.observers, self.signals, state, history)

    def state(self) -> StackState:
        """The final training state, or the current one."""
        # After `fit`, Lightning has moved the network off the device, and the optimizer does not see it.
        return self.final_state or stack_state.capture(self)

    @property
    def seconds(self) -> float:
        """Seconds of training, without the time between saving and resuming."""
        return perf_counter() - self._started
