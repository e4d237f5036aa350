"""Tables, splits and baselines of runs: made once, however many runs ask. Tables and splits need no torch."""

from collections.abc import Callable
from typing import Any, TypeVar

from mlplab import config
from mlplab.data.split import Split
from mlplab.data.table import Table
from mlplab.runs.splits import make_split
from mlplab.runs.tables import load_table, table_key

T = TypeVar("T")

STORED = "stored"
"""In a table's fingerprint: whether it was trained from a file."""


class Inputs:
    """Tables, splits and baselines of runs, each made when first asked for and kept.

    Whoever trains makes one of its own, so that a file which has changed since is read again.
    """

    def __init__(self) -> None:
        self._made: dict[Any, Any] = {}

    def table(self, run: config.TrainConfig) -> Table:
        """The table that a run's configuration names."""
        return self._once("table", table_key(run), lambda: load_table(run))

    def fingerprint(self, run: config.TrainConfig) -> dict[str, int | str]:
        """What tells whether the table is the same later, and gives the same order of rows."""

        def make() -> dict[str, int | str]:
            table = self.table(run)
            return {**table.fingerprint(), STORED: table.stored}

        return self._once("fingerprint", table_key(run), make)

    def split(self, run: config.TrainConfig) -> Split:
        """Its parts."""
        key = table_key(run), run.data.split.model_dump_json()
        return self._once("split", key, lambda: make_split(run.data.split, self.table(run)))

    def baselines(self, run: config.TrainConfig) -> dict[str, dict[str, float]]:
        """What a network must beat on that split: each baseline's scores by their names."""

        def make() -> dict[str, dict[str, float]]:
            from mlplab.runs.baselines import baselines  # here, as it needs torch

            table = self.table(run)
            return baselines(table.x, table.y, table.weight, self.split(run), table.schema.categories)

        return self._once("baselines", (table_key(run), run.data.split.model_dump_json()), make)

    def _once(self, kind: str, key: Any, make: Callable[[], T]) -> T:
        if (kind, key) not in self._made:
            self._made[kind, key] = make()
        return self._made[kind, key]
