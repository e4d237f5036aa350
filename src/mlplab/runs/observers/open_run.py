"""A run while it trains: what observers get of it; its folder and loggers, from start to end."""

import logging
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.loggers.logger import DummyLogger

from mlplab.config.metrics import DEFAULT_THRESHOLD
from mlplab.errors import RunFailed, UserError, is_disk_error
from mlplab.figures import warn_if_failing
from mlplab.figures.write_figures import figure_images
from mlplab.files import Plain, write_json
from mlplab.runs import checkpoint
from mlplab.runs.baselines.fit_baselines import baseline_metrics
from mlplab.runs.film.page import write_film
from mlplab.runs.folder import RunFolder
from mlplab.runs.observers.loggers import (
    build_loggers,
    close_loggers,
    hyperparameters,
    log_start,
    truncate_curves,
)
from mlplab.runs.observers.trackers import Tracker, finish, log_configuration, log_result
from mlplab.runs.predictions import write_test_predictions
from mlplab.runs.read_folder import has_test_scores
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.load import save
from mlplab.runs.trained.trained_run import TrainedRun, seen_entry
from mlplab.runs.warm_start import WarmStart
from mlplab.training.callbacks.stack_callback import Tensors
from mlplab.training.fit import Observer, StackTrainer
from mlplab.training.outcome import AS_PLANNED, Metrics, Outcome
from mlplab.training.run import Run
from mlplab.training.stack_state import StackState
from mlplab.training.trainer import device_name

THIS = "this run"
"""What messages call a run without a folder."""

log = logging.getLogger(__name__)


class WatchedRun:
    """What observers get of a run; it keeps in memory what it comes to.

    Attributes:
        name: what lines call it.
        loggers: what its curves are logged to.
        outcome: what it has come to.
        metrics: the content of its metrics.json, once it has ended.
        lines: what its log would hold; none if nobody is to read it.
        page: what the page of its film would show, if it was filmed.
    """

    name = THIS
    loggers: Sequence[Logger] = ()
    outcome: Outcome
    metrics: Metrics | None = None
    page: Plain | None = None

    def __init__(self, start: WarmStart) -> None:
        self.plan, self.warm_start, self.lines = start.plan, start, list[str]()
        is_new = not start.trained_before
        self.run = Run(self.plan.config, start.data, self.plan.bracket, start.initial, is_new)

    def note(self, line: str) -> None:
        """Adds a line to its log."""
        self.lines.append(line)

    def log(self, line: str, level: int = logging.INFO) -> None:
        """Adds a line, and shows it."""
        self.note(line)
        log.log(level, "%s", line)

    def end(self, outcome: Outcome) -> None:
        """Keeps the outcome, with the scores of the baselines; called again, with the error, if an observer
        fails."""
        if not outcome.error:  # which is raised
            self.outcome, self.metrics = outcome, self.final_metrics(outcome)

    def film(self, page: Plain) -> None:
        """Keeps what the page of its film shows."""
        self.page = page

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


