"""A run while it trains, in a folder or in memory: its log, its curves, and what becomes of it."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers.logger import DummyLogger
from torch import Tensor

from mlplab.config.metrics import DEFAULT_THRESHOLD
from mlplab.data.cache import RunData
from mlplab.files import Plain
from mlplab.runs.baselines.fit_baselines import baseline_metrics
from mlplab.runs.observers.loggers import STEP_LOSS, log_point
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.runs.warm_start import WarmStart
from mlplab.training.callbacks.stack_callback import Tensors
from mlplab.training.fit import Observer, StackTrainer
from mlplab.training.outcome import Metrics, Outcome
from mlplab.training.run import Run
from mlplab.training.state import StackState


class WatchedRun(ABC):
    """What observers get of a run.

    Args:
        data: its table and split.
        warm_start: what it gets from the run that it starts from.

    Attributes:
        name: what lines call it.
        loggers: what its curves are logged to.
        metrics: the content of its metrics.json, once it has ended.
    """

    name: str
    loggers: Sequence[Logger] = ()
    metrics: Metrics | None = None

    def __init__(self, plan: PlannedRun, data: RunData, warm_start: WarmStart) -> None:
        self.plan, self.warm_start = plan, warm_start
        is_new = not warm_start.trained_before
        self.run = Run(plan.config, data, plan.bracket, warm_start.initial, is_new)

    @abstractmethod
    def note(self, line: str) -> None:
        """Adds a line to its log."""

    @abstractmethod
    def log(self, line: str, level: int = logging.INFO) -> None:
        """Adds a line, and shows it unless the run is of a sweep."""

    @abstractmethod
    def end(self, outcome: Outcome) -> None:
        """Writes or keeps what it has come to; again, with the error, if an observer fails."""

    @abstractmethod
    def film(self, page: Plain) -> None:
        """Writes or keeps what the page of its film shows."""

    def trained(
        self, epoch: int, metrics: Metrics, weights: Mapping[int, float], state: Tensors
    ) -> TrainedRun:
        """Its networks after some epochs, as its checkpoints hold them."""
        return TrainedRun(
            config=self.run.config,
            schema=self.run.data.table.schema,
            table=self.run.data.fingerprint,
            epoch=epoch,
            metrics=metrics,
            threshold=metrics.get("threshold", DEFAULT_THRESHOLD),
            weights=weights,
            state=state,
            folder=self.plan.folder,
        )

    def best(self, outcome: Outcome) -> TrainedRun:
        """Its best networks, with all that predictions need, and which rows were seen."""
        metrics, inherited = outcome.metrics, self.warm_start.inherited
        seen = None if inherited is None else [self.run.data.seen, *inherited]
        trained = self.trained(metrics["best_epoch"], metrics, outcome.weights, outcome.best)
        return replace(trained, residuals=outcome.residuals, seen=seen)

    def final_metrics(self, outcome: Outcome) -> Metrics:
        """The content of its metrics.json; with the scores of the baselines if it was tested."""
        reason = {"reason": outcome.reason} if outcome.reason else {}
        baselines = {} if outcome.test_predictions is None else baseline_metrics(self.run)
        numbers = outcome.metrics | baselines | {"seconds": outcome.seconds}
        return {"status": outcome.status, **reason, **numbers}


class Endings(Observer):
    """Tells runs what they have come to.

    Attributes:
        resumed: the state from which the runs go on.
    """

    resumed: StackState | None = None
    loggers: Sequence[Logger] = (DummyLogger(),)  # for callbacks of the user that need one

    def __init__(self, runs: Sequence[WatchedRun]) -> None:
        self.runs, self.by_run = runs, {run.run: run for run in runs}

    def ended(self, run: Run, outcome: Outcome) -> None:
        """Tells a run."""
        self.by_run[run].end(outcome)

    def close(self) -> None:
        """Called after training."""


class Curves(Observer):
    """Logs the values of each run after each epoch, counted from 1, with the best monitored one so far.

    Args:
        every: the training loss is logged at every nth step, too, as `STEP_LOSS`; 0: at none.
    """

    def __init__(self, runs: Sequence[WatchedRun], every: int) -> None:
        self._loggers, self._every = {run.run: run.loggers for run in runs}, every

    def on_epoch(self, stack: StackTrainer) -> None:
        """Logs one point of every curve."""
        history = stack.history
        points = [dict(zip(history.names, values, strict=True)) for values in history.values.T.tolist()]
        self._log(stack, history.active, points, stack.module.progress.epoch)

    def on_step(self, stack: StackTrainer) -> None:
        """Logs the losses if it is an nth step."""
        members, step = stack.module.members, stack.trainer.global_step
        if self._every and step % self._every == 0:
            points = [{STEP_LOSS: loss} for loss in members.by_run(stack.module.last_losses()).tolist()]
            self._log(stack, members.active_runs(), points, step)

    def _log(self, stack: StackTrainer, active: Tensor, points: list[dict[str, float]], at: int) -> None:
        for run, is_active, point in zip(stack.runs, active.tolist(), points, strict=True):
            if is_active:
                log_point(point, self._loggers[run], at)
