"""Tables drawn from known functions.

To add a function, write one from inputs `[row, feature]` to values `[row]`, and add it to `FUNCTIONS`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float64

from mlplab.data.synthetic.scenarios import SCENARIOS
from mlplab.errors import Fault, UserError, did_you_mean, listed, nearest, refusal

X = Float64[np.ndarray, "row feature"]
Y = Float64[np.ndarray, " row"]


class Function(NamedTuple):
    """A function of so many inputs, and the bounds between which they, and further ones, are drawn."""

    values: Callable[[X], Y]
    inputs: int
    low: float
    high: float


def friedman1(x: X) -> Y:
    """10 sin(πx₁x₂) + 20(x₃ − ½)² + 10x₄ + 5x₅ (Friedman, Annals of Statistics 19, 1991)."""
    return 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]


FUNCTIONS = {
    "linear": Function(lambda x: 2 * x[:, 0] - 3 * x[:, 1] + 1, 2, -1, 1),
    "product": Function(lambda x: x[:, 0] * x[:, 1] + x[:, 0], 2, -1, 1),  # as in the article
    "sine": Function(lambda x: np.sin(2 * np.pi * x[:, 0]), 1, -1, 1),  # two periods
    "friedman1": Function(friedman1, 5, 0, 1),
}


def draw(function: str, *, rows: int, features: int | None, noise: float, seed: int) -> pl.DataFrame:
    """Draws rows with columns x1, x2, … and `target`, or with those of a scenario.

    `noise` is the standard deviation of normal noise: added to the target, in its units, or to the inputs if
    the target is a class.

    Raises:
        UserError: if the function is not registered, or uses more than `features`; for a scenario, if
            `features` is given.
    """
    names = [*FUNCTIONS, *SCENARIOS]
    if function not in names:
        expected, remedy = f"one of {listed(names)}", did_you_mean(nearest(function, names))
        raise UserError(Fault("unknown function", "data.function", f"'{function}'", expected, remedy))
    generator = np.random.default_rng(seed)
    if function in SCENARIOS:
        if features is not None:
            raise refusal(f"{function} has a fixed set of inputs", "data.features", "use data.features=null")
        return SCENARIOS[function](rows, noise, generator)
    values, inputs, low, high = FUNCTIONS[function]
    width = features or inputs
    if width < inputs:
        expected = f"{inputs} or more; additional inputs do not affect the target"
        raise UserError(Fault(f"{function} uses {inputs} inputs", "data.features", f"{width}", expected))
    x = generator.uniform(low, high, (rows, width))
    y = values(x) + noise * generator.standard_normal(rows)
    return pl.DataFrame({**{f"x{i + 1}": x[:, i] for i in range(width)}, "target": y})