class OpenRun(WatchedRun):
    """A run, and the folder in which it is trained.

    Args:
        alone: whether it is of no sweep. Then it logs to the terminal, too.
    """

    def __init__(self, start: WarmStart, files: RunFolder, *, alone: bool) -> None:
        super().__init__(start)
        self.name, self.files, self.alone = files.path.name, files, alone
        self.loggers = build_loggers(self.plan.config, files.path)
        self.trackers = [logger for logger in self.loggers if isinstance(logger, Tracker)]

    def log(self, line: str, level: int = logging.INFO) -> None:
        """Writes a line to train.log, and shows it if the run is of no sweep."""
        if self.alone:
            log.log(level, "%s", line)
        else:
            self.note(line)

    def note(self, line: str) -> None:
        """Writes a line to train.log."""
        self.files.log_line(line)

    def discard(self) -> None:
        """Removes the folder, which it has created, after an error."""
        with suppress(Exception):  # which would hide the error
            close_loggers(self.loggers, success=False)
        finish(self.trackers, self.files.path, "failed")
        self.files.discard()

    def end(self, outcome: Outcome) -> None:
        """Writes the checkpoints and metrics.json, and closes the loggers."""
        error = outcome.error
        if error and self.metrics:  # which came after all was written
            return
        if error and not (isinstance(error, UserError | RunFailed) or is_disk_error(error)):
            self.note("".join(traceback.format_exception(error)))
        with suppress(*([OSError] if error else [])):  # which may be the error itself
            self._write(outcome)
        if error and outcome.reason:
            self.note(f"{outcome.status}: {outcome.reason}")

    def _write(self, outcome: Outcome) -> None:
        files, run = self.files, self.run
        # First, since baselines take a while: a run killed before anything is written repeats its last steps.
        metrics = self.metrics or self.final_metrics(outcome)
        best = self.best(outcome) if outcome.best else None
        if best:
            checkpoint.save(files.best, best.content())
        if outcome.last:
            self.save_last(outcome.metrics, outcome.weights, outcome.last, outcome.state)
        if ended := outcome.status in AS_PLANNED:
            for path in (files.best, files.last):
                checkpoint.previous(path).unlink(missing_ok=True)
            if best and outcome.test_predictions is not None:
                write_test_predictions(files.path, run, outcome.test_predictions, best.threshold)
        close_loggers(self.loggers, success=ended)
        self.metrics = files.write_metrics(metrics)
        if best and outcome.status == "done" and self.trackers:
            self._publish(replace(best, metrics=metrics))
        finish(self.trackers, files.path, outcome.status)

    def save_last(
        self, metrics: Metrics, weights: Mapping[int, float], network: Tensors, state: StackState | None
    ) -> None:
        """Writes the last checkpoint, with the state from which training can go on, if there is one."""
        content = self.trained(metrics["epochs"], metrics, weights, network).content()
        del content["residuals"]  # which belong to the best epoch
        checkpoint.save(self.files.last, content | ({"training": state.plain()} if state else {}))

    def _publish(self, trained: TrainedRun) -> None:
        """Logs scores, figures and the network of a finished run to trackers.

        It is drawn first, if it asks for figures; in a sweep, only if it asks for `figures=all`, since the
        best run is not known yet.
        """
        folder, run, metrics = trained.folder, self.run, trained.metrics
        with warn_if_failing(folder, "result for the trackers"), TemporaryDirectory() as temporary:
            trained.check_finite()
            if has_test_scores(metrics) and run.config.figures in ("all", *(["auto"] if self.alone else [])):
                from mlplab.runs.draw_figures import draw  # Altair takes half a second

                draw(trained, run.data)
            model = Path(temporary, "model.mlplab")
            save(Ensemble([trained]), model)
            log_result(self.trackers, metrics, figure_images(folder), model)

    def film(self, page: Plain) -> None:
        """Writes its film."""
        write_film(self.plan.folder, page)


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


class RunFolders(Endings):
    """Creates or reopens the folders of runs, writes their logs, and what they come to."""

    def __init__(self, runs: Sequence[OpenRun], state: StackState | None = None) -> None:
        super().__init__(runs)
        self.loggers = [logger for run in runs for logger in run.loggers]
        self._runs, self.resumed, self._contexts = runs, state, ExitStack()
        self._are_open, self.folder = False, str(runs[0].plan.folder)

    def on_fit_start(self, stack: StackTrainer | None = None) -> None:
        """Opens the folders of all runs, or of none."""
        state = self.resumed
        with ExitStack() as created:
            for run in self._runs:
                config = run.run.config.plain()
                if run.plan.resume:
                    run.files.reopen(config, restart=state is None)
                    truncate_curves(run.loggers, state.epoch if state else 0, state.step if state else 0)
                else:
                    run.files.create(config)
                    created.callback(run.discard)
            for run in self._runs:
                if run.run.config.init_from and not state:  # for when it is resumed
                    checkpoint.save(run.files.source, seen_entry(run.warm_start.inherited))
                log_configuration(run.trackers, run.plan.folder, hyperparameters(run.run.config))
            created.pop_all()
        self._are_open = True
        for run in self._runs:  # those after one whose logger fails, too
            self._contexts.callback(run.files.lock.release)
        for run in self._runs:
            self._contexts.enter_context(run.files.log())
            run.files.write_environment(device_name(run.run.config.trainer))
            schema = run.run.data.table.schema.plain()
            write_json(run.plan.folder / "schema.json", schema, synced=False)  # for people
            log_start(run.loggers, run.run.config)
            for tracker in run.trackers:
                if isinstance(tracker, WandbLogger) and tracker.experiment.url:  # it is online
                    run.log(tracker.experiment.url)

    def ended(self, run: Run, outcome: Outcome) -> None:
        """Writes what a run came to; nothing if the folders could not be opened."""
        if self._are_open:
            super().ended(run, outcome)

    def close(self) -> None:
        """Ends the logs, and releases the folders."""
        self._contexts.close()
