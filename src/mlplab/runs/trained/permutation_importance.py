"""How much worse predictions become when the cells of a column are shuffled: permutation importance
(Breiman 2001, for any model: Fisher, Rudin and Dominici 2019)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from mlplab.runs.trained.greedy_selection import Error
from mlplab.runs.trained.replaced_cells import ReplacedCells

MAX_ROWS, MIN_ROWS = 10_000, 200
"""The most rows that are used, and the fewest that a budget leaves."""

MAX_REPEATS, MIN_REPEATS = 10, 3
"""The most shuffles of a column, and the fewest that a budget leaves."""

BUDGET = 4 * 10**11
"""Multiplications of weights that all shuffles may take together: about ten seconds of one core."""


@dataclass(frozen=True)
class ColumnImportance:
    """The increase of the error when a column's cells are shuffled: mean and standard deviation."""

    name: str
    mean: float
    sd: float


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


def shuffles(rows: int, repeats: int, seed: int) -> Int64[np.ndarray, "repeat row"]:
    """Random orders of rows; all columns are shuffled by the same ones."""
    source = np.random.default_rng(seed)
    return np.stack([source.permutation(rows) for _ in range(repeats)])


def permutation_importance(
    replaced: ReplacedCells,
    error: Error,
    orders: Int64[np.ndarray, "repeat row"],
    count: Callable[[int], None],
) -> tuple[float, list[ColumnImportance]]:
    """The error of predictions, and the importance of each column for it, the highest first.

    Columns that say the same share their importance: when one is shuffled, the network still has the other.

    Args:
        error: of predictions for all rows.
        orders: how the rows are shuffled.
        count: is called with the number of columns so far.
    """
    rows = np.arange(replaced.rows)
    base = error(replaced.predict(0, rows, rows[None])[0])
    found = []
    for column, name in enumerate(replaced.ensemble.schema.names):
        increases = [error(predicted) - base for predicted in replaced.predict(column, rows, orders)]
        found.append(ColumnImportance(name, float(np.mean(increases)), float(np.std(increases, ddof=1))))
        count(len(found))
    return base, sorted(found, key=lambda each: -each.mean)
