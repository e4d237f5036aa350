"""Which columns matter for predictions, and how predictions depend on them.

Permutation importance is how much worse predictions become when the cells of a column are shuffled
(Breiman 2001, for any model: Fisher, Rudin and Dominici 2019). Partial dependence is the mean prediction if
all rows had the same value in a column (Friedman 2001).
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64

from mlplab.data.schema import Column
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.greedy_selection import Error
from mlplab.runs.trained.run_stack import check_finite

MAX_ROWS, MIN_ROWS = 10_000, 200
"""The most rows that are used, and the fewest that a budget leaves."""

MAX_REPEATS, MIN_REPEATS = 10, 3
"""The most shuffles of a column, and the fewest that a budget leaves."""

BUDGET = 4 * 10**11
"""Multiplications of weights that all shuffles may take together: about ten seconds of one core."""

MAX_VALUES = 20
"""The most values of a partial dependence."""

X = Float[np.ndarray, "row feature"]
RowNumbers = Int64[np.ndarray, " row"]


class ColumnImportance(NamedTuple):
    """The increase of the error when a column's cells are shuffled: mean and standard deviation."""

    name: str
    mean: float
    sd: float


class PartialDependence(NamedTuple):
    """Mean predictions of rows in which all cells of a column have the same value.

    Attributes:
        kind: `categorical` also of booleans, whose values are `false` and `true`.
        values: of the column, as in the table: numbers in order, or the most frequent categories first.
        predictions: for each target or class, the mean prediction or probability at each value.
    """

    column: str
    kind: Literal["numeric", "categorical"]
    values: list[float] | list[str]
    predictions: dict[str, list[float]]


def affordable(rows: int, columns: int, weights: int) -> tuple[int, int]:
    """The number of rows and of shuffles that the budget allows: it lowers first the rows, then the shuffles.

    Args:
        rows: the number of rows that there are.
        columns: the number of columns to shuffle.
        weights: the number of weights of all networks, which multiply each row.
    """
    passes = BUDGET // (columns * weights)
    used = min(rows, MAX_ROWS, max(MIN_ROWS, passes // MAX_REPEATS))
    return used, min(MAX_REPEATS, max(MIN_REPEATS, passes // used))


def _predict_replaced(
    ensemble: Ensemble, x: X, column: int, rows: RowNumbers, sources: RowNumbers
) -> Float64[np.ndarray, "row output"]:
    """Predictions of rows in which the cells of a column are replaced by those of other rows.

    All features of the column, such as the parts of a date, are replaced together. A missing value is a cell
    like others.

    Args:
        sources: for each of the rows, the row whose cell it gets.

    Raises:
        UserError: if a prediction is not finite.
    """
    cells, replaced = ensemble.schema.feature_slices[column], x[rows]
    replaced[:, cells] = x[sources, cells]
    predicted, _ = ensemble.predict_features(replaced)
    check_finite(predicted)
    return predicted


def permutation_importance(
    ensemble: Ensemble, x: X, error: Error, repeats: int, count: Callable[[int], None]
) -> tuple[float, list[ColumnImportance]]:
    """The error of predictions, and the importance of each column for it, the highest first.

    Columns that say the same share their importance: when one is shuffled, the network still has the other.
    All columns are shuffled in the same orders, by the seed of the first run.

    Args:
        error: of predictions for all rows.
        repeats: how often each column is shuffled.
        count: is called with the number of columns so far.
    """
    rows, source = np.arange(len(x)), np.random.default_rng(ensemble.config[0].seed)
    orders = [source.permutation(len(rows)) for _ in range(repeats)]
    base = error(_predict_replaced(ensemble, x, 0, rows, rows))
    importances = []
    for column, name in enumerate(ensemble.schema.names):
        increases = [error(_predict_replaced(ensemble, x, column, rows, order)) - base for order in orders]
        importances.append(
            ColumnImportance(name, float(np.mean(increases)), float(np.std(increases, ddof=1)))
        )
        count(len(importances))
    return base, sorted(importances, key=lambda importance: -importance.mean)


def partial_dependence(
    ensemble: Ensemble,
    x: X,
    name: str,
    rows: RowNumbers,
    weight: Float64[np.ndarray, " row"] | None,
) -> PartialDependence | None:
    """The partial dependence on a column; None for dates, whose parts cannot vary one by one, and for columns
    with a single value.

    Args:
        rows: the rows over which predictions are averaged.
        weight: the weight of each of these rows; None: all equal.
    """
    schema, column = ensemble.schema, ensemble.schema.names.index(name)
    meaning, cells = schema.inputs[column], x[:, schema.feature_slices[column]][:, 0]
    if meaning.kind == "date" or len(grid := _grid(cells, by_count=meaning.kind == "categorical")) < 2:
        return None
    predicted = [_predict_replaced(ensemble, x, column, rows, np.full(len(rows), source)) for source in grid]
    means = np.average(predicted, axis=1, weights=weight)
    return PartialDependence(
        name,
        "numeric" if meaning.kind == "numeric" else "categorical",
        _values(meaning, cells[grid]),
        dict(zip(schema.classes or schema.targets, means.T.tolist(), strict=True)),
    )


def _grid(cells: Float[np.ndarray, " row"], *, by_count: bool) -> Int64[np.ndarray, " value"]:
    """Rows whose cells are the most frequent values, or the middles of equal parts of the sorted cells."""
    values, rows, counts = np.unique(cells, return_index=True, return_counts=True)
    known = np.isfinite(values)
    rows, counts = rows[known], counts[known]
    if by_count:
        return rows[np.argsort(-counts, kind="stable")[:MAX_VALUES]]
    if len(rows) > MAX_VALUES:
        middles = (np.arange(MAX_VALUES) + 0.5) / MAX_VALUES * counts.sum()
        rows = rows[np.unique(np.searchsorted(counts.cumsum(), middles, side="right"))]
    return rows


def _values(column: Column, cells: Float[np.ndarray, " value"]) -> list[float] | list[str]:
    """Features as values of the column; numbers without the digits that are below a feature's precision."""
    if column.kind != "numeric":
        names = column.categories or ("false", "true")
        return [names[int(code)] for code in cells]
    digits = (-np.log10(np.spacing(abs(cells)))).astype(int).tolist()
    pairs = zip(cells.tolist(), digits, strict=True)
    return [round(cell + column.offset, places) for cell, places in pairs]
