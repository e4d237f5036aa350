"""Trains a stack: one `Trainer.fit`, from the start or a training state, until few runs are left."""

from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from types import MappingProxyType

from mlplab.config.metrics import sign_of
from mlplab.training import state as stack_state
from mlplab.training.callbacks.best_weights import BestWeights, epoch_voters
from mlplab.training.callbacks.early_stopping import EarlyStopping, ShrinkStack
from mlplab.training.callbacks.pruning import Pruning
from mlplab.training.callbacks.stack_callback import StackCallback, Tensors
from mlplab.training.callbacks.stage_stopping import StageStopping
from mlplab.training.callbacks.stop_on_signal import StopOnSignal
from mlplab.training.history import Curves, History
from mlplab.training.observer import Observer
from mlplab.training.outcome import Metrics, Outcome, Status, finite
from mlplab.training.run import Run
from mlplab.training.scoring.mean_predictions import Predicted
from mlplab.training.stack.build import build_stack
from mlplab.training.stack.calibrate import Calibration, calibrate
from mlplab.training.stack.score_test_rows import ToScore, score_test_rows
from mlplab.training.state import StackState
from mlplab.training.trainer import build_trainer

Ended = Mapping[int, tuple[Status, str | None]]
"""The status of each run whose training is over, by its place, and why that was before its last epoch."""


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
        stack = build_stack(runs, initialize=state is None)
        self.data, self.module, self.datamodule = stack.data, stack.module, stack.datamodule
        self._started = perf_counter() - (state.seconds if state else 0)
        stops = [member.callbacks.early_stopping for member in stack.configs]
        self.best = BestWeights(
            len(stack.configs),
            epoch_voters([member.split.val for member in self.data], self.module.ensemble),
        )
        self.stopping = EarlyStopping([stop.patience for stop in stops], [stop.min_delta for stop in stops])
        schedules = [
            run.config.scheduler if run.config.callbacks.early_stopping.patience == "auto" else None
            for run in runs
        ]
        self.pruning = Pruning([run.bracket for run in runs], self.best, self.stopping)
        self.shrink, self.history = ShrinkStack(), History(runs, self.best, history)
        self.last_weights: Tensors = {}
        self.final_state: StackState | None = None
        self.module.callbacks = [
            self.best,
            self.history,
            self.stopping,
            StageStopping(schedules, self.best, self.stopping),
            self.pruning,
            self.shrink,
            signals,
            *(_Observed(observer, self) for observer in observers),
        ]
        self.module.at_end = self._on_end
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
            self._on_end()

    def _on_end(self) -> None:
        with self.module.optimizer.averaged():
            self.last_weights = self.stopping.last_weights(self.module)
        self.final_state = self.state()

    def members(self, run: int) -> list[int]:
        """The members of a run."""
        first = run * self.module.ensemble
        return list(range(first, first + self.module.ensemble))

    def members_not_diverged(self, run: int) -> list[int]:
        """The members of a run that have not diverged; all if all have."""
        members, diverged = self.members(run), self.module.diverged
        return [member for member in members if member not in diverged] or members

    def ended_runs(self) -> Ended:
        """The runs whose training is over: all, unless a smaller stack goes on, or a signal was received.

        A run has diverged if all of its members have. One whose time is over is `done`.
        """
        module, pruned, epochs = self.module, self.pruning.reasons, self.module.max_epochs
        some_go_on = self.signals.received or self.shrink.triggered
        ended: dict[int, tuple[Status, str | None]] = {}
        for run in range(len(self.runs)):
            members = self.members(run)
            trained = module.epochs[members] >= epochs
            if some_go_on and not (trained | ~module.active[members]).all():
                continue
            if all(member in module.diverged for member in members):
                ended[run] = "diverged", module.diverged[members[0]]
            elif self.pruning.time_is_over and module.active[members].any():
                epoch = module.epochs[members].max()
                ended[run] = "done", f"the time was over after epoch {epoch} of {epochs}"
            else:
                ended[run] = ("pruned", pruned[members[0]]) if members[0] in pruned else ("done", None)
        return ended

    def without_stopped_runs(self) -> "StackTrainer":
        """The trainer of a smaller stack, which resumes with the runs that have active members."""
        left = self.module.active_runs().nonzero().flatten().tolist()
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

    def _metrics(self, index: int) -> Metrics:
        """The metrics of a run's best epoch, of an ensemble the means of its members; and those at rungs."""
        best, members, metrics = self.best, self.members_not_diverged(index), Metrics()
        if best.epochs[members].all():
            for name, value in best.values.items():
                if name != "train/lr":
                    metrics[name] = value[members].double().mean().item()
            metrics["best_epoch"] = round(best.epochs[members].double().mean().item())
        metrics["epochs"] = int(self.module.epochs[members].max())
        return metrics | self.pruning.metrics(members[0], sign_of(self.module.monitor))

    def outcomes(self, ended: Ended) -> Iterator[tuple[Run, Outcome]]:
        """Calibrates and tests the runs that have ended; their outcomes."""
        done = [index for index, (status, _) in ended.items() if status == "done"]
        tested = [index for index in done if self.runs[index].config.test]
        calibrations = calibrate(self, done) if done else {}
        scored: dict[int, tuple[Metrics, Predicted]] = {}
        if tested:
            self.module.network.to(self.trainer.strategy.root_device)
            to_score = [self._to_score(index, calibrations[index]) for index in tested]
            network, loss = self.module.network, self.module.loss
            found = score_test_rows(network, loss, self.datamodule, to_score)
            scored = dict(zip(tested, found, strict=True))
        for index, (status, reason) in ended.items():
            chosen = calibrations.get(index, Calibration())
            yield self.runs[index], self.outcome(index, status, reason, chosen, scored.get(index))

    def _to_score(self, index: int, chosen: Calibration) -> ToScore:
        members = self.members_not_diverged(index)
        weights = chosen.weights or [1 / len(members)] * len(members)
        return ToScore(self.runs[index], members, weights, chosen.threshold, chosen.residuals)

    def outcome(
        self,
        index: int,
        status: Status,
        reason: str | None = None,
        chosen: Calibration | None = None,
        scored: tuple[Metrics, Predicted] | None = None,
        *,
        error: BaseException | None = None,
    ) -> Outcome:
        """The outcome of a run, or of one that is still `running` its last weights and its state.

        Args:
            chosen, scored: what it got after its training, if that was over.
        """
        chosen = chosen or Calibration()
        members, own = self.members_not_diverged(index), self.members(index)
        metrics = self._metrics(index) | chosen.metrics
        best = self.best.network if "best_epoch" in metrics else {}
        state, last = None, self.last_weights
        if status == "running":
            state = self.state()
            last = state.parts["network"]
        elif status == "diverged" or not self.final_state:
            last = {}
        elif self.final_state.parts["members"]["active"][own].any():
            state = self.final_state
        return Outcome(
            status,
            reason,
            error,
            self.seconds,
            finite(metrics) | (scored[0] if scored else {}),
            chosen.threshold,
            [member % self.module.ensemble for member in members],
            chosen.weights or [1 / len(members)] * len(members),
            [self.module.diverged[member] for member in own if member in self.module.diverged],
            chosen.residuals,
            _of_members(best, members),
            _of_members(last, members),
            state and state.select(own),
            self.history.curves(self.runs[index]),
            scored[1] if scored else None,
        )


class _Observed(StackCallback):
    """Calls an observer."""

    def __init__(self, observer: Observer, stack: StackTrainer) -> None:
        self._observer, self._stack = observer, stack

    @property
    def acts_on_steps(self) -> bool:
        return type(self._observer).on_step is not Observer.on_step

    def on_start(self, *_: object) -> None:
        self._observer.on_start(self._stack)

    def next_stop(self, step: int) -> int:
        return self._observer.next_stop(step)

    def on_step(self, *_: object) -> None:
        self._observer.on_step(self._stack)

    def on_epoch(self, *_: object) -> None:
        self._observer.on_epoch(self._stack)


def _of_members(network: Tensors, members: Sequence[int]) -> Tensors:
    return {name: tensor.detach()[members].cpu() for name, tensor in network.items()}
