"""Functions of which nothing is learned for many epochs, and pure noise: when may training stop?

Each table has the target `y` last; functions have 4,000 rows of ten columns, most of which have no effect.
"""

from collections.abc import Callable

import numpy as np
import polars as pl

from benchmarks.generated import frame_of

ROWS, COLUMNS, NOISE = 4000, 10, 0.05


def _above(x: np.ndarray, threshold: float = 0) -> np.ndarray:
    return (x > threshold).astype(float)


def _waves(x: np.ndarray) -> np.ndarray:
    return np.sin(5 * x[:, 0]) * np.sin(5 * x[:, 1])


def _product(x: np.ndarray) -> np.ndarray:
    return x[:, 0] * x[:, 1] * x[:, 2]


# Of inputs that are even in [-1, 1), or normal where the name says so.
NUMBERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "waves": _waves,
    "normal_waves": _waves,
    "product": _product,
    "wave_of_a_sum": lambda x: np.sin(4 * x[:, :3].sum(1)),
    "checkerboard": lambda x: np.sign(np.sin(4 * x[:, 0]) * np.sin(4 * x[:, 1])),
    "box": lambda x: 3 * np.prod(_above(x[:, :3]), axis=1),
    "switched": lambda x: x[:, 3] * np.sign(x[:, 0] * x[:, 1]),
    "line_and_product": lambda x: x[:, 4] + 2 * _product(x),
}
CLASSES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "parity": lambda x: _above(x[:, :3]).sum(1) % 2,
    "corners": lambda x: _above(x[:, 0] * x[:, 1]),
    "rings": lambda x: np.floor(4 * np.hypot(x[:, 0], x[:, 1])) % 2,
    "sums_of_thirds": lambda x: np.floor(1.5 * (x[:, :2] + 1)).sum(1) % 3,
}


def table_of(name: str) -> pl.DataFrame:
    """The table of a function; or noise: of numbers, or of so many classes, then rows and columns.

    Noise is called `noise-numbers-300-5` or `noise-3-300-5`, for instance.
    """
    drawn = np.random.default_rng(len(name))
    if name.startswith("noise"):
        _, kind, *sizes = name.split("-")
        rows, columns = map(int, sizes)
        y = drawn.normal(size=rows) if kind == "numbers" else drawn.integers(int(kind), size=rows)
        return frame_of(drawn.normal(size=(rows, columns)), y)
    shape = ROWS, COLUMNS
    x = drawn.normal(size=shape) if name.startswith("normal") else drawn.uniform(-1, 1, shape)
    if name in CLASSES:
        return frame_of(x, CLASSES[name](x).astype(int))
    return frame_of(x, NUMBERS[name](x) + drawn.normal(0, NOISE, ROWS))
