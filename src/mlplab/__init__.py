"""Neural networks on tables: one command from a CSV file to a tested, reproducible network."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlplab.api.describe import describe as describe
    from mlplab.api.finished_run import FinishedRun as FinishedRun
    from mlplab.api.finished_run import load as load
    from mlplab.api.finished_sweep import FinishedSweep as FinishedSweep
    from mlplab.api.training import search as search
    from mlplab.api.training import sweep as sweep
    from mlplab.api.training import train as train
    from mlplab.errors import RunFailed as RunFailed
    from mlplab.errors import UserError as UserError

_PLACES = {
    "describe": "api.describe",
    "FinishedRun": "api.finished_run",
    "load": "api.finished_run",
    "FinishedSweep": "api.finished_sweep",
    "search": "api.training",
    "sweep": "api.training",
    "train": "api.training",
    "RunFailed": "errors",
    "UserError": "errors",
}

__all__ = [*_PLACES]


def __getattr__(name: str) -> Any:
    """Imports a name when it is first used: torch takes seconds, and `--help` should not wait for it."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"mlplab.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
