"""Tables, splits and baselines of runs: made once, however many runs ask. Tables and splits need no torch."""

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from jaxtyping import Int64

from mlplab import config
from mlplab.data.fingerprint import row_hashes, split_fingerprint
from mlplab.data.load import check_targets, load_table, table_key
from mlplab.data.splits.make import make_split
from mlplab.data.splits.splitters import PARTS, Split
from mlplab.data.table import Table
from mlplab.errors import Fault, UserError, listed

if TYPE_CHECKING:
    from mlplab.runs.baselines import Baselines

T = TypeVar("T")

STORED = "stored"
"""In a table's fingerprint: whether it was trained from a file."""


class DataCache:
    """Tables, splits and baselines of runs, each made when first asked for and kept.

    Whoever trains makes one of its own, so that a file which has changed since is read again.
    """

    def __init__(self) -> None:
        self._made: dict[Any, Any] = {}

    def table(self, run: config.TrainConfig) -> Table:
        """The table that a run's configuration names.

        Raises:
            UserError: with all that is wrong with it, or if the run's network cannot take its targets.
        """
        table = self._once("table", table_key(run), lambda: load_table(run))
        check_targets(run, table)
        return table

    def fingerprint(self, run: config.TrainConfig) -> dict[str, int | str]:
        """What tells whether table and split are the same later, and give the same order of rows."""

        def of_table() -> dict[str, int | str]:
            table = self.table(run)
            return {**table.fingerprint(), STORED: table.memmapped}

        of_split = self._once("parts", _split_key(run), lambda: split_fingerprint(self.split(run)))
        return {**self._once("fingerprint", table_key(run), of_table), **of_split}

    def check_unchanged(
        self, run: config.TrainConfig, before: object, remedy: str, *, order: bool = True
    ) -> None:
        """Checks that table and split are those of an earlier training.

        Args:
            before: their fingerprint then.
            remedy: what to do otherwise.
            order: whether rows must come in the same order, as they do from memory or from a file.

        Raises:
            UserError: if they are not.
        """
        now, then = self.fingerprint(run), dict(before) if isinstance(before, Mapping) else {}
        source = self.table(run).source
        if any(then.get(key) != now[key] for key in now.keys() - {*PARTS, STORED}):
            raise UserError(Fault("has changed since the training", source, remedy=remedy))
        if parts := [part for part in PARTS if then.get(part) != now[part]]:
            what = f"the {listed(parts)} rows are not those of the training: {_split_source(run)}"
            raise UserError(Fault(what, source, remedy=remedy))
        if order and then.get(STORED) != now[STORED]:
            was, is_now = ("memory", "a file") if now[STORED] else ("a file", "memory")
            what = f"was trained from {was}, and would now be from {is_now}, which is another order of rows"
            room = "give it the room it had: data.memory_gib=… (GiB), more for memory, less for a file"
            raise UserError(Fault(what, source, remedy=room))

    def row_hashes(self, run: config.TrainConfig) -> Int64[np.ndarray, " row"]:
        """Of each row of the table, as `data.fingerprint.row_hashes`."""
        table = self.table(run)
        return self._once("rows", table_key(run), lambda: row_hashes(table.x, table.y))

    def seen_rows(self, run: config.TrainConfig) -> dict[str, Int64[np.ndarray, " row"]]:
        """The different hashes of the rows that training sees, in train and in val."""

        def make() -> dict[str, Int64[np.ndarray, " row"]]:
            hashes, split = self.row_hashes(run), self.split(run)
            return {part: np.unique(hashes[getattr(split, part)]) for part in ("train", "val")}

        return self._once("seen", _split_key(run), make)

    def repeated_test_rows(self, run: config.TrainConfig) -> int:
        """How many test rows equal a row of train or val in all columns."""

        def make() -> int:
            seen = np.concatenate(list(self.seen_rows(run).values()))
            return int(np.isin(self.row_hashes(run)[self.split(run).test], seen).sum())

        return self._once("repeated", _split_key(run), make)

    def split(self, run: config.TrainConfig) -> Split:
        """Its parts."""
        return self._once("split", _split_key(run), lambda: make_split(run.data.split, self.table(run)))

    def baselines(self, run: config.TrainConfig) -> "Baselines":
        """What a network must beat, fitted to the training rows."""

        def make() -> "Baselines":
            from mlplab.runs.baselines import Baselines  # here, as it needs torch

            table, rows = self.table(run), self.split(run).train
            return Baselines(table.x, table.y, table.weight, rows, table.schema.categories)

        return self._once("baselines", _split_key(run), make)

    def baseline_scores(self, run: config.TrainConfig) -> dict[str, dict[str, float]]:
        """Their scores on the test rows: by baseline and metric."""
        table, rows = self.table(run), self.split(run).test
        return self._once(
            "scores",
            _split_key(run),
            lambda: self.baselines(run).scores(table.x, table.y, table.weight, rows),
        )

    def _once(self, kind: str, key: Any, make: Callable[[], T]) -> T:
        if (kind, key) not in self._made:
            self._made[kind, key] = make()
        return self._made[kind, key]


def _split_key(run: config.TrainConfig) -> Hashable:
    """What the split of a run depends on."""
    return table_key(run), run.data.split.model_dump_json()


def _split_source(run: config.TrainConfig) -> str:
    """What has changed where a table has not, but its split has."""
    split = run.data.split
    if isinstance(split, config.FileSplit):
        return f"{split.path} has changed"
    for key in ("group", "time", "stratify"):
        if name := getattr(split, key, None):
            return f"column '{name}', which data.split.{key} names, has changed or is read otherwise"
    return "another version of mlplab made the split"
