"""Warnings about scores that are too good: columns that may contain the target, and neighbours in time.

A column may contain the target if that can be predicted from it alone, or is a sum of columns. Trees and sums
are fitted to training rows and judged on validation rows. The columns stay inputs: physical tables can be
exact, too.

A random split puts neighbours in time into different sets. A tree that is fitted to some of the training and
validation rows predicts the others: random ones, and then those of a whole period. If it learns from
neighbours, its error is far smaller for random ones.
"""

import re
import shlex
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Float64

from mlplab.config.dotted_keys import quoted
from mlplab.data.infer.column_names import TIME_WORDS
from mlplab.data.infer.table_spec import typed
from mlplab.data.schema import Column
from mlplab.data.splits.split import Rows, Split, sample_rows
from mlplab.data.table import Table
from mlplab.errors import listed

# Largest loss of a tree of one column that may contain the target, relative to that of a constant; of which
# cells are missing, if that is all it knows. The loss is the RMSE of ranks, since a tree approximates the
# tails of a target badly, or the Brier score of classes. It counts on training rows, too: few validation rows
# may all be predicted well by chance.
LOSS, LOSS_IF_MISSING = 0.1, 0.2

SHOWN = 5  # warnings, or summands in one

PERIODS, MIN_ROWS = 5, 50  # rows of all periods

X = Float[np.ndarray, "_ feature"] | Bool[np.ndarray, "_ feature"]
Y = Float64[np.ndarray, " _"]
Encoded = Float64[np.ndarray, "_ output"]


