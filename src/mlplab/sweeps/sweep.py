"""A sweep: a grid of runs, or a search. Imports torch only when runs train."""

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from hydra.core.override_parser.types import Override
from rich.console import Console

from mlplab import config
from mlplab.data.cache import DataCache
from mlplab.errors import RunFailed
from mlplab.files import FolderLock
from mlplab.imports import heavy_imports
from mlplab.runs.compare.run_result import RunResult
from mlplab.sweeps.checks import ComposeRuns, check_runs
from mlplab.sweeps.draw_sweep import draw_sweep
from mlplab.sweeps.engines.engine import Engine, check_engine_installed, open_engine
from mlplab.sweeps.folder import check_sweep_folder
from mlplab.sweeps.grid import Runs, grid, varying
from mlplab.sweeps.launch import launch
from mlplab.sweeps.search.space import is_search
from mlplab.sweeps.summary import results_of, summarize
from mlplab.sweeps.winner import training_commands, winner, with_introduction
from mlplab.training.callbacks.rungs import Bracket

FOLD = "data.split.fold"
"""If nothing else varies, that is a cross-validation of the network that a run alone trains."""


@dataclass(frozen=True)
class ComposedSweep:
    """What a command line, or a call in Python, says of a sweep.

    Attributes:
        choices: the option of each group.
        compose: the runs with these overrides, by the names of their folders.
    """

    root: Path
    overrides: Sequence[Override]
    choices: Mapping[str, object]
    settings: config.Sweep
    launcher: config.Launcher
    compose: ComposeRuns


def sweep(composed: ComposedSweep, cache: DataCache, console: Console, progress: Console) -> None:
    """Trains the runs of a sweep, and prints what came of them to `console`, with bars on `progress`.

    Raises:
        UserError: if a value, the table or the folder cannot be used.
        RunFailed: if some runs failed.
    """
    root, settings = composed.root, composed.settings
    searches = is_search(composed.overrides, settings)
    check_engine_installed(composed.launcher.engine)
    check_sweep_folder(root, searches=searches)
    created = [folder for folder in (root, *root.parents) if not folder.exists()]
    root.mkdir(parents=True, exist_ok=True)
    try:
        launcher = SweepLauncher(composed, cache, console, progress)
        with FolderLock(root).held(), closing(launcher):
            if searches:
                from mlplab.sweeps.search.search import search

                search(launcher)
            else:
                _train_grid(launcher, grid(composed.overrides), settings.ensemble)
    finally:
        for folder in created:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


@dataclass
class SweepLauncher:
    """Composes, checks and trains runs of a sweep: those of a grid at once, those of a search in batches.

    Attributes:
        engine: it is opened for the first runs that have been checked.
    """

    composed: ComposedSweep
    cache: DataCache
    console: Console
    progress: Console
    engine: Engine = field(init=False)

    def launch(
        self, overrides: Runs, brackets: Mapping[str, Bracket], *, alone: bool = False
    ) -> list[RunResult]:
        """Trains runs, given by the names of their folders; returns the results of all, in order.

        Args:
            alone: whether `auto` stands for what it does in a run alone.

        Raises:
            UserError: if none of the runs can be trained.
            Interrupted: after SIGINT or SIGTERM, with the training states saved.
        """
        composed = self.composed.compose(overrides)
        runs, refused = check_runs(composed, self.cache, alone=alone)  # before torch is imported
        runs = [replace(run, bracket=brackets.get(run.folder.name)) for run in runs]
        results = launch(runs, refused, self.opened(runs[0].config), self.progress)
        return [results[run.folder] for run in composed]

    def opened(self, run: config.ResolvedConfig) -> Engine:
        """The engine; opened for runs such as this one, unless it is."""
        if not hasattr(self, "engine"):
            launcher, root = self.composed.launcher, self.composed.root
            self.engine = open_engine(launcher, root, self.cache, run.trainer.accelerator)
        return self.engine

    def close(self) -> None:
        """Ends the workers."""
        if hasattr(self, "engine"):
            self.engine.close()


def _train_grid(launcher: SweepLauncher, runs: Runs, ensemble: int | None) -> None:
    """Trains all runs of a grid, draws and prints the best, and chooses an ensemble of that size."""
    root = launcher.composed.root
    alone = varying(launcher.composed.overrides) == {FOLD}
    results = results_of(root, launcher.launch(runs, {}, alone=alone))
    try:
        draw_sweep(results, launcher.engine)
    finally:  # a full disk or Ctrl-C takes only the figures
        commands = [] if alone else _winner_commands(launcher, winner(results, runs))
        failures = summarize(root, results, launcher.console, commands)
    if ensemble and any(run.done for run in results):
        with heavy_imports():
            from mlplab.commands.select_ensemble import print_choice, select_ensemble

        print_choice(select_ensemble(root, ensemble, launcher.cache), launcher.console)
    if failures:
        raise RunFailed(failures)


def _winner_commands(launcher: SweepLauncher, overrides: Sequence[Override]) -> list[str]:
    """Lines that say which networks were scored if a run alone would be another; none for a frame."""
    if not overrides or launcher.cache.frame is not None:
        return []
    commands = training_commands(launcher.composed.compose, overrides, launcher.cache)
    return with_introduction(commands) if len(commands) > 1 else []
