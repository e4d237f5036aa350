"""The sweeper and the launcher that Hydra finds. They import torch only when training starts."""

from collections.abc import Sequence
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class GridOrSearch(Sweeper):
    """Launches a run for each combination of the given values, or searches; prints a summary."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Creates the launcher."""
        self.cfg, self.loader = config, hydra_context.config_loader
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> Any:
        """Trains all runs of a grid, or those of a search batch by batch."""
        from mlplab.cli.sweep import sweep

        assert self.launcher is not None
        runs = self.launcher.runs if isinstance(self.launcher, Lockstep) else None
        sweep(self.cfg, self.loader, arguments, runs, self.launcher)


class Lockstep(Launcher):
    """Trains runs together if they can share a stack; `runs` does that."""

    def __init__(self, **section: Any) -> None:
        """Hydra passes `hydra.launcher`, which `setup` reads from the whole configuration."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Checks the section `hydra.launcher`."""
        from mlplab.cli.launcher import SweepLauncher
        from mlplab.errors import Fault, UserError

        if not str(config.hydra.sweeper._target_).endswith(GridOrSearch.__name__):
            raise UserError(Fault("needs hydra/launcher=basic", "hydra/sweeper", remedy="or remove it"))
        self.runs = SweepLauncher(config, hydra_context.config_loader)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Hydra's own sweepers would call this; `setup` refuses them."""
        raise NotImplementedError
