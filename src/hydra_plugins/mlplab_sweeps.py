"""What Hydra finds of this project: its sweeper and its launcher. Neither imports torch before it trains."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from mlplab.cli.terminal import heavy_imports
from mlplab.errors import Fault, UserError


class Grid(Sweeper):
    """A run for each combination of the values given; then a table of the best, and what failed."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Makes the launcher."""
        self.master, self.loader = config, hydra_context.config_loader
        self.runs = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> Any:
        """Launches all runs at once."""
        from mlplab.sweeps.grid import grid
        from mlplab.sweeps.summary import report

        jobs = grid(self.master, self.loader, arguments)
        self.runs.launch(jobs, initial_job_idx=0)
        report(self.master, len(jobs))


class Lockstep(Launcher):
    """Trains runs that can share a stack as one.

    Args:
        max_members: of a stack at most; None leaves it to the size of network and batch.
        workers: processes that train a stack each; None takes one, or a core each for minutes of work.
    """

    def __init__(self, max_members: int | None, workers: int | None) -> None:
        for key, value in {"max_members": max_members, "workers": workers}.items():
            if value is not None and (not isinstance(value, int) or value < 1):
                raise UserError(Fault("out of range", f"hydra.launcher.{key}", repr(value), "1 or above"))
        self.max_members, self.workers = max_members, workers

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Remax_members what jobs are composed from."""
        self.master, self.loader = config, hydra_context.config_loader

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Composes, checks, plans and trains."""
        with heavy_imports():
            from mlplab.cli.composition import derive_jobs
            from mlplab.data.cache import DataCache
            from mlplab.sweeps.checks import check_jobs

        root, cache = Path(str(self.master.hydra.sweep.dir)), DataCache()
        composed = list(derive_jobs(self.master, self.loader, job_overrides, initial_job_idx))
        jobs = check_jobs(composed, root, cache)  # before torch is imported, which takes seconds
        with heavy_imports():
            from mlplab.sweeps.launch import launch

        return launch(jobs, root, cache, self.max_members, self.workers)
