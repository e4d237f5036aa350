"""Input columns that may contain the target, since it can be predicted from one of them or their sum.

Trees and sums are fitted to training rows and judged on validation rows. The columns stay inputs: physical
tables can be exact, too.
"""

import numpy as np
from jaxtyping import Bool, Float, Float64

from mlplab.data.infer.table_spec import typed
from mlplab.data.schema import Column
from mlplab.data.splits.split import Split, sample_rows
from mlplab.data.table import Table
from mlplab.errors import listed

LOSS, LOSS_IF_MISSING = 0.1, 0.2
"""Largest loss of a tree of one column that may contain the target, relative to that of a constant; of which
cells are missing, if that is all it knows. The loss is the RMSE of ranks, since a tree approximates the tails
of a target badly, or the Brier score of classes. It counts on training rows, too: few validation rows may all
be predicted well by chance."""

EXACT = 0.03  # the same for columns that predict a target almost perfectly
AUROC = 0.98  # the smallest one for two classes, of a column whose numbers rank them

MIN_OTHERS = 5
"""Validation rows that are not of the most frequent class, unless classes are predicted almost perfectly."""

UNEXPLAINED_BY_SUM = 1e-4
"""Largest share of the variance of a target that ridge regression on all numbers leaves unexplained if the
target may be a sum of them."""

MAX_LEAVES = 256
"""Leaves of trees for numbers; those for classes have two for each class, or one for each category."""

MAX_VALUES, MAX_ROWS = 2 * 10**6, 5000
"""Rows × features × targets, and rows; of more, a random sample is used."""

MIN_VAL_ROWS = 10

SUMMAND = 0.01  # smallest coefficient of a summand relative to the largest, for standardized columns

SHOWN = 5

X = Float[np.ndarray, "_ feature"] | Bool[np.ndarray, "_ feature"]
Y = Float64[np.ndarray, " _"]
Encoded = Float64[np.ndarray, "_ output"]


def target_leaks(table: Table, split: Split) -> list[str]:
    """Warnings about columns that alone predict a target well, or whose weighted sum it is.

    There are none if a table has a single input, without which nothing could be learned.
    """
    schema = table.schema
    most = min(MAX_ROWS, MAX_VALUES // (table.x.shape[1] * schema.outputs))
    usable = (r if table.weight is None else r[table.weight[r] > 0] for r in (split.train, split.val))
    train, val = (sample_rows(rows, most) for rows in usable)
    if len(val) < MIN_VAL_ROWS or len(schema.inputs) == 1:
        return []
    x, x_val = table.x[train], table.x[val]
    warnings = list[str]()
    for target, y in zip(schema.targets, table.y.T, strict=True):
        is_class = bool(schema.classes)
        known, known_val = (encoded(y[rows], y[train], is_class=is_class) for rows in (train, val))
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


def encoded(y: Y, known: Y, *, is_class: bool) -> Encoded:
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
    leaves = max(2 * classes, 1 + len(column.categories)) if classes else MAX_LEAVES
    loss, most, by = _loss(x, y, x_val, y_val, leaves), LOSS, ""
    if missing.any() and (of_missing := _loss(*2 * (missing[:, None], both), leaves)) <= LOSS_IF_MISSING:
        loss, most, by = of_missing, LOSS_IF_MISSING, ", by which of its cells are missing"
    if loss <= EXACT:
        return f"almost perfectly{by}"
    if classes and len(y_val) - y_val.sum(0).max() < MIN_OTHERS:
        return ""
    if loss <= most:
        return f"and removes {1 - loss:.0%} of the loss{by}"
    if classes == 2:
        values[missing] = np.nanmedian(values)
        auroc = roc_auc_score(both[:, 1], values)
        if (auroc := max(auroc, 1 - auroc)) >= AUROC:
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
    """The columns of which a target is a weighted sum; none if it is not one, up to rounding."""
    from sklearn.linear_model import RidgeCV
    from sklearn.metrics import r2_score

    names = np.array([column.name for column, _ in table.schema.features])
    numbers = np.array(table.schema.category_counts) == 0
    x, x_val = (np.nan_to_num(part[:, numbers].astype(np.float64)) for part in (x, x_val))
    std = np.where(varies := x.std(0) > 0, x.std(0), 1)
    ridge = RidgeCV(10.0 ** np.arange(-6, 3)).fit(x / std, y) if varies.any() else None
    if ridge is None or 1 - r2_score(y_val, ridge.predict(x_val / std)) > UNEXPLAINED_BY_SUM:
        return []
    sizes = np.abs(ridge.coef_)
    largest = np.argsort(-sizes, kind="stable")
    return names[numbers][largest[sizes[largest] >= SUMMAND * sizes.max()]].tolist()
