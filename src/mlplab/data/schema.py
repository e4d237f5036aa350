"""What the columns mean, and what the training rows of each member say about them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mlplab.data.numbers import as_matrix
from mlplab.data.split import Rows
from mlplab.data.table import Table
from mlplab.errors import Fault, UserError

MAGNITUDES = (1e-30, 1e30)
"""Smallest and largest centred values of a column, with room to square them in float32."""


@dataclass(frozen=True)
class Column:
    """A column of numbers; `offset` is taken off in float64, before anything is rounded to float32.

    The offset keeps the digits of columns whose values are large beside their spread, such as time stamps;
    nothing else depends on it.
    """

    name: str
    offset: float


@dataclass(frozen=True)
class Schema:
    """The input columns in the network's order, and the target's name.

    The target has no offset: it stays float64 until each member's own statistics are taken off.
    """

    inputs: tuple[Column, ...]
    target: str

    @classmethod
    def of(cls, table: Table, *, raw: bool = False) -> "Schema":
        """The schema of a table; `raw` leaves the offsets 0: the network sees values as they are.

        Raises:
            UserError: for a column whose values float32 cannot hold.
        """

        def column(name: str) -> Column:
            offset = 0.0 if raw else float(table.frame[name].median())  # type: ignore[arg-type]
            _check_magnitude(table, name, offset)
            return Column(name, offset)

        _check_magnitude(table, table.target, 0.0)

        return cls(tuple(column(name) for name in table.features), table.target)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Schema":
        """What `plain` gave."""
        return cls(tuple(Column(**each) for each in plain["inputs"]), plain["target"])

    def plain(self) -> dict[str, Any]:
        """As strings, numbers, lists and dicts."""
        return {"inputs": [asdict(column) for column in self.inputs], "target": self.target}

    @property
    def names(self) -> list[str]:
        """The input columns' names."""
        return [column.name for column in self.inputs]

    @property
    def offsets(self) -> Float64[np.ndarray, " feature"]:
        """The input columns' offsets."""
        return np.array([column.offset for column in self.inputs])

    def centred(
        self, table: Table
    ) -> tuple[Float64[np.ndarray, "row feature"], Float64[np.ndarray, "row 1"]]:
        """Inputs of a table with the columns' offsets taken off, and its target."""
        return (
            as_matrix(table.frame, self.names, table.source) - self.offsets,
            as_matrix(table.frame, [self.target], table.source),
        )


def _check_magnitude(table: Table, name: str, offset: float) -> None:
    smallest, greatest = MAGNITUDES
    with np.errstate(over="ignore"):
        largest = float(np.abs(table.frame[name].to_numpy() - offset).max())
    if largest and not smallest <= largest <= greatest:
        raise UserError(
            Fault(
                "its values are too small or too large for float32",
                f"{table.source}, column '{name}'",
                f"{largest:.3g} as the largest",
                f"one between {smallest:g} and {greatest:g}",
                "give them in another unit",
            )
        )


@dataclass(frozen=True)
class Statistics:
    """Mean, standard deviation and median of the centred columns over each member's training rows.

    The deviation of a column that is constant there is given as 1, so that it can be divided by.
    """

    x_mean: Float[Tensor, "member 1 feature"]
    x_std: Float[Tensor, "member 1 feature"]
    x_median: Float[Tensor, "member 1 feature"]
    y_mean: Float[Tensor, "member 1 target"]
    y_std: Float[Tensor, "member 1 target"]

    @classmethod
    def of(
        cls,
        x: Float64[np.ndarray, "row feature"],
        y: Float64[np.ndarray, "row target"],
        train: Sequence[Rows],
    ) -> "Statistics":
        """Computed in float64; `train` holds the training rows of each member.

        Members that share one array of rows cost no more than one of them.
        """
        distinct = {id(rows): rows for rows in train}
        each = {key: _of_rows(x[rows], y[rows]) for key, rows in distinct.items()}
        stacked = (np.stack(values) for values in zip(*(each[id(rows)] for rows in train), strict=True))
        return cls(*map(torch.from_numpy, stacked))


def _of_rows(
    x: Float64[np.ndarray, "row feature"], y: Float64[np.ndarray, "row target"]
) -> tuple[Float64[np.ndarray, "1 _"], ...]:
    """In the order of the fields of `Statistics`."""
    columns = (x.mean(0), deviation(x), np.median(x, 0), y.mean(0), deviation(y))
    return tuple(column[None] for column in columns)


def deviation(values: Float64[np.ndarray, "row column"]) -> Float64[np.ndarray, " column"]:
    """Standard deviation of each column, and 1 for a constant one, so that it can be divided by.

    A constant is one by its smallest and largest value: rounding gives it a deviation of about 1e-16.
    """
    return np.where(values.min(0) < values.max(0), values.std(0), 1.0)
