"""Rows that are similar to their neighbours in time, which a random split puts into different sets.

A tree that is fitted to some of the training and validation rows predicts the others: random ones, and
then those of a whole period. If it learns from neighbours, its error is far smaller for random ones.
"""

import re
import shlex
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64

from mlplab.config.dotted_keys import quoted
from mlplab.data.leaks.target_leaks import encoded
from mlplab.data.splits.split import Rows, Split
from mlplab.data.table import Table
from mlplab.errors import listed

PERIODS = 5

MIN_ROWS, MAX_ROWS, MAX_VALUES = 50, 2500, 100_000
"""Rows of all periods, and rows × features × outputs. Of larger tables, each period is the start of
a fifth of the rows: a random sample would lack the neighbours."""

MIN_LEAF = 5  # the fewest rows in a leaf of the trees

MAX_ERROR, MIN_GAIN = 0.5, 0.05
"""What neighbours bring: the largest squared error with them, relative to that without, and the smallest
additional share of the variance that is explained."""

DISTANCE, MAX_CHANGE, MIN_CHANGED, MAX_DRIFT = 20, 0.2, 0.9, 0.8
"""How a file in the order of time is recognised if no column says so: between adjacent rows, the mean squared
difference of a target is at most this part of that between rows at this distance; and unlike in a table that
is sorted, the target is the same in few adjacent rows, and both rises and falls."""

TIME = re.compile("year|date|time|month|week|day", re.IGNORECASE)
"""Names of times, which may repeat. A table is sorted by other columns that never fall, but repeat."""


def time_order(table: Table, split: Split) -> list[str]:
    """A warning if rows are similar to their neighbours in time, and these are in different sets."""
    rows = np.sort(np.concatenate([split.train, split.val]))
    rows = rows if table.weight is None else rows[table.weight[rows] > 0]
    most = min(MAX_ROWS, MAX_VALUES // (table.x.shape[1] * table.schema.outputs)) // PERIODS
    for column, ordered in _orders(table, rows) if len(rows) >= MIN_ROWS else ():
        chosen = np.concatenate([period[:most] for period in np.array_split(ordered, PERIODS)])
        is_val = np.isin(chosen, split.val)
        if len(chosen) >= MIN_ROWS and np.diff(is_val).mean() > is_val.mean() * (1 - is_val.mean()):
            near, far = (_explained(table, chosen, of_period=of_period) for of_period in (False, True))
            if 1 - near <= MAX_ERROR * (1 - far) and near - far >= MIN_GAIN:
                return [_warning(table, column, near, far)]
    return []


def _orders(table: Table, rows: Rows) -> Iterator[tuple[str, Rows]]:
    """Rows in the order of each column of dates, and of the file, with the column that has it if any."""
    times, others = list[str](), list[str]()
    for column, part in zip(table.schema.inputs, table.schema.feature_slices, strict=True):
        values = table.x[rows, part.start]
        steps = np.diff(values)
        if "year" in column.parts:
            known = np.isfinite(values)
            yield column.name, rows[known][np.argsort(values[known], kind="stable")]
        elif column.kind == "numeric" and steps.any() and ((steps >= 0).all() or (steps <= 0).all()):
            (times if steps.all() or TIME.search(column.name) else others).append(column.name)
    if (times or not others) and not table.schema.classes and _is_series(table.y[rows]):
        yield next(iter(times), ""), rows


def _is_series(y: Float64[np.ndarray, "_ target"]) -> bool:
    """Whether targets change gradually from row to row, up and down."""
    near, far = (np.square(y[lag:] - y[:-lag]).mean(0) for lag in (1, min(DISTANCE, 1 + len(y) // 10)))
    signs = np.sign(np.diff(y, axis=0))
    is_gradual = (near <= MAX_CHANGE * far) & (np.abs(signs).mean(0) >= MIN_CHANGED)
    return bool((is_gradual & (np.abs(signs.mean(0)) <= MAX_DRIFT)).any())


def _explained(table: Table, rows: Rows, *, of_period: bool) -> float:
    """The share of the variance, of ranks or classes, that is explained by training without a fifth of rows
    in their order: random ones, or those of a period."""
    from sklearn.metrics import r2_score  # imported here since scikit-learn takes half a second
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.tree import DecisionTreeRegressor

    y = np.hstack([encoded(of, of, is_class=bool(table.schema.classes)) for of in table.y[rows].T])
    tree = DecisionTreeRegressor(min_samples_leaf=MIN_LEAF, random_state=0)
    folds = KFold(PERIODS) if of_period else KFold(PERIODS, shuffle=True, random_state=0)
    predicted = cross_val_predict(tree, table.x[rows], y, cv=folds)
    return float(r2_score(y, predicted, multioutput="variance_weighted"))


def _warning(table: Table, column: str, near: float, far: float) -> str:
    of, targets = f"order of '{column}'" if column else "file", listed(map(repr, table.schema.targets), 3)
    shares = f"a tree explains {near:.0%} of {targets} if it learns from them, else {max(far, 0):.0%}"
    how = f"neighbours in the {of} are similar: {shares}; a random split scores the former"
    add = "" if column else "add a column NAME with the time, or the row's number, to the table, then "
    name = quoted(column, mark='"') if column else "NAME"
    return f"{how}; to score later rows: {add}data/split=time {shlex.quote(f'data.split.time={name}')}"
