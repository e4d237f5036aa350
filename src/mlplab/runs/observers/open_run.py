"""A run while it trains into its folder: its files and loggers, and what they get at start and end."""

import logging
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from lightning.pytorch.loggers import Logger

from mlplab.errors import RunFailed, UserError, is_disk_error
from mlplab.files import write_json
from mlplab.runs import checkpoint
from mlplab.runs.baselines.fit_baselines import baseline_metrics
from mlplab.runs.folder import RunFolder
from mlplab.runs.loggers.files import build_loggers, close_loggers, truncate_curves
from mlplab.runs.loggers.tensorboard import hyperparameters, log_end, log_start
from mlplab.runs.loggers.trackers import finish, log_configuration, trackers, urls
from mlplab.runs.observers.checkpoints import best_content, content_of
from mlplab.runs.observers.messages import RunLog
from mlplab.runs.observers.publish import publish
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.predictions import write_test_predictions
from mlplab.runs.warm_start import WarmStart, save_inherited_rows
from mlplab.training.outcome import AS_PLANNED, Metrics, Outcome
from mlplab.training.run import Run
from mlplab.training.state import StackState
from mlplab.training.trainer import device_name

log = logging.getLogger(__name__)


@dataclass(eq=False)
class OpenRun(RunLog):
    """A run, and the folder in which it is trained.

    Args:
        alone: whether it is of no sweep. Then it logs to the terminal, too.
        warm_start: what is known of the run that it starts from.

    Attributes:
        overrides: what was typed for the run, and before it was resumed.
        metrics: the content of its metrics.json, once it has ended.
    """

    plan: PlannedRun
    run: Run
    files: RunFolder
    alone: bool
    warm_start: WarmStart
    metrics: Metrics | None = None

    def __post_init__(self) -> None:
        self.overrides = [*self.plan.overrides]

    @cached_property
    def loggers(self) -> Sequence[Logger]:
        """Those of its configuration."""
        return build_loggers(self.run.config, self.plan.folder)

    @property
    def name(self) -> str:
        """That of its folder."""
        return self.plan.folder.name

    def log(self, line: str, level: int = logging.INFO) -> None:
        """As in `RunLog`."""
        if self.alone:
            log.log(level, "%s", line)
        else:
            self.note(line)

    def note(self, line: str) -> None:
        """As in `RunLog`."""
        self.files.log_line(line)

    def create_or_reopen(self, state: StackState | None) -> None:
        """Creates the folder, or prepares that of a run that is resumed, from a state if there is one."""
        config = self.run.config.plain()
        if self.plan.resume:
            self.overrides = list(dict.fromkeys([*self.files.overrides(), *self.overrides]))
            self.files.reopen(config, restart=state is None)
            truncate_curves(self.loggers, state.epoch if state else 0, state.step if state else 0)
        else:
            self.files.create(config)

    def log_configuration(self, state: StackState | None) -> None:
        """Tells trackers of the run, and keeps the rows that it has inherited."""
        if not state:
            save_inherited_rows(self.files, self.run.config, self.warm_start)
        if tracked := trackers(self.loggers):
            log_configuration(tracked, self.plan.folder, hyperparameters(self.run.config))

    def log_start(self) -> None:
        """Writes what is known before training to the folder and the loggers."""
        schema = self.run.data.table.schema.plain()
        self.files.write_environment(device_name(self.run.config.trainer), self.overrides)
        write_json(self.plan.folder / "schema.json", schema, synced=False)  # for people
        log_start(self.loggers, self.run.config, self.overrides)
        for url in urls(self.loggers):
            self.log(url)

    def end(self, outcome: Outcome, metrics: Metrics | None = None) -> None:
        """Writes the checkpoints and metrics.json, and closes the loggers.

        Args:
            metrics: the content of metrics.json, if it is known.
        """
        error = outcome.error
        if error and self.metrics:  # which came after all was written
            return
        if error and not (isinstance(error, UserError | RunFailed) or is_disk_error(error)):
            self.note("".join(traceback.format_exception(error)))
        with suppress(*([OSError] if error else [])):  # which may be the error itself
            self._write(outcome, metrics)
        if error and outcome.reason:
            self.note(f"{outcome.status}: {outcome.reason}")

    def _write(self, outcome: Outcome, metrics: Metrics | None) -> None:
        files, run = self.files, self.run
        # First, since baselines take a while: a run killed before anything is written repeats its last steps.
        metrics = metrics or metrics_of_run(run, outcome)
        best = best_content(run, outcome, self.warm_start.inherited) if outcome.best else {}
        if best:
            checkpoint.save(files.best, best)
        if outcome.last:
            weights = dict(zip(outcome.members, outcome.weights, strict=True))
            epoch, state = outcome.metrics["epochs"], outcome.state
            last = content_of(run, epoch, outcome.metrics, weights, outcome.last, state)
            checkpoint.save(files.last, last)
        if ended := outcome.status in AS_PLANNED:
            for path in (files.best, files.last):
                checkpoint.remove_older(path)
            if outcome.test_predictions is not None:
                write_test_predictions(files.path, run, outcome.test_predictions, outcome.threshold)
            log_end(self.loggers)
        open_longer = trackers(self.loggers)
        close_loggers([logger for logger in self.loggers if logger not in open_longer], success=ended)
        self.metrics = files.write_metrics(metrics)
        if outcome.status == "done" and open_longer:
            publish(best, metrics, files.path, run, open_longer, alone=self.alone)
        finish(open_longer, files.path, outcome.status)


def metrics_of_run(run: Run, outcome: Outcome) -> Metrics:
    """The content of a run's metrics.json; with the scores of the baselines if it was tested."""
    reason = {"reason": outcome.reason} if outcome.reason else {}
    baselines = {} if outcome.test_predictions is None else baseline_metrics(run)
    numbers = outcome.metrics | baselines | {"seconds": outcome.seconds}
    return {"status": outcome.status, **reason, **numbers}
