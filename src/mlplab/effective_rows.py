"""How many rows weighted rows are worth. Imports no torch."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def effective_rows(weight: "np.ndarray | Tensor") -> float:
    """The number of rows of equal weight whose mean varies as much (Kish 1965)."""
    return float(weight.sum() ** 2 / (weight**2).sum())
