"""Trains runs in memory: nothing is written to the disk, unless a run is asked to."""

import logging
import shutil
from collections.abc import Callable, Sequence
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
from mlplab.runs.check_buildable import check_buildable
from mlplab.runs.discovery import has_test_scores
from mlplab.runs.film.frames import Film
from mlplab.runs.film.packing import Plain
from mlplab.runs.film.page import write_film
from mlplab.runs.folder import RunFolder
from mlplab.runs.loggers.points import log_point
from mlplab.runs.loggers.read_curves import thinned
from mlplab.runs.observers.checkpoints import best_content
from mlplab.runs.observers.messages import Messages, RunLog, warn_of_rows
from mlplab.runs.observers.open_run import OpenRun, metrics_of_run
from mlplab.runs.observers.progress import TrainingProgress
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.predictions import predicted_rows
from mlplab.runs.resolve import resolved
from mlplab.runs.run_file import check_finished
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.run_files import CURVES
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.runs.warm_start import WarmStart, warm_start
from mlplab.training.fit import fit
from mlplab.training.observer import Observer
from mlplab.training.outcome import Metrics, Outcome
from mlplab.training.run import Run

log = logging.getLogger(__name__)

WRITING_FILES = (TensorBoardLogger, CSVLogger)
"""Loggers that do nothing else; nothing is lost without them."""

THIS = "this run"
"""What messages call a run without a folder."""

GIVE_FOLDER = 'give the folder of the run: folder="outputs/NAME"'


class _LogInMemory(RunLog):
    """The log of a run, and of one that is to be written: what would be in its train.log."""

    name = THIS

    def __init__(self) -> None:
        self.lines = list[str]()

    def log(self, line: str, level: int = logging.INFO) -> None:
        """As in `RunLog`."""
        self.note(line)
        log.log(level, "%s", line)

    def note(self, line: str) -> None:
        """As in `RunLog`."""
        self.lines.append(line)


@dataclass(frozen=True, eq=False)
class RunInMemory:
    """A run that was trained in memory.

    Args:
        metrics: what its metrics.json would hold.
        overrides: what was typed, for TensorBoard, if it is written.
        lines: what its log would hold; none if nobody is to read it.
        film: what its page would show, if it was filmed.
    """

    run: Run
    warm_start: WarmStart
    outcome: Outcome
    metrics: Metrics
    overrides: Sequence[str]
    lines: Sequence[str]
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
        plan = PlannedRun(run.config, folder, overrides=self.overrides)
        opened = OpenRun(plan, run, files, alone=False, warm_start=self.warm_start)
        opened.create_or_reopen(None)
        try:
            opened.log_configuration(None)
            opened.log_start()
            with files.log():
                for line in self.lines:
                    opened.note(line)
            points = zip(*(values.tolist() for values in history.values()), strict=True)
            for epoch, values in enumerate(points, 1):
                log_point(dict(zip(history, values, strict=True)), opened.loggers, epoch)
            opened.end(self.outcome, self.metrics)
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
    """Keeps what runs come to, by `outcomes` and `films`."""

    loggers = (DummyLogger(),)  # for callbacks of the user that need one

    def __init__(self) -> None:
        self.outcomes: dict[Run, tuple[Outcome, Metrics]] = {}
        self.films: dict[Run, Plain] = {}

    def keep_film(self, run: Run, film: Callable[[], Plain]) -> None:
        """Keeps what the page of a run shows."""
        with warn_if_failing(Path(THIS), "film"):
            self.films[run] = film()

    def ended(self, run: Run, outcome: Outcome) -> None:
        """Keeps the outcome, with the scores of the baselines."""
        if not outcome.error:  # which is raised
            self.outcomes[run] = outcome, metrics_of_run(run, outcome)


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
    kept, progress = _Kept(), TrainingProgress(console, "")
    observers: list[Observer] = [progress, kept]
    logs = {run: _LogInMemory() for run in warm_starts}
    if not is_quiet:
        warnings = warn_of_rows(warm_starts, resumed=False)
        level = logging.DEBUG if console.is_terminal else logging.INFO
        observers.append(Messages(logs, warnings, epoch_level=level))
    if configs[0].callbacks.film:
        check_buildable(configs[0], cache.data(configs[0]))
        observers.insert(1, Film(configs[0], kept.keep_film))
    with closing(progress):
        fit([*warm_starts], observers)
    return [
        RunInMemory(run, start, *kept.outcomes[run], overrides, logs[run].lines, kept.films.get(run))
        for run, start in warm_starts.items()
    ]


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
