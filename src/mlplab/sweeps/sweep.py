"""A sweep: a grid of runs, or a search. Imports torch only when runs train."""

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from hydra.core.override_parser.types import Override
from rich.console import Console

from mlplab import config
from mlplab.commands.report.comparison import Comparison
from mlplab.data.cache import DataCache
from mlplab.errors import RunFailed
from mlplab.files import FolderLock
from mlplab.imports import heavy_imports
from mlplab.runs.compare.run_result import RunResult
from mlplab.sweeps.checks import ComposeRuns, check_runs, check_sweep_folder
from mlplab.sweeps.engines.engine import Engine, open_engine
from mlplab.sweeps.grid import Runs, grid, varying
from mlplab.sweeps.launch import launch
from mlplab.sweeps.search.space import is_search
from mlplab.sweeps.summary import (
    draw_sweep,
    results_of,
    summarize,
    training_commands,
    winner,
    with_introduction,
)
from mlplab.training.callbacks.rungs import Bracket


@dataclass(frozen=True)
class ComposedSweep:
    """What a command line, or a call in Python, says of a sweep.

    Attributes:
        choices: the option of each group.
        accelerator: of the runs that do not vary it.
        compose: the runs with these overrides, by the names of their folders.
    """

    root: Path
    overrides: Sequence[Override]
    choices: Mapping[str, object]
    settings: config.Sweep
    launcher: config.Launcher
    accelerator: str
    compose: ComposeRuns


def sweep(composed: ComposedSweep, cache: DataCache, console: Console, progress: Console) -> None:
    """Trains the runs of a sweep, and prints what came of them to `console`, with bars on `progress`.

    Raises:
        UserError: if a value, the table or the folder cannot be used.
        RunFailed: if some runs failed.
    """
    root = composed.root
    searches = is_search(composed.overrides, composed.settings)
    check_sweep_folder(root, searches=searches)
    created = [folder for folder in (root, *root.parents) if not folder.exists()]
    root.mkdir(parents=True, exist_ok=True)
    try:
        with FolderLock(root), closing(SweepLauncher(composed, cache, console, progress)) as launcher:
            if searches:
                from mlplab.sweeps.search.search import search

                search(launcher)
            else:
                # If only the fold varies, that is a cross-validation of the network that a run alone trains.
                alone = varying(composed.overrides) == {"data.split.fold"}
                runs = grid(composed.overrides)
                comparisons = results_of(root, launcher.launch(runs, {}, alone=alone))
                best = () if alone or cache.frame is not None else winner(comparisons, runs)
                commands = training_commands(composed.compose, best, cache) if best else []
                if failures := launcher.finish(comparisons, with_introduction(commands)):
                    raise RunFailed(failures)
    finally:
        for folder in created:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


@dataclass
class SweepLauncher:
    """Composes, checks and trains runs of a sweep: those of a grid at once, those of a search in batches."""

    composed: ComposedSweep
    cache: DataCache
    console: Console
    progress: Console

    @cached_property
    def engine(self) -> Engine:
        """Where stacks train. It is opened when it is needed first: when runs have been checked."""
        composed = self.composed
        return open_engine(composed.launcher, composed.root, self.cache, composed.accelerator)

    def close(self) -> None:
        """Ends the workers."""
        if "engine" in vars(self):
            self.engine.close()

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
        results = launch(runs, refused, self.engine, self.progress)
        return [results[run.folder] for run in composed]

    def finish(self, comparisons: Sequence[Comparison], commands: Sequence[str]) -> str:
        """Draws and prints the best runs, and chooses an ensemble if there is to be one.

        Args:
            comparisons: those of the sweep's runs.
            commands: lines about how to train the best configuration.

        Returns what `summarize` returns.
        """
        root, ensemble = self.composed.root, self.composed.settings.ensemble
        try:
            draw_sweep(comparisons, self.engine)
        finally:  # a full disk or Ctrl-C takes only the figures
            failures = summarize(comparisons, self.console, commands)
        if ensemble and any(comparison.best for comparison in comparisons):
            with heavy_imports():
                import torch

                from mlplab.commands.select_ensemble import print_choice, select_ensemble

            torch.set_num_threads(1)
            print_choice(select_ensemble(root, ensemble, self.cache), self.console)
        return failures
