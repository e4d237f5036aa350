"""Makes the split that a configuration describes, and those of an ensemble's members."""

import numpy as np

from mlplab import config
from mlplab.data.splits.bagging import bagged_splits
from mlplab.data.splits.split import Codes, Split, SplitKeys
from mlplab.data.splits.splitters import file_split, kfold_split, random_split
from mlplab.data.table import Table
from mlplab.errors import Fault, UserError


def make_split(section: config.Split, table: Table) -> Split:
    """The split of a table.

    Raises:
        UserError: if a set has no row, or no row with a weight above 0.
    """
    rows, keys = table.rows, _split_keys(table, stratify=getattr(section, "stratify", None) is not None)
    seed = 0 if isinstance(section, config.TimeSplit) else section.seed
    match section:
        case config.RandomSplit() | config.GroupSplit() | config.TimeSplit():
            split = random_split(rows, keys, val=section.val, test=section.test, seed=seed)
        case config.FileSplit():
            split = file_split(rows, len(table.x), section.path, val=section.val, seed=seed)
        case config.KFoldSplit(folds=folds, fold=fold):
            split = kfold_split(rows, keys, folds=folds, fold=fold, val=section.val, seed=seed)
    if table.weight is not None:
        for part, in_part in split.parts().items():
            if len(in_part) and not table.weight[in_part].any():
                where, remedy = f"{table.source}, column '{table.schema.weight}'", "choose a different split"
                raise UserError(Fault(f"all weights of the {part} set are 0", where, remedy=remedy))
    return split


def make_member_splits(section: config.Split, table: Table, split: Split, members: int) -> list[Split]:
    """The splits of the members of an ensemble (see `bagged_splits`); a target of classes stratifies them."""
    keys = _split_keys(table, stratify=True)
    seed = 0 if isinstance(section, config.TimeSplit) else section.seed
    fold = section.fold if isinstance(section, config.KFoldSplit) else 0
    counts = np.ones(len(table.x), bool) if table.weight is None else table.weight > 0
    return bagged_splits(split, members, counts, keys, seed=(seed, fold))


def _split_keys(table: Table, *, stratify: bool) -> SplitKeys:
    columns = table.split_columns
    groups = _codes(columns["group"]) if "group" in columns else None
    classes = _codes(table.y[:, 0]) if stratify and table.schema.classes else None
    return SplitKeys(groups, columns.get("time"), classes)


def _codes(numbers: np.ndarray) -> Codes:
    return np.where(np.isnan(numbers), -1, numbers).astype(np.int64)
