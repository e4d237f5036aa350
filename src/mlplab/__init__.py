"""Neural networks on tables: one command from a CSV file to a tested, reproducible network."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlplab.api.describe import describe as describe
    from mlplab.api.finished_run import FinishedRun as FinishedRun
    from mlplab.api.finished_run import load as load
    from mlplab.api.finished_sweep import FinishedSweep as FinishedSweep
    from mlplab.api.lightning_module import lightning_module as lightning_module
    from mlplab.api.training import search as search
    from mlplab.api.training import sweep as sweep
    from mlplab.api.training import train as train
    from mlplab.data.batches.datamodule import TableDataModule as TableDataModule
    from mlplab.errors import RunFailed as RunFailed
    from mlplab.errors import UserError as UserError

_NAMES = {
    "api.describe": ["describe"],
    "api.finished_run": ["FinishedRun", "load"],
    "api.finished_sweep": ["FinishedSweep"],
    "api.lightning_module": ["lightning_module"],
    "api.training": ["search", "sweep", "train"],
    "data.batches.datamodule": ["TableDataModule"],
    "errors": ["RunFailed", "UserError"],
}

__all__ = [name for names in _NAMES.values() for name in names]


def __getattr__(name: str) -> Any:
    """Imports a name when it is first used: torch takes seconds, and `--help` should not wait for it."""
    for module, names in _NAMES.items():
        if name in names:
            return getattr(import_module(f"mlplab.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
