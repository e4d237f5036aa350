"""Trains runs in memory: nothing is written to the disk, unless a run is asked to."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from math import isfinite
from pathlib import Path

import polars as pl
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from rich.console import Console

from mlplab.config import TrainConfig
from mlplab.config.allowed_classes import import_class
from mlplab.data.cache import DataCache
from mlplab.errors import RunFailed, refusal
from mlplab.figures import Curve, warn_if_failing
from mlplab.files import Plain
from mlplab.runs.folder import RunFolder
from mlplab.runs.observers.loggers import log_point
from mlplab.runs.observers.open_run import THIS, Endings, OpenRun, RunFolders, WatchedRun
from mlplab.runs.planned_run import PlannedRun, resolved
from mlplab.runs.predictions import test_rows
from mlplab.runs.read_folder import has_test_scores
from mlplab.runs.run_archive import check_finished
from mlplab.runs.train_runs import train_watched
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.run_files import CURVES, thinned
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.runs.warm_start import WarmStart, warm_starts
from mlplab.training.outcome import Metrics


class RunInMemory(WatchedRun):
    """A run that is trained in memory.

    Attributes:
        config: the whole configuration, nested.
        schema: the columns.
    """

    metrics: Metrics

    def __init__(self, start: WarmStart) -> None:
        super().__init__(start)
        self.config, self.schema = self.plan.config.plain(), start.data.table.schema

    @cached_property
    def model(self) -> Ensemble:
        """The networks that predict."""
        best = replace(self.best(self.outcome), metrics=self.metrics, folder=Path(THIS))
        best.check_finite()
        return Ensemble([best])

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
        predicted = self.outcome.test_predictions
        return None if predicted is None else test_rows(self.run, predicted, self.model.threshold)

    @cached_property
    def specifications(self) -> dict[str, Plain]:
        """Its figures by name, in Vega-Lite; none without test scores."""
        from mlplab.runs.draw_figures import run_charts  # Altair takes half a second

        found = dict[str, Plain]()
        if self.run.config.figures != "none" and has_test_scores(self.metrics):
            with warn_if_failing(Path(THIS)):
                charts = run_charts(self.model.runs[0], self.run.data, thinned(self.curves))
                found = {name: chart.to_dict(validate=False) for name, chart in charts.items()}
        return found

    def write(self, folder: Path) -> None:
        """Writes what training into this folder would have written, but for curves by step.

        Raises:
            UserError: if the folder is not empty.
        """
        start = replace(self.warm_start, plan=replace(self.plan, folder=folder))
        opened = OpenRun(start, RunFolder(folder), alone=False)
        opened.metrics, folders = self.metrics, RunFolders([opened])
        with closing(folders):
            try:
                folders.on_fit_start()
                for line in self.lines:
                    opened.note(line)
                for epoch, point in enumerate(pl.DataFrame(self.outcome.history).iter_rows(named=True), 1):
                    log_point(point, opened.loggers, epoch)
                opened.end(self.outcome)
            except BaseException:
                if opened.files.lock.is_held:  # or it is not this run's folder, or is gone
                    opened.discard()
                raise
        if self.page:
            with warn_if_failing(folder, "film"):
                opened.film(self.page)
        if self.run.config.figures != "none" and has_test_scores(self.metrics):
            from mlplab.runs.draw_figures import draw

            with warn_if_failing(folder):
                draw(TrainedRun.read(folder), self.run.data)


def train_in_memory(
    plans: Sequence[PlannedRun], cache: DataCache, console: Console | None = None
) -> list[RunInMemory]:
    """Trains runs that share the columns of a table and a network shape, as `train_runs` does.

    Args:
        console: where a progress bar is shown; if it is no terminal, lines are printed instead. None: nothing
            is shown or logged.

    Raises:
        UserError: if the runs cannot be built, or ask for a logger that writes files of its own.
        Interrupted: after SIGINT or SIGTERM.
    """
    for plan in plans:
        for name, section in plan.config.logger.items():
            kind = import_class(section.class_path, Logger)  # type: ignore[type-abstract]
            if not issubclass(kind, TensorBoardLogger | CSVLogger):  # which write files, and nothing else
                raise refusal("needs a folder", f"logger={name}", "give it: folder=…")
    runs = [*map(RunInMemory, warm_starts(plans, cache))]
    train_watched(Endings(runs), console)
    return runs


def train_alone(run: TrainConfig, cache: DataCache, console: Console | None = None) -> RunInMemory:
    """Trains a run that is of no sweep in memory.

    Raises:
        UserError: if the run cannot be built, or what it starts from has not finished.
        RunFailed: if the loss becomes non-finite.
    """
    if run.init_from:
        check_finished(Path(run.init_from), "init_from")
    [trained] = train_in_memory([PlannedRun(resolved(run, cache, alone=True), Path(THIS))], cache, console)
    if trained.outcome.status != "done":
        raise RunFailed(str(trained.outcome.reason))
    return trained
