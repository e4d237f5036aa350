"""The sweeper and the launcher that Hydra finds. They import torch only when training starts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from mlplab.cli.hydra_errors import explained
from mlplab.cli.overrides import lines_of, typed_keys
from mlplab.config import parse_launcher
from mlplab.errors import RunFailed
from mlplab.imports import heavy_imports
from mlplab.sweeps.checks import check_installed

if TYPE_CHECKING:
    from mlplab.config import TrainConfig
    from mlplab.data.cache import DataCache
    from mlplab.runs.selection import RunResult
    from mlplab.sweeps.engines.engine import Engine
    from mlplab.training.pruning import Bracket


class GridOrSearch(Sweeper):
    """Launches a run for each combination of the given values, or searches; prints a summary."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Creates the launcher."""
        self.cfg, self.loader = config, hydra_context.config_loader
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> Any:
        """Launches all runs of a grid at once, and those of a search in batches."""
        from mlplab.cli.compose import sweep_settings
        from mlplab.sweeps.search.space import is_search

        settings = sweep_settings(self.cfg)
        with explained():
            searches = is_search(arguments, settings)
        assert self.launcher is not None
        lockstep = isinstance(self.launcher, Lockstep)
        try:
            if searches:
                from mlplab.cli.search import run_search

                run_search(self.cfg, self.loader, self._launch, self._cache, may_prune=lockstep)
            else:
                self._launch_grid(self.launcher, arguments, settings.ensemble)
        finally:
            if isinstance(self.launcher, Lockstep):
                self.launcher.close()

    def _launch(self, runs: Sequence[list[str]], first: int, brackets: "Mapping[Path, Bracket]") -> None:
        """Launches a batch of a search."""
        assert self.launcher is not None
        if isinstance(self.launcher, Lockstep):
            self.launcher.brackets = brackets
        self.launcher.launch(runs, initial_job_idx=first)

    @property
    def _cache(self) -> "DataCache":
        """The tables of the runs; those that lockstep has read."""
        from mlplab.data.cache import DataCache

        return self.launcher.cache if isinstance(self.launcher, Lockstep) else DataCache()

    def _launch_grid(self, launcher: Launcher, arguments: list[str], ensemble: int | None) -> None:
        from mlplab.runs.trained.chosen_ensemble import check_replaceable
        from mlplab.sweeps.draw import draw_sweep
        from mlplab.sweeps.folder import check_not_search
        from mlplab.sweeps.grid import grid
        from mlplab.sweeps.summary import results_of, summarize

        typed = typed_keys(lines_of(self.cfg.hydra.overrides.hydra))
        with explained():
            runs = grid(self.loader, arguments, name_folders="hydra.sweep.subdir" not in typed)
        root = Path(str(self.cfg.hydra.sweep.dir))
        check_not_search(root)
        if ensemble:
            check_replaceable(root / f"ensemble-{ensemble}")
        launcher.launch(runs, initial_job_idx=0)
        results = results_of(root, launcher.results if isinstance(launcher, Lockstep) else {})
        try:
            draw_sweep(root, results, self._cache)
        finally:  # a full disk or Ctrl-C takes only the figures
            summarize(root, len(runs), results)
        if ensemble:
            with heavy_imports():
                from rich.console import Console

                from mlplab.commands.select_ensemble import print_choice, select_ensemble

            print_choice(select_ensemble(root, ensemble, self._cache), Console())


class Lockstep(Launcher):
    """Trains runs together if they can share a stack.

    Args:
        section: its section of the configuration, `config.Launcher`.

    Attributes:
        brackets: by their folders, the rungs at which the next runs may be pruned.
        results: the results of the finished runs, by folder.
    """

    def __init__(self, **section: Any) -> None:
        with explained():
            plain = {
                key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
                for key, value in section.items()
            }
        self.section = parse_launcher(plain)
        check_installed(self.section.engine)
        self.brackets: Mapping[Path, Bracket] = {}
        self.results: dict[Path, RunResult] = {}
        self._engine: Engine | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Stores the configuration and the loader that runs are composed from."""
        self.cfg, self.loader = config, hydra_context.config_loader

    @cached_property
    def cache(self) -> "DataCache":
        """The tables of all runs."""
        from mlplab.data.cache import DataCache

        return DataCache()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Composes, checks, plans and trains the runs."""
        with heavy_imports():
            from mlplab.cli.sweep_runs import derive_runs
            from mlplab.runs.run import Run
            from mlplab.sweeps.checks import check_runs

        root, cache = Path(str(self.cfg.hydra.sweep.dir)), self.cache
        derived = list(derive_runs(self.cfg, self.loader, job_overrides, initial_job_idx))
        runs, refused = check_runs(derived, root, cache)  # before torch is imported, which takes seconds
        with heavy_imports():
            from mlplab.sweeps.engines.engine import open_engine
            from mlplab.sweeps.launch import launch

        trainer = next(run.config.trainer for run in derived if isinstance(run, Run))
        self._engine = self._engine or open_engine(self.section, root, trainer)
        runs = [replace(run, bracket=self.brackets.get(run.folder)) for run in runs]
        metrics = launch(runs, refused, root, cache, self._engine)
        configs = {run.folder: run.config for run in runs}
        return [
            self._returned(list(overrides), run.folder, configs.get(run.folder), metrics[run.folder])
            for overrides, run in zip(job_overrides, derived, strict=True)
        ]

    def close(self) -> None:
        """Ends the workers."""
        if self._engine:
            self._engine.close()

    def _returned(
        self, overrides: list[str], folder: Path, config: "TrainConfig | None", metrics: dict[str, Any]
    ) -> JobReturn:
        """How a run has ended, as Hydra's sweepers expect it: the monitored metric, or the error."""
        from mlplab.config.keys import flat
        from mlplab.runs.folder import AS_PLANNED
        from mlplab.runs.selection import RunResult

        returned = JobReturn()
        returned.overrides, returned.status = overrides, JobStatus.FAILED
        if config is None or metrics["status"] not in AS_PLANNED:
            returned.return_value = RunFailed(metrics.get("reason", metrics["status"]))
        else:
            returned.status, returned.return_value = JobStatus.COMPLETED, metrics[config.monitor]
            self.results[folder] = RunResult(folder, dict(flat(config.plain())), metrics)
        return returned
