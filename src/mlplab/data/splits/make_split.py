"""Makes the split that a configuration describes."""

import numpy as np

from mlplab import config
from mlplab.data.splits.split import Split
from mlplab.data.splits.splitters import (
    Codes,
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
    rows, keys = table.rows, table.split_columns
    codes: dict[str, Codes] = {
        role: np.where(np.isnan(key.values), -1, key.values).astype(np.int64)
        for role, key in keys.items()
        if role != "time"
    }
    times = keys["time"].values if "time" in keys else None
    classes, names = codes.get("class"), keys["class"].names if "class" in keys else ()
    if table.schema.classes and getattr(section, "stratify", None) == config.AUTO:
        classes = np.where(np.isnan(table.y[:, 0]), -1, table.y[:, 0]).astype(np.int64)
    match section:
        case config.RandomSplit():
            split = random_split(
                rows, val=section.val, test=section.test, seed=section.seed, classes=classes, names=names
            )
        case config.GroupSplit():
            split = group_split(rows, codes["group"], val=section.val, test=section.test, seed=section.seed)
        case config.TimeSplit():
            assert times is not None
            split = time_split(rows, times, val=section.val, test=section.test)
        case config.FileSplit():
            split = file_split(rows, len(table.x), section.path, val=section.val, seed=section.seed)
        case config.KFoldSplit():
            split = kfold_split(
                rows,
                folds=section.folds,
                fold=section.fold,
                val=section.val,
                seed=section.seed,
                groups=codes.get("group"),
                times=times,
                classes=classes,
                names=names,
            )
    if table.weight is not None:
        for part, in_part in split.parts().items():
            if not table.weight[in_part].any():
                where, remedy = f"{table.source}, column '{table.schema.weight}'", "choose a different split"
                raise UserError(Fault(f"all weights of the {part} set are 0", where, remedy=remedy))
    return split
