"""Neural networks on tables: one command from a CSV file to a tested, reproducible network."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlplab.runs.trained.ensemble import load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    """Imports `load` when it is first used: it needs torch, and `--help` should not wait for that."""
    if name == "load":
        from mlplab.runs.trained.ensemble import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
