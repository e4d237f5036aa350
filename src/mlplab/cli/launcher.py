"""Trains the runs of a sweep: those of a grid at once, those of a search in batches."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

from mlplab.cli.compose import plain_section
from mlplab.cli.sweep_runs import derive_runs
from mlplab.config import parse_launcher
from mlplab.config.dotted_keys import flat
from mlplab.data.cache import DataCache
from mlplab.imports import heavy_imports
from mlplab.runs.selection import RunResult
from mlplab.sweeps.checks import check_installed, check_runs
from mlplab.training.rungs import Bracket

if TYPE_CHECKING:
    from mlplab.sweeps.engines.engine import Engine

NO_BRACKETS: Mapping[Path, Bracket] = MappingProxyType({})


class SweepLauncher:
    """Composes, checks, plans and trains the runs of a sweep.

    Args:
        cfg: the composition that the runs have in common.

    Attributes:
        root: the sweep's folder.
        cache: the tables of all runs.

    Raises:
        UserError: if the section `hydra.launcher` is wrong.
    """

    def __init__(self, cfg: DictConfig, loader: ConfigLoader) -> None:
        self.cfg, self.loader = cfg, loader
        of_hydra = ("_target_", "_recursive_")
        section = plain_section(cfg.hydra, "launcher")
        self.section = parse_launcher({key: section[key] for key in section if key not in of_hydra})
        check_installed(self.section.engine)
        self.root, self.cache = Path(str(cfg.hydra.sweep.dir)), DataCache()
        self._engine: Engine | None = None

    def launch(
        self,
        overrides: Sequence[Sequence[str]],
        first: int = 0,
        brackets: Mapping[Path, Bracket] = NO_BRACKETS,
    ) -> list[RunResult]:
        """Trains runs; returns the results of all, in the order of their overrides.

        Args:
            overrides: of each run.
            first: the number of the first run.
            brackets: by their folders, the rungs at which runs may be pruned.

        Raises:
            UserError: if none of the runs can be trained.
            Interrupted: after SIGINT or SIGTERM, with the training states saved.
        """
        derived = list(derive_runs(self.cfg, self.loader, overrides, first))
        runs, refused = check_runs(derived, self.root, self.cache)  # before torch is imported
        with heavy_imports():
            from mlplab.sweeps.engines.engine import open_engine
            from mlplab.sweeps.launch import launch

        accelerator = runs[0].config.trainer.accelerator
        self._engine = self._engine or open_engine(self.section, self.root, accelerator)
        runs = [replace(run, bracket=brackets.get(run.folder)) for run in runs]
        metrics = launch(runs, refused, self.root, self.cache, self._engine)
        values = {run.folder: run.config.plain() for run in runs}
        values |= {run.folder: dict(run.values) for run in refused}
        return [RunResult(run.folder, dict(flat(values[run.folder])), metrics[run.folder]) for run in derived]

    def close(self) -> None:
        """Ends the workers."""
        if self._engine:
            self._engine.close()
