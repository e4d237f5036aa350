"""The table and split of each run, shared by runs with the same table and split. Imports no torch."""

from collections.abc import Hashable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from itertools import accumulate

import numpy as np
import polars as pl

from mlplab import config
from mlplab.console import quiet
from mlplab.data.class_labels import check_split, check_task
from mlplab.data.hidden_codes import hidden_codes
from mlplab.data.leaks.seen_rows import SeenRows, seen_rows
from mlplab.data.leaks.target_leaks import target_leaks, time_order
from mlplab.data.load_table import load_table, table_key
from mlplab.data.offsets import offsets_of
from mlplab.data.schema import Schema
from mlplab.data.splits.make_split import make_member_splits, make_split
from mlplab.data.splits.split import PARTS, Split, distinct
from mlplab.data.table import Table
from mlplab.errors import listed, refusal

HELD_OUT = "held-out"  # key of a fingerprint: a hash of the rows that each member of an ensemble holds out

# Key of a fingerprint: whether the table was memory-mapped, which changes the order of rows.
MEMMAPPED = "memmapped"


@dataclass(frozen=True, eq=False)
class RunData:
    """The table and the split that a run trains on.

    Attributes:
        bagged: of an ensemble, the data of each member: the same table, and a split of its own.
    """

    table: Table
    split: Split
    bagged: tuple["RunData", ...] = ()

    @property
    def members(self) -> tuple["RunData", ...]:
        """The data of each of the run's networks: the members of an ensemble, or the run itself."""
        return self.bagged or (self,)

    @cached_property
    def fingerprint(self) -> dict[str, int | str]:
        """Identifies the table, the split and the order of rows."""
        held_out = sha256("".join(member.split.fingerprint()["val"] for member in self.bagged).encode())
        members = {HELD_OUT: held_out.hexdigest()[:16]} if self.bagged else {}
        table = {**self.table.fingerprint, MEMMAPPED: self.table.memmapped}
        return {**table, **self.split.fingerprint(), **members}

    @cached_property
    def seen(self) -> SeenRows:
        """The rows of train and val; those that some member of an ensemble trains on are of train."""
        rows = np.concatenate([self.split.train, self.split.val])
        train = distinct(*(member.split.train for member in self.members))
        val = np.sort(np.setdiff1d(rows, train, assume_unique=True))
        return seen_rows(self.table, Split(train, val, self.split.test))

    @cached_property
    def repeated_test_rows(self) -> int:
        """The number of test rows that equal a row of train or val in all columns, unless that is chance."""
        if self.seen.by_chance[1]:
            return 0
        return int(self.seen.recognised(self.table.values, self.split.test).sum())

    @cached_property
    def target_leaks(self) -> list[str]:
        """Warnings about columns that may contain the target."""
        split = self.split
        if "time" in self.table.split_columns:  # later targets may all be larger
            rows = np.random.default_rng(0).permutation(np.concatenate([split.train, split.val]))
            split = Split(rows[: len(split.train)], rows[len(split.train) :], split.test)
        return target_leaks(self.table, split)

    @cached_property
    def time_order(self) -> list[str]:
        """A warning if neighbours in time are similar, unless the split is by time or groups."""
        return [] if self.table.split_columns else time_order(self.table, self.split)

    @cached_property
    def hidden_codes(self) -> dict[str, str]:
        """Notes by the names of columns whose numbers may be codes."""
        return dict(hidden_codes(self.table, self.split.train))

    @cached_property
    def absent_classes(self) -> dict[str, list[str]]:
        """The classes of which a set (of a member, if there are several) has no row, by set; none of a set
        without rows."""
        absent = {part: dict[str, None]() for part in PARTS}
        for member in self.members:
            for part, rows in member.split.parts().items():
                absent[part].update(dict.fromkeys(self.table.absent_classes(rows) if len(rows) else ()))
        return {part: list(classes) for part, classes in absent.items()}

    def check_unchanged(self, saved: object, remedy: str, *, order: bool = True) -> None:
        """Checks that table and split have not changed since training, when their fingerprint was `saved`.

        Raises:
            UserError: if they have changed.
        """
        now, then = self.fingerprint, dict(saved) if isinstance(saved, Mapping) else {}
        source = self.table.source
        if any(then.get(key) != now[key] for key in now.keys() - {*PARTS, HELD_OUT, MEMMAPPED}):
            what = "has changed since training, or mlplab's version reads its columns in another way"
            raise refusal(what, source, remedy)
        parts = [part for part in PARTS if then.get(part) != now[part]]
        if parts or then.get(HELD_OUT) != now.get(HELD_OUT):
            what = f"the {listed(parts or [HELD_OUT])} rows differ from those used in training"
            raise refusal(f"{what}: what splits them, or mlplab's version, has changed", source, remedy)
        if order and then.get(MEMMAPPED) != now[MEMMAPPED]:
            was, is_now = ("in memory", "memory-mapped") if now[MEMMAPPED] else ("memory-mapped", "in memory")
            what = f"was {was} during training and is {is_now} now: the order of the batches would change"
            change = "raise" if was == "in memory" else "lower"
            raise refusal(what, source, f"{change} data.memory_gib=… until it is {was} again")


