"""Trains the runs of a sweep: those of a grid at once, those of a search in batches."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

from mlplab.cli.sweep_runs import derive_runs
from mlplab.config import Launcher
from mlplab.data.cache import DataCache
from mlplab.imports import heavy_imports
from mlplab.sweeps.checks import check_runs
from mlplab.sweeps.run import SweepRun

if TYPE_CHECKING:
    from mlplab.sweeps.engines.sweep_engine import SweepEngine
    from mlplab.sweeps.train_stack import Outcome
    from mlplab.training.pruning import Bracket

NO_BRACKETS: "Mapping[Path, Bracket]" = MappingProxyType({})


class SweepLauncher:
    """Composes, checks, plans and trains the runs of a sweep.

    Args:
        cfg: the composition that the runs have in common.
        section: `hydra.launcher`.

    Attributes:
        root: the sweep's folder.
        cache: the tables of all runs.
    """

    def __init__(self, cfg: DictConfig, loader: ConfigLoader, section: Launcher) -> None:
        self.cfg, self.loader, self.section = cfg, loader, section
        self.root, self.cache = Path(str(cfg.hydra.sweep.dir)), DataCache()
        self._engine: SweepEngine | None = None

    def launch(
        self,
        overrides: Sequence[Sequence[str]],
        first: int = 0,
        brackets: "Mapping[Path, Bracket]" = NO_BRACKETS,
    ) -> "list[tuple[SweepRun, Outcome]]":
        """Trains runs; returns each with its outcome.

        Args:
            overrides: of each run.
            first: the number of the first run.
            brackets: by their folders, the rungs at which runs may be pruned.

        Raises:
            UserError: if none of the runs can be trained.
            Interrupted: after SIGINT or SIGTERM, with the training states saved.
        """
        runs = list(derive_runs(self.cfg, self.loader, overrides, first))
        runs = check_runs(runs, self.root, self.cache)  # before torch is imported, which takes seconds
        with heavy_imports():
            from mlplab.sweeps.engines.sweep_engine import SweepEngine
            from mlplab.sweeps.launch import launch

        self._engine = self._engine or SweepEngine(self.section, self.root)
        outcomes = launch(runs, self.root, self.cache, self._engine, brackets)
        return [(run, outcomes[run.folder]) for run in runs]

    def close(self) -> None:
        """Ends the workers."""
        if self._engine:
            self._engine.close()
