"""Input columns that may contain the target, since it can be computed from them.

Trees and sums are fitted to training rows and judged on validation rows. The columns stay inputs: physical
tables can be exact, too.
"""

import numpy as np
from jaxtyping import Float, Float64

from mlplab.data.infer.table_spec import typed
from mlplab.data.splits.split import Split, sample_rows
from mlplab.data.table import Table
from mlplab.errors import listed

UNEXPLAINED = 1e-3
"""Largest share of the variance of a target's ranks that a tree of one column leaves unexplained if that
column may contain the target. Ranks, since a tree approximates the tails of a target badly."""

UNEXPLAINED_BY_SUM = 1e-4
"""The same for the target itself and ridge regression on all numbers."""

CLASS_ERRORS = 0.01
"""The same for classes: the number of errors of a tree, relative to that of the most frequent class. Errors
on training rows count, too: few validation rows may all be predicted well by chance."""

MAX_DEPTH = 8
"""Depth of the trees for numbers."""

MAX_VALUES, MAX_ROWS = 2 * 10**6, 5000
"""Rows × features × targets, and rows; of more, a random sample is used."""

MIN_VAL_ROWS = 10

SUMMAND = 0.01
"""Smallest coefficient of a summand relative to the largest, for standardized columns."""

SHOWN = 5

X = Float[np.ndarray, "_ feature"]
Y = Float64[np.ndarray, " _"]


def target_leaks(table: Table, split: Split) -> list[str]:
    """Warnings about columns that alone predict a target almost perfectly, or whose weighted sum it is.

    There are none if a table has a single input, without which nothing could be learned.
    """
    schema = table.schema
    most = min(MAX_ROWS, MAX_VALUES // (table.x.shape[1] * len(schema.targets)))
    usable = (r if table.weight is None else r[table.weight[r] > 0] for r in (split.train, split.val))
    train, val = (sample_rows(rows, most) for rows in usable)
    if len(val) < MIN_VAL_ROWS or len(schema.inputs) == 1:
        return []
    x, x_val = table.x[train], table.x[val]
    warnings = list[str]()
    for target, y in zip(schema.targets, table.y.T, strict=True):
        names = []
        for column, part in zip(schema.inputs, schema.feature_slices, strict=True):
            known = x[:, part], y[train], x_val[:, part], y[val]
            leaves = len(column.categories) + 1
            if _determines_class(*known, leaves) if schema.classes else _determines_number(*known):
                names.append(column.name)
        summands = [] if names or schema.classes else _summands(table, x, y[train], x_val, y[val])
        if len(summands) > 1:
            what = f"'{target}' is almost exactly a weighted sum of {listed(map(repr, summands), SHOWN)}"
            warnings.append(f"{what}; if it was computed from them, drop one: {typed(summands[0], 'drop')}")
            continue
        for name in names or summands:
            what = f"column '{name}' alone predicts '{target}' almost perfectly"
            which = "if it contains the target, is known only later, or counts sorted rows, drop it"
            warnings.append(f"{what}; {which}: {typed(name, 'drop')}")
    more = len(warnings) - SHOWN
    return [*warnings[:SHOWN], *([f"and {more} more such warnings"] if more > 0 else [])]


def _determines_number(x: X, y: Y, x_val: X, y_val: Y) -> bool:
    """Whether a column almost determines the order of a target."""
    from sklearn.tree import DecisionTreeRegressor  # imported here since it takes half a second

    ordered = np.sort(y)
    ranks, expected = (0.5 * (ordered.searchsorted(v) + ordered.searchsorted(v, "right")) for v in (y, y_val))
    tree = DecisionTreeRegressor(max_depth=MAX_DEPTH, random_state=0).fit(x, ranks)
    return _unexplained(tree.predict(x_val), expected) <= UNEXPLAINED


def _determines_class(x: X, y: Y, x_val: X, y_val: Y, leaves: int) -> bool:
    """Whether a column almost determines a class, by a tree with two leaves a class, or `leaves`."""
    from sklearn.tree import DecisionTreeClassifier

    classes, counts = np.unique(y, return_counts=True)
    tree = DecisionTreeClassifier(max_leaf_nodes=max(2 * len(classes), leaves), random_state=0).fit(x, y)
    most_frequent = classes[counts.argmax()]
    return all(
        (others := (true != most_frequent).sum()) > 0
        and (tree.predict(of) != true).sum() <= CLASS_ERRORS * others
        for of, true in ((x, y), (x_val, y_val))
    )


def _summands(table: Table, x: X, y: Y, x_val: X, y_val: Y) -> list[str]:
    """The columns of which a target is a weighted sum; none if it is not one, up to rounding."""
    from sklearn.linear_model import RidgeCV

    names = np.array([column.name for column, _ in table.schema.features])
    numbers = np.array(table.schema.category_counts) == 0
    x, x_val = (np.nan_to_num(part[:, numbers].astype(np.float64)) for part in (x, x_val))
    std = np.where(varies := x.std(0) > 0, x.std(0), 1)
    ridge = RidgeCV(10.0 ** np.arange(-6, 3)).fit(x / std, y) if varies.any() else None
    if ridge is None or _unexplained(ridge.predict(x_val / std), y_val) > UNEXPLAINED_BY_SUM:
        return []
    sizes = np.abs(ridge.coef_)
    largest = np.argsort(-sizes, kind="stable")
    return names[numbers][largest[sizes[largest] >= SUMMAND * sizes.max()]].tolist()


def _unexplained(predicted: Y, y: Y) -> float:
    """The mean squared error relative to the variance; infinite if all values are equal."""
    variance = y.var()
    return float(np.square(predicted - y).mean() / variance) if variance else np.inf
