"""Neural networks on tables: one command from a CSV to a tested, reproducible network."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlplab.runs.trained import load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    """Imports what needs torch when it is asked for, so that `--help` need not wait for it."""
    if name == "load":
        from mlplab.runs.trained import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
