"""The rows that all contenders train on, in memory and in a file for processes of their own."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Rows(NamedTuple):
    """Inputs `[row, feature]` and targets `[row]` of each part, standardised by the training rows."""

    x_train: Floats
    y_train: Floats
    x_val: Floats
    y_val: Floats
    x_test: Floats
    y_test: Floats

    def save(self, path: Path) -> None:
        """Writes an `.npz` file."""
        np.savez(path, **self._asdict())

    @classmethod
    def load(cls, path: Path) -> "Rows":
        """Reads what `save` wrote."""
        with np.load(path) as file:
            return cls(**file)
