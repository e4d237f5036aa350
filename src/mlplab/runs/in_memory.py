"""Trains runs in memory: nothing is written to the disk, unless a run is asked to."""

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

import polars as pl
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.loggers.logger import DummyLogger
from rich.console import Console

from mlplab.config import ResolvedConfig, TrainConfig
from mlplab.config.allowed_classes import import_class
from mlplab.data.cache import DataCache
from mlplab.data.schema import Schema
from mlplab.errors import Fault, RunFailed, UserError
from mlplab.figures import Curve
from mlplab.figures.failing import warn_if_failing
from mlplab.runs.baselines.fit_baselines import baseline_metrics
from mlplab.runs.check_buildable import check_buildable
from mlplab.runs.discovery import has_test_scores
from mlplab.runs.film.frames import Film
from mlplab.runs.film.packing import Plain
from mlplab.runs.film.page import write_film
from mlplab.runs.folder import RunFolder
from mlplab.runs.loggers.read_curves import thinned
from mlplab.runs.observers.checkpoints import best_content
from mlplab.runs.observers.curves import log_point
from mlplab.runs.observers.messages import end_lines, header_lines, row_warnings
from mlplab.runs.observers.open_run import OpenRun
from mlplab.runs.observers.progress import EpochLines, TrainingProgress
from mlplab.runs.observers.run_folders import show_warnings
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.predictions import predicted_rows
from mlplab.runs.resolve import resolved
from mlplab.runs.run_file import check_finished
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.run_files import CURVES
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.runs.warm_start import WarmStart, warm_start
from mlplab.training.fit import StackTrainer, fit
from mlplab.training.observer import Observer
from mlplab.training.outcome import Metrics, Outcome
from mlplab.training.run import Run
from mlplab.training.trainer import device_name

log = logging.getLogger(__name__)

WRITING_FILES = (TensorBoardLogger, CSVLogger)
"""Loggers that do nothing else; nothing is lost without them."""

THIS = "this run"
"""What messages call a run without a folder."""

GIVE_FOLDER = 'give the folder of the run: folder="outputs/NAME"'

Start = tuple[str, Sequence[str], Sequence[str], Sequence[str]]
"""The device, what was typed, and the lines and the warnings of a log before training."""


@dataclass(frozen=True, eq=False)
class RunInMemory:
    """A run that was trained in memory.

    Args:
        metrics: what its metrics.json would hold.
        baselines: the scores of the baselines among these.
        start: what its log would have before training.
        film: what its page would show, if it was filmed.
    """

    run: Run
    warm_start: WarmStart
    outcome: Outcome
    metrics: Metrics
    baselines: Metrics
    start: Start
    film: Plain | None

    @property
    def config(self) -> dict[str, Any]:
        """The whole configuration, nested."""
        return self.run.config.plain()

    @property
    def schema(self) -> Schema:
        """The columns."""
        return self.run.data.table.schema

    @cached_property
    def trained(self) -> TrainedRun:
        """Its best networks."""
        content = best_content(self.run, self.outcome, self.warm_start.inherited)
        return TrainedRun(content, self.metrics, Path(THIS))

    @cached_property
    def model(self) -> Ensemble:
        """The networks that predict."""
        return Ensemble([self.trained])

    @property
    def curves(self) -> dict[str, Curve]:
        """The finite points of its curves by epoch."""
        history = self.outcome.history
        return {
            name: [(epoch, value) for epoch, value in enumerate(history[name].tolist(), 1) if isfinite(value)]
            for name in CURVES
            if name in history
        }

    @property
    def test_predictions(self) -> pl.DataFrame | None:
        """The test rows with their targets and predictions; None if they were not scored."""
        outcome, data, config = self.outcome, self.run.data, self.run.config
        if outcome.test_predictions is None:
            return None
        predicted, threshold = outcome.test_predictions, outcome.threshold
        return predicted_rows(data.table, data.split.test, predicted, threshold, config.quantiles)

    @cached_property
    def specifications(self) -> dict[str, dict[str, Any]]:
        """Its figures by name, in Vega-Lite; none without test scores."""
        from mlplab.runs.draw_figures import curves_drawn, run_charts  # Altair takes half a second

        if self.run.config.figures == "none" or not has_test_scores(self.metrics):
            return {}
        names, charts = curves_drawn(self.run.config), dict[str, Any]()
        curves = thinned({name: curve for name, curve in self.curves.items() if name in names})
        with warn_if_failing(Path(THIS)):
            charts = run_charts(self.trained, self.run.data, curves)
        return {name: chart.to_dict(validate=False) for name, chart in charts.items()}

    def write(self, folder: Path) -> None:
        """Writes what training into this folder would have written, but for curves by step.

        Raises:
            UserError: if the folder is not empty.
        """
        run, files, history = self.run, RunFolder(folder), self.outcome.history
        opened = OpenRun(PlannedRun(run.config, folder), run, files, alone=False, warm_start=self.warm_start)
        opened.create_or_reopen(None)
        try:
            opened.log_configuration(None)
            with files.log():
                opened.log_start(*self.start)
                points = zip(*(values.tolist() for values in history.values()), strict=True)
                for epoch, values in enumerate(points, 1):
                    log_point(dict(zip(history, values, strict=True)), opened.loggers, epoch)
                opened.end(self.outcome, self.baselines)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            files.lock.release()
        if self.film:
            write_film(folder, [self.film | {"name": folder.name}])
        if run.config.figures != "none" and has_test_scores(self.metrics):
            from mlplab.runs.draw_figures import draw

            with warn_if_failing(folder):
                draw(TrainedRun.read(folder), run.data)


