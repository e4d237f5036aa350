"""The table and split of each run, shared by runs with the same table and split. Imports no torch."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import numpy as np
from jaxtyping import Int64

from mlplab import config
from mlplab.data.fingerprint import row_hashes
from mlplab.data.load_table import load_table, table_key
from mlplab.data.splits.make_split import make_member_splits, make_split
from mlplab.data.splits.split import PARTS, Split
from mlplab.data.table import Table
from mlplab.data.task import absent_classes, check_split, check_task
from mlplab.errors import Fault, UserError, listed

HELD_OUT = "held-out"
"""Key of a fingerprint: a hash of the rows that each member of an ensemble holds out."""

MEMMAPPED = "memmapped"
"""Key of a fingerprint: whether the table was memory-mapped, which changes the order of rows."""


class HashedTable:
    """A table and its hashes, which are computed when first used."""

    def __init__(self, table: Table) -> None:
        self.table = table

    @cached_property
    def fingerprint(self) -> dict[str, int | str]:
        """The number of rows and a hash of all values."""
        return {**self.table.fingerprint(), MEMMAPPED: self.table.memmapped}

    @cached_property
    def row_hashes(self) -> Int64[np.ndarray, " row"]:
        """A hash of each row."""
        return row_hashes(self.table.x, self.table.y)


@dataclass(frozen=True, eq=False)
class RunData:
    """The table and the split that a run trains on.

    Attributes:
        split_config: the configuration of the split, for messages.
        bagged: of an ensemble, the data of each member: the same table, and a split of its own.
    """

    hashed: HashedTable
    split: Split
    split_config: config.Split
    bagged: tuple["RunData", ...] = ()

    @property
    def members(self) -> tuple["RunData", ...]:
        """The data of each of the run's networks: those of an ensemble, or the run's own."""
        return self.bagged or (self,)

    @property
    def table(self) -> Table:
        """The table."""
        return self.hashed.table

    @property
    def row_hashes(self) -> Int64[np.ndarray, " row"]:
        """A hash of each row of the table."""
        return self.hashed.row_hashes

    @cached_property
    def fingerprint(self) -> dict[str, int | str]:
        """Identifies the table, the split and the order of rows."""
        held_out = sha256("".join(each.split.fingerprint()["val"] for each in self.bagged).encode())
        of_members = {HELD_OUT: held_out.hexdigest()[:16]} if self.bagged else {}
        return {**self.hashed.fingerprint, **self.split.fingerprint(), **of_members}

    @cached_property
    def seen_rows(self) -> dict[str, Int64[np.ndarray, " row"]]:
        """The distinct row hashes of train and of val."""
        return {part: np.unique(self.row_hashes[getattr(self.split, part)]) for part in ("train", "val")}

    @cached_property
    def absent_classes(self) -> dict[str, list[str]]:
        """The classes of which a set (of a member, if there are several) has no row, by set."""
        found = {part: dict[str, None]() for part in PARTS}
        for member in self.members:
            for part, rows in member.split.parts().items():
                found[part].update(dict.fromkeys(absent_classes(self.table, rows)))
        return {part: list(classes) for part, classes in found.items()}

    @cached_property
    def repeated_test_rows(self) -> int:
        """The number of test rows that equal a row of train or val in all columns."""
        seen = np.concatenate(list(self.seen_rows.values()))
        return int(np.isin(self.row_hashes[self.split.test], seen).sum())

    def check_unchanged(self, saved: object, remedy: str, *, order: bool = True) -> None:
        """Checks that table and split have not changed since training.

        Args:
            saved: their fingerprint in training.
            remedy: the remedy in the message.
            order: whether the order of the rows must also be the same.

        Raises:
            UserError: if they have changed.
        """
        now, then = self.fingerprint, dict(saved) if isinstance(saved, Mapping) else {}
        source = self.table.source
        if any(then.get(key) != now[key] for key in now.keys() - {*PARTS, HELD_OUT, MEMMAPPED}):
            raise UserError(Fault("has changed since training", source, remedy=remedy))
        parts = [part for part in PARTS if then.get(part) != now[part]]
        if parts or then.get(HELD_OUT) != now.get(HELD_OUT):
            parts = parts or [HELD_OUT]
            what = f"the {listed(parts)} rows differ from those used in training: {self._changed_split()}"
            raise UserError(Fault(what, source, remedy=remedy))
        if order and then.get(MEMMAPPED) != now[MEMMAPPED]:
            was, is_now = ("in memory", "memory-mapped") if now[MEMMAPPED] else ("memory-mapped", "in memory")
            what = f"was {was} during training and is {is_now} now: the order of the batches would change"
            limit = f"{'raise' if was == 'in memory' else 'lower'} data.memory_gib=… until it is {was} again"
            raise UserError(Fault(what, source, remedy=limit))

    def _changed_split(self) -> str:
        """Why a split differs although the table is the same."""
        split = self.split_config
        if isinstance(split, config.FileSplit):
            return f"{split.path} has changed"
        for key, name in config.columns_of(split).items():
            return f"column '{name}' (data.split.{key}) has changed or is read differently"
        return "the split was made by a different version of mlplab"


class DataCache:
    """Reads each table and makes each split only once.

    Every command has its own cache, so that changed files are read again.
    """

    def __init__(self) -> None:
        self._tables: dict[Hashable, HashedTable] = {}
        self._data: dict[Hashable, RunData] = {}

    @property
    def size(self) -> int:
        """The number of tables and splits."""
        return len(self._tables) + len(self._data)

    def add(self, other: "DataCache") -> None:
        """Adds the tables and splits of another cache."""
        self._tables |= {key: each for key, each in other._tables.items() if key not in self._tables}
        self._data |= {key: each for key, each in other._data.items() if key not in self._data}

    def in_memory(self) -> "DataCache":
        """The tables that are not memory-mapped and their splits, for another process."""
        shared = DataCache()
        shared._tables = {key: each for key, each in self._tables.items() if not each.table.memmapped}
        shared._data = {key: each for key, each in self._data.items() if not each.table.memmapped}
        return shared

    def data(self, run: config.TrainConfig) -> RunData:
        """The table and split of a run, and the splits of its ensemble if its size is known.

        Raises:
            UserError: if the table or the split cannot be used (with all faults of the table), or the run's
                network cannot use its targets.
        """
        key = table_key(run)
        if key not in self._tables:
            self._tables[key] = HashedTable(load_table(run))
        hashed = self._tables[key]
        check_task(run, hashed.table)
        members = 1 if run.ensemble == "auto" else run.ensemble
        of_split = key, run.data.split.model_dump_json(), members
        if of_split not in self._data:
            section = run.data.split
            split = make_split(section, hashed.table)
            bagged: list[Split] = []
            if members > 1:
                bagged = make_member_splits(section, hashed.table, split, members)
            of_members = (RunData(hashed, each, section) for each in bagged)
            self._data[of_split] = RunData(hashed, split, section, tuple(of_members))
        data = self._data[of_split]
        check_split(run, hashed.table.schema.classes, data.absent_classes)
        return data
