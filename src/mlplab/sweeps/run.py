"""A run of a sweep before it trains."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlplab.config import TrainConfig
from mlplab.errors import UserError, reason_of


@dataclass(frozen=True)
class SweepRun:
    """A run of a sweep: its configuration, or why it cannot be trained.

    Args:
        overrides: the overrides of the run.
        folder: the folder for the run.
        values: of a refused run, the composed configuration; empty if it could not be composed.
        config: the configuration; None if the run is refused.
        error: why the run is refused.
    """

    overrides: tuple[str, ...]
    folder: Path
    values: Mapping[str, Any] = field(default_factory=dict)
    config: TrainConfig | None = None
    error: UserError | None = None

    def refused(self, error: UserError) -> "SweepRun":
        """The same run, refused."""
        values = self.config.plain() if self.config else self.values  # as in the run's folder
        return replace(self, values=values, config=None, error=error)

    @property
    def reason(self) -> str:
        """Why the run is refused, in one line."""
        return reason_of(self.error) if self.error else ""
