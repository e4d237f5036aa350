"""The splits that configurations name."""

import numpy as np

from mlplab import config
from mlplab.data.splits.splitters import (
    PARTS,
    Codes,
    Split,
    file_split,
    group_split,
    kfold_split,
    random_split,
    time_split,
)
from mlplab.data.table import Table
from mlplab.errors import Fault, UserError


def make_split(split: config.Split, table: Table) -> Split:
    """The parts of a table.

    Raises:
        UserError: if a part is left without a row, or without a row that counts.
    """
    rows, keys = table.rows, table.keys
    codes: dict[str, Codes] = {
        role: np.where(np.isnan(key.values), -1, key.values).astype(np.int64)
        for role, key in keys.items()
        if role != "time"
    }
    times = keys["time"].values if "time" in keys else None
    names = keys["class"].names if "class" in keys else ()
    match split:
        case config.RandomSplit():
            parts = random_split(
                rows,
                val=split.val,
                test=split.test,
                seed=split.seed,
                classes=codes.get("class"),
                names=names,
            )
        case config.GroupSplit():
            parts = group_split(rows, codes["group"], val=split.val, test=split.test, seed=split.seed)
        case config.TimeSplit():
            assert times is not None
            parts = time_split(rows, times, val=split.val, test=split.test)
        case config.FileSplit():
            parts = file_split(rows, len(table.x), split.path, val=split.val, seed=split.seed)
        case config.KFoldSplit():
            parts = kfold_split(
                rows,
                folds=split.folds,
                fold=split.fold,
                val=split.val,
                seed=split.seed,
                groups=codes.get("group"),
                times=times,
                classes=codes.get("class"),
                names=names,
            )
    if table.weight is not None:
        for name in PARTS:
            if not table.weight[getattr(parts, name)].any():
                where, remedy = f"{table.source}, column '{table.schema.weight}'", "split the rows otherwise"
                raise UserError(Fault(f"all weights of the {name} part are 0", where, remedy=remedy))
    return parts
