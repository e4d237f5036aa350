"""Makes the split that a configuration describes, and those of the members of an ensemble."""

from dataclasses import dataclass

import numpy as np

from mlplab import config
from mlplab.data.splits.bagging import bagged_splits
from mlplab.data.splits.split import Split
from mlplab.data.splits.splitters import (
    Codes,
    Times,
    file_split,
    group_split,
    kfold_split,
    random_split,
    time_split,
)
from mlplab.data.table import Table
from mlplab.errors import Fault, UserError


def make_split(section: config.Split, table: Table) -> Split:
    """The split of a table.

    Raises:
        UserError: if a set has no row, or no row with a weight above 0.
    """
    rows, columns = table.rows, _SplitColumns.of(section, table)
    match section:
        case config.RandomSplit():
            split = random_split(
                rows,
                val=section.val,
                test=section.test,
                seed=section.seed,
                classes=columns.classes,
                names=columns.names,
            )
        case config.GroupSplit():
            assert columns.groups is not None
            split = group_split(rows, columns.groups, val=section.val, test=section.test, seed=section.seed)
        case config.TimeSplit():
            assert columns.times is not None
            split = time_split(rows, columns.times, val=section.val, test=section.test)
        case config.FileSplit():
            split = file_split(rows, len(table.x), section.path, val=section.val, seed=section.seed)
        case config.KFoldSplit():
            split = kfold_split(
                rows,
                folds=section.folds,
                fold=section.fold,
                val=section.val,
                seed=section.seed,
                groups=columns.groups,
                times=columns.times,
                classes=columns.classes,
                names=columns.names,
            )
    if table.weight is not None:
        for part, in_part in split.parts().items():
            if not table.weight[in_part].any():
                where, remedy = f"{table.source}, column '{table.schema.weight}'", "choose a different split"
                raise UserError(Fault(f"all weights of the {part} set are 0", where, remedy=remedy))
    return split


def make_member_splits(section: config.Split, table: Table, split: Split, members: int) -> list[Split]:
    """The splits of the members of an ensemble (see `bagged_splits`); a target of classes stratifies them."""
    columns = _SplitColumns.of(section, table)
    classes = columns.classes
    if classes is None and table.schema.classes:
        classes = _classes_of_target(table)
    seed = 0 if isinstance(section, config.TimeSplit) else section.seed
    fold = section.fold if isinstance(section, config.KFoldSplit) else 0
    counts = np.ones(len(table.x), bool) if table.weight is None else table.weight > 0
    return bagged_splits(
        split,
        members,
        counts,
        seed=(seed, fold),
        groups=columns.groups,
        times=columns.times,
        classes=classes,
    )


@dataclass(frozen=True)
class _SplitColumns:
    """What a split depends on besides the row numbers: for each row of the table, if at all."""

    groups: Codes | None
    times: Times | None
    classes: Codes | None
    names: tuple[str, ...]

    @classmethod
    def of(cls, section: config.Split, table: Table) -> "_SplitColumns":
        columns = table.split_columns
        codes: dict[str, Codes] = {
            role: np.where(np.isnan(column.values), -1, column.values).astype(np.int64)
            for role, column in columns.items()
            if role != "time"
        }
        times = columns["time"].values if "time" in columns else None
        classes, names = codes.get("class"), columns["class"].names if "class" in columns else ()
        if table.schema.classes and getattr(section, "stratify", None) == config.AUTO:
            classes = _classes_of_target(table)
        return cls(codes.get("group"), times, classes, names)


def _classes_of_target(table: Table) -> Codes:
    return np.where(np.isnan(table.y[:, 0]), -1, table.y[:, 0]).astype(np.int64)