def in_one_table(data: Sequence[RunData]) -> list[RunData]:
    """Data of tables with the same columns, except for their offsets, as data of one table with all rows."""
    tables = list(dict.fromkeys(member.table for member in data))
    if len(tables) == 1:
        return list(data)
    starts = dict(zip(tables, accumulate((len(table.x) for table in tables), initial=0), strict=False))
    weights = [table.weight for table in tables if table.weight is not None]
    table = replace(
        tables[0],
        x=np.concatenate([table.x for table in tables]),
        y=np.concatenate([table.y for table in tables]),
        weight=np.concatenate(weights) if weights else None,
    )
    return [
        RunData(table, Split(*(rows + starts[member.table] for rows in member.split.parts().values())))
        for member in data
    ]


class DataCache:
    """Reads each table and makes each split only once.

    Every command has its own cache, so that changed files are read again.

    Args:
        frame: the rows of runs with data=frame.
    """

    def __init__(self, frame: pl.DataFrame | None = None) -> None:
        self.frame = frame
        self._tables: dict[Hashable, list[Table]] = {}  # those of a key differ in offsets
        self._data: dict[Hashable, RunData] = {}

    def data(self, run: config.TrainConfig, like: Schema | None = None) -> RunData:
        """The table and split of a run, and the splits of its ensemble if its size is known.

        Args:
            like: has the offsets of columns, as in the training of a run; None: those that its rows outside
                test suggest.

        Raises:
            UserError: if the table or the split cannot be used (with all faults of the table), or the run's
                network cannot use its targets.
        """
        section, given = run.data.split, None if like is None else like.column_offsets
        table = self._table(run, given)
        check_task(run, table)
        members = 1 if run.ensemble == "auto" else run.ensemble
        split_key = table_key(run), section.model_dump_json(), members, str(given)
        if split_key not in self._data:
            split = make_split(section, table)
            if given is None and run.model.preprocessing.name != "none":
                table = self._table(run, offsets_of(table, np.concatenate([split.train, split.val])))
            splits = make_member_splits(section, table, split, members) if members > 1 else []
            bagged = tuple(RunData(table, member_split) for member_split in splits)
            self._data[split_key] = RunData(table, split, bagged)
        data = self._data[split_key]
        check_split(run, table.schema.classes, data.absent_classes)
        return data

    def _table(self, run: config.TrainConfig, offsets: Mapping[str, float] | None) -> Table:
        """The table of a run with these offsets; None: with any. One that no run uses is not kept."""
        known = self._tables.setdefault(table_key(run), [])
        used = {data.table for data in self._data.values()}
        for table in known:
            if offsets is None or table.schema.column_offsets == offsets:
                return table
        with quiet("mlplab.data.infer") if known else nullcontext():  # the first one has warned of columns
            known[:] = [*(table for table in known if table in used), load_table(run, self.frame, offsets)]
        return known[-1]