class _Kept(Observer):
    """Keeps what runs come to.

    Args:
        overrides: what was typed, for TensorBoard.
        is_quiet: whether nothing is said of the runs, which are not to be written.
    """

    loggers = (DummyLogger(),)  # for callbacks of the user that need one

    def __init__(
        self, warm_starts: Mapping[Run, WarmStart], overrides: Sequence[str], *, is_quiet: bool
    ) -> None:
        self._warm_starts, self._overrides, self._is_quiet = warm_starts, overrides, is_quiet
        self._starts: dict[Run, Start] = {}
        self.films: dict[Run, Plain] = {}
        self.runs: dict[Run, RunInMemory] = {}

    def on_fit_start(self, stack: StackTrainer) -> None:
        """Logs what is known before training."""
        device = device_name(stack.trainer)
        for run in stack.runs:
            lines, warnings = list[str](), list[str]()
            if not self._is_quiet:
                warnings = row_warnings(run, self._warm_starts[run], resumed=False)
                lines = header_lines(run, stack, device, None)
                show_warnings(run.data.table.warned, warnings)
            for line in lines:
                log.info("%s", line)
            self._starts[run] = device, self._overrides, lines, warnings

    def keep_film(self, run: Run, film: Callable[[], Plain]) -> None:
        """Keeps what the page of a run shows."""
        with warn_if_failing(Path(THIS), "film"):
            self.films[run] = film()

    def ended(self, run: Run, outcome: Outcome) -> None:
        """Keeps the outcome, with the scores of the baselines."""
        if outcome.error:  # which is raised
            return
        baselines = {} if outcome.test_predictions is None else baseline_metrics(run)
        reason = {"reason": outcome.reason} if outcome.reason else {}
        metrics: Metrics = {"status": outcome.status, **reason, **outcome.metrics, **baselines}
        metrics["seconds"] = outcome.seconds
        start, film = self._warm_starts[run], self.films.get(run)
        self.runs[run] = RunInMemory(run, start, outcome, metrics, baselines, self._starts[run], film)
        if outcome.status == "done" and not self._is_quiet:
            for line in end_lines(THIS, run, outcome, metrics):
                log.info("%s", line)


def train_in_memory(
    configs: Sequence[ResolvedConfig],
    cache: DataCache,
    console: Console,
    overrides: Sequence[str] = (),
    *,
    is_quiet: bool = False,
) -> list[RunInMemory]:
    """Trains runs that share the columns of a table and a network shape, as `runs.train.train_runs` does.

    Args:
        console: where a progress bar is shown; if it is no terminal, lines are printed instead.
        overrides: what was typed, for TensorBoard, if a run is written.
        is_quiet: whether nothing is logged.

    Raises:
        UserError: if the runs cannot be built, or ask for a logger that writes files of its own.
        Interrupted: after SIGINT or SIGTERM.
    """
    sources, warm_starts = dict[str, TrainedRun](), dict[Run, WarmStart]()
    for config in configs:
        for name, section in config.logger.items():
            kind = import_class(section.class_path, Logger)  # type: ignore[type-abstract]
            if not issubclass(kind, WRITING_FILES):
                raise UserError(Fault("needs a folder", f"logger={name}", remedy=GIVE_FOLDER))
        data = cache.data(config)
        start = warm_start(config, data, sources)
        warm_starts[Run(config, data, None, start.initial, not start.trained_before)] = start
    kept, progress = _Kept(warm_starts, overrides, is_quiet=is_quiet), TrainingProgress(console, "")
    line = log.debug if console.is_terminal or is_quiet else log.info
    observers: list[Observer] = [progress, kept, EpochLines(dict.fromkeys(warm_starts, line))]
    if configs[0].callbacks.film:
        check_buildable(configs[0], cache.data(configs[0]))
        observers.insert(1, Film(configs[0], kept.keep_film))
    with closing(progress):
        fit([*warm_starts], observers)
    return [kept.runs[run] for run in warm_starts]


def train_alone(
    run: TrainConfig,
    cache: DataCache,
    console: Console,
    overrides: Sequence[str] = (),
    *,
    is_quiet: bool = False,
) -> RunInMemory:
    """Trains a run that is of no sweep in memory.

    Raises:
        UserError: if the run cannot be built, or what it starts from has not finished.
        RunFailed: if the loss becomes non-finite.
    """
    if run.init_from:
        check_finished(Path(run.init_from), "init_from")
    config = resolved(run, cache, alone=True)
    [trained] = train_in_memory([config], cache, console, overrides, is_quiet=is_quiet)
    if trained.outcome.status != "done":
        raise RunFailed(str(trained.outcome.reason))
    return trained
