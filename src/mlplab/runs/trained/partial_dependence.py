"""How predictions depend on one column, averaged over the values of the others: partial dependence
(Friedman 2001)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, Int64

from mlplab.data.schema import Column
from mlplab.runs.trained.replaced_cells import ReplacedCells, RowNumbers

MAX_VALUES = 20
"""The most values of a column."""


@dataclass(frozen=True)
class PartialDependence:
    """Mean predictions of rows in which all cells of a column have the same value.

    Attributes:
        kind: `categorical` also of booleans, whose values are `false` and `true`.
        values: of the column, as in the table: numbers in order, or the most frequent categories first.
        predictions: for each target or class, the mean prediction or probability at each value.
    """

    column: str
    kind: Literal["numeric", "categorical"]
    values: tuple[float, ...] | tuple[str, ...]
    predictions: dict[str, list[float]]


def partial_dependence(
    replaced: ReplacedCells,
    column: int,
    x: Float[np.ndarray, "row feature"],
    rows: RowNumbers,
    weight: Float64[np.ndarray, " row"] | None,
) -> PartialDependence | None:
    """The partial dependence on a column; None for dates, whose parts cannot vary one by one, and for columns
    with a single value.

    Args:
        x: the features by the ensemble's schema.
        rows: the rows over which predictions are averaged.
        weight: the weight of each of these rows; None: all equal.
    """
    schema = replaced.ensemble.schema
    meaning, cells = schema.inputs[column], x[:, schema.feature_slices[column]][:, 0]
    if meaning.kind == "date" or len(grid := _grid(cells, by_count=meaning.kind == "categorical")) < 2:
        return None
    sources = np.repeat(grid[:, None], len(rows), axis=1)
    means = np.average(replaced.predict(column, rows, sources), axis=1, weights=weight)
    return PartialDependence(
        meaning.name,
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


def _values(column: Column, cells: Float[np.ndarray, " value"]) -> tuple[float, ...] | tuple[str, ...]:
    """Features as values of the column; numbers without the digits that are below a feature's precision."""
    match column.kind:
        case "categorical":
            return tuple(column.categories[int(code)] for code in cells)
        case "boolean":
            return tuple("true" if cell else "false" for cell in cells)
        case _:
            digits = (-np.log10(np.spacing(abs(cells)))).astype(int).tolist()
            pairs = zip(cells.tolist(), digits, strict=True)
            return tuple(round(cell + column.offset, places) for cell, places in pairs)
