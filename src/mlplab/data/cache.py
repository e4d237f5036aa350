"""The table and split of each run, shared by runs with the same table and split. Imports no torch."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256

import numpy as np
from jaxtyping import Int64

from mlplab import config
from mlplab.data.fingerprint import DIGITS, RowKeys, Values
from mlplab.data.load_table import load_table, table_key
from mlplab.data.seen_rows import SeenRows
from mlplab.data.splits.make_split import make_member_splits, make_split
from mlplab.data.splits.split import PARTS, Split, sample_rows
from mlplab.data.table import Table
from mlplab.data.target_leaks import target_leaks
from mlplab.data.task import absent_classes, check_split, check_task
from mlplab.errors import Fault, UserError, listed

HELD_OUT = "held-out"
"""Key of a fingerprint: a hash of the rows that each member of an ensemble holds out."""

MEMMAPPED = "memmapped"
"""Key of a fingerprint: whether the table was memory-mapped, which changes the order of rows."""


TEST_SAMPLE = 10_000
"""At most this many test rows are compared with the rows in training and validation."""

MAX_FALSE = 1e-3
"""The largest share of test rows that may be taken for rows in training or validation."""


class HashedTable:
    """A table and its hashes, which are computed when first used.

    Attributes:
        warned: the warnings about it that the terminal has shown, which other stacks do not repeat.
    """

    def __init__(self, table: Table) -> None:
        self.table, self.warned = table, set[str]()
        self.values = Values(table.x, table.y, table.schema.offsets)
        self._keys: dict[int, tuple[RowKeys, Int64[np.ndarray, "2 row"]]] = {}

    @cached_property
    def fingerprint(self) -> dict[str, int | str]:
        """The number of rows and a hash of all values."""
        return {**self.table.fingerprint(), MEMMAPPED: self.table.memmapped}

    def keys(self, digits: int) -> tuple[RowKeys, Int64[np.ndarray, "2 row"]]:
        """The keys of all rows, for copies with that many digits."""
        if digits not in self._keys:
            row_keys = RowKeys.of(self.values, self.table.schema.dates, digits)
            self._keys[digits] = row_keys, row_keys.keys(self.values, np.arange(len(self.table.x)))
        return self._keys[digits]


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

    @cached_property
    def fingerprint(self) -> dict[str, int | str]:
        """Identifies the table, the split and the order of rows."""
        held_out = sha256("".join(each.split.fingerprint()["val"] for each in self.bagged).encode())
        of_members = {HELD_OUT: held_out.hexdigest()[:16]} if self.bagged else {}
        return {**self.hashed.fingerprint, **self.split.fingerprint(), **of_members}

    @cached_property
    def seen(self) -> SeenRows:
        """The rows of train and val, by as few digits as distinguish the test rows from them."""
        test, values = sample_rows(self.split.test, TEST_SAMPLE), self.hashed.values
        for digits in DIGITS:
            seen = self._seen(digits)
            features, rows = seen.recognised(values, test)
            if seen.row_keys.is_exact or digits == DIGITS[-1] or not rows.any():
                break
            if (rows & ~self._exactly_seen.recognised(values, test)[1]).mean() <= MAX_FALSE:
                break
        return replace(seen, test=int((~rows).sum()), repeated=int((features & ~rows).sum()))

    @cached_property
    def _exactly_seen(self) -> SeenRows:
        return self._seen(DIGITS[-1])

    def _seen(self, digits: int) -> SeenRows:
        row_keys, keys = self.hashed.keys(digits)
        seen = np.concatenate([self.split.train, self.split.val])
        features, rows = (np.unique(each[seen]) for each in keys)
        return SeenRows(row_keys, features, rows)

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
        values, rows = self.hashed.values, self.split.test
        rows = rows[self.seen.recognised(values, rows)[1]]
        if len(rows) and not self.seen.row_keys.is_exact:
            rows = rows[self._exactly_seen.recognised(values, rows)[1]]
        return len(rows)

    @cached_property
    def target_leaks(self) -> list[str]:
        """Warnings about columns that may contain the target."""
        split = self.split
        if "time" in config.columns_of(self.split_config):  # later targets may all be larger
            rows = np.random.default_rng(0).permutation(np.concatenate([split.train, split.val]))
            split = Split(rows[: len(split.train)], rows[len(split.train) :], split.test)
        return target_leaks(self.table, split)

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