def target_leaks(table: Table, split: Split) -> list[str]:
    """Warnings about columns that alone predict a target well, or whose weighted sum it is.

    There are none if a table has a single input, without which nothing could be learned.
    """
    schema = table.schema
    most = min(5000, 2 * 10**6 // (table.x.shape[1] * schema.outputs))  # of more rows, a random sample
    train, val = (sample_rows(weighted_rows(table, r), most) for r in (split.train, split.val))
    if len(val) < 10 or len(schema.inputs) == 1:
        return []
    x, x_val = table.x[train], table.x[val]
    warnings = list[str]()
    for target, y in zip(schema.targets, table.y.T, strict=True):
        is_class = bool(schema.classes)
        known, known_val = (_encoded(y[rows], y[train], is_class=is_class) for rows in (train, val))
        if not (np.ptp(known, axis=0).any() and np.ptp(known_val, axis=0).any()):
            continue  # all equal, or all beyond what training saw
        found = {
            column.name: how
            for column, part in zip(schema.inputs, schema.feature_slices, strict=True)
            if (how := _how_well(column, x[:, part], known, x_val[:, part], known_val))
        }
        summands = [] if found or schema.classes else _summands(table, x, y[train], x_val, y[val])
        if len(summands) > 1:
            what = f"'{target}' is almost exactly a weighted sum of {listed(map(repr, summands), SHOWN)}"
            warnings.append(f"{what}; if it was computed from them, drop one: {typed(summands[0], 'drop')}")
            continue
        for name, how in (found or dict.fromkeys(summands, "almost perfectly")).items():
            what = f"column '{name}' alone predicts '{target}' {how}"
            which = "if it contains the target, is known only later, or counts sorted rows, drop it"
            warnings.append(f"{what}; {which}: {typed(name, 'drop')}")
    more = len(warnings) - SHOWN
    return [*warnings[:SHOWN], *([f"and {more} more such warnings"] if more > 0 else [])]


def weighted_rows(table: Table, rows: Rows) -> Rows:
    """Those of some rows that have a weight above 0."""
    return rows if table.weight is None else rows[table.weight[rows] > 0]


def encoded_targets(table: Table, rows: Rows) -> Encoded:
    """The ranks of each target among some rows; or a column for each of their classes."""
    return np.hstack([_encoded(of, of, is_class=bool(table.schema.classes)) for of in table.y[rows].T])


def _encoded(y: Y, known: Y, *, is_class: bool) -> Encoded:
    """Numbers as their ranks among known ones; or a column for each known class."""
    if is_class:
        return np.equal.outer(y, np.unique(known)).astype(np.float64)
    ordered = np.sort(known)
    return 0.5 * (ordered.searchsorted(y) + ordered.searchsorted(y, "right"))[:, None]


def _how_well(column: Column, x: X, y: Encoded, x_val: X, y_val: Encoded) -> str:
    from sklearn.metrics import roc_auc_score  # imported here since scikit-learn takes half a second

    values, both = np.concatenate([x[:, 0], x_val[:, 0]]), np.concatenate([y, y_val])
    missing = np.isnan(values)
    if missing.all():
        return ""
    classes = y.shape[1] if y.shape[1] > 1 else 0
    leaves = max(2 * classes, 1 + len(column.categories)) if classes else 256
    loss, most, by = _loss(x, y, x_val, y_val, leaves), LOSS, ""
    if missing.any() and (of_missing := _loss(*2 * (missing[:, None], both), leaves)) <= LOSS_IF_MISSING:
        loss, most, by = of_missing, LOSS_IF_MISSING, ", by which of its cells are missing"
    if loss <= 0.03:
        return f"almost perfectly{by}"
    if classes and len(y_val) - y_val.sum(0).max() < 5:  # few that are not of the most frequent class
        return ""
    if loss <= most:
        return f"and removes {1 - loss:.0%} of the loss{by}"
    if classes == 2:
        values[missing] = np.nanmedian(values)
        auroc = roc_auc_score(both[:, 1], values)
        if (auroc := max(auroc, 1 - auroc)) >= 0.98:
            return f"and ranks its classes with AUROC {auroc:.3f}"
    return ""


def _loss(x: X, y: Encoded, x_val: X, y_val: Encoded, leaves: int) -> float:
    """The error of a tree relative to that of a constant, the larger one of both sets."""
    from sklearn.metrics import mean_squared_error
    from sklearn.tree import DecisionTreeRegressor

    tree = DecisionTreeRegressor(max_leaf_nodes=leaves, random_state=0).fit(x, y)
    sets = (x, y), (x_val, y_val)
    errors = (mean_squared_error(true, tree.predict(of)) / true.var(0).mean() for of, true in sets)
    return float(max(errors)) ** (1 if y.shape[1] > 1 else 0.5)


def _summands(table: Table, x: X, y: Y, x_val: X, y_val: Y) -> list[str]:
    from sklearn.linear_model import RidgeCV
    from sklearn.metrics import r2_score

    names = np.array([column.name for column, _ in table.schema.features])
    numbers = np.array(table.schema.category_counts) == 0
    x, x_val = (np.nan_to_num(part[:, numbers].astype(np.float64)) for part in (x, x_val))
    std = np.where(varies := x.std(0) > 0, x.std(0), 1)
    ridge = RidgeCV(10.0 ** np.arange(-6, 3)).fit(x / std, y) if varies.any() else None
    if ridge is None or 1 - r2_score(y_val, ridge.predict(x_val / std)) > 1e-4:
        return []
    sizes = np.abs(ridge.coef_)
    largest = np.argsort(-sizes, kind="stable")
    return names[numbers][largest[sizes[largest] >= 0.01 * sizes.max()]].tolist()


def time_order(table: Table, split: Split) -> list[str]:
    """A warning if rows are similar to their neighbours in time, and these are in different sets."""
    rows = weighted_rows(table, np.sort(np.concatenate([split.train, split.val])))
    # Of a larger table, each period is the start of a fifth of the rows: a sample would lack the neighbours.
    most = min(2500, 100_000 // (table.x.shape[1] * table.schema.outputs)) // PERIODS
    for column, ordered in _orders(table, rows) if len(rows) >= MIN_ROWS else ():
        chosen = np.concatenate([period[:most] for period in np.array_split(ordered, PERIODS)])
        is_val = np.isin(chosen, split.val)
        if len(chosen) >= MIN_ROWS and np.diff(is_val).mean() > is_val.mean() * (1 - is_val.mean()):
            near, far = (_explained(table, chosen, of_period=of_period) for of_period in (False, True))
            if 1 - near <= 0.5 * (1 - far) and near - far >= 0.05:
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
            # Times may repeat. A table is sorted by other columns that never fall, but repeat.
            is_time = steps.all() or re.search(f"(?i){TIME_WORDS}", column.name)
            (times if is_time else others).append(column.name)
    if (others and not times) or table.schema.classes:
        return
    y = table.y[rows]
    near, far = (np.square(y[lag:] - y[:-lag]).mean(0) for lag in (1, min(20, 1 + len(y) // 10)))
    signs = np.sign(np.diff(y, axis=0))  # up and down, unlike in a table that is sorted
    is_gradual = (near <= 0.2 * far) & (np.abs(signs).mean(0) >= 0.9)
    if (is_gradual & (np.abs(signs.mean(0)) <= 0.8)).any():
        yield next(iter(times), ""), rows


def _explained(table: Table, rows: Rows, *, of_period: bool) -> float:
    """The share of the variance, of ranks or classes, that is explained by training without a fifth of rows
    in their order: random ones, or those of a period."""
    from sklearn.metrics import r2_score
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.tree import DecisionTreeRegressor

    tree = DecisionTreeRegressor(min_samples_leaf=5, random_state=0)
    folds = KFold(PERIODS) if of_period else KFold(PERIODS, shuffle=True, random_state=0)
    y = encoded_targets(table, rows)
    predicted = cross_val_predict(tree, table.x[rows], y, cv=folds)
    return float(r2_score(y, predicted, multioutput="variance_weighted"))


def _warning(table: Table, column: str, near: float, far: float) -> str:
    of, targets = f"order of '{column}'" if column else "file", listed(map(repr, table.schema.targets), 3)
    shares = f"a tree explains {near:.0%} of {targets} if it learns from them, else {max(far, 0):.0%}"
    how = f"neighbours in the {of} are similar: {shares}; a random split scores the former"
    add = "" if column else "add a column NAME with the time, or the row's number, to the table, then "
    name = quoted(column, mark='"') if column else "NAME"
    when = "when rows were observed, unlike a date of birth or registration"
    premise = f"'{column}' is {when}" if column else "the file is in the order in which rows were observed"
    remedy = f"{add}data/split=time {shlex.quote(f'data.split.time={name}')}"
    return f"{how}; if {premise}, score later rows: {remedy}"
