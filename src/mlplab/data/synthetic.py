"""Tables drawn from known functions, and from scenarios: processes with dates, categories and classes.

To add a function, write one from inputs `[row, feature]` to values `[row]`, and add it to `FUNCTIONS`. A
scenario is a function of rows, noise and generator to a frame with a column `target`; add it to `SCENARIOS`.
"""

from collections.abc import Callable
from itertools import accumulate
from math import isqrt
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float64, Int64
from numpy.random import Generator

from mlplab.errors import Fault, UserError, did_you_mean, listed, nearest, refusal

X = Float64[np.ndarray, "row feature"]
Reals = Float64[np.ndarray, " row"]
Classes = Int64[np.ndarray, " row"]


class Function(NamedTuple):
    """A function of so many inputs, and the bounds between which they, and further ones, are drawn."""

    values: Callable[[X], Reals]
    inputs: int
    low: float
    high: float


def friedman1(x: X) -> Reals:
    """10 sin(πx₁x₂) + 20(x₃ − ½)² + 10x₄ + 5x₅ (Friedman, Annals of Statistics 19, 1991)."""
    return 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]


FUNCTIONS = {
    "linear": Function(lambda x: 2 * x[:, 0] - 3 * x[:, 1] + 1, 2, -1, 1),
    "product": Function(lambda x: x[:, 0] * x[:, 1] + x[:, 0], 2, -1, 1),  # as in the article
    "sine": Function(lambda x: np.sin(2 * np.pi * x[:, 0]), 1, -1, 1),  # two periods
    "friedman1": Function(friedman1, 5, 0, 1),
}

LAGS = (1, 2, 24, 168)  # lags, in hours, of the earlier loads from which a load is forecast


def demand(rows: int, noise: float, generator: Generator) -> pl.DataFrame:
    """A town's hourly electricity demand in MW from Monday, 2022-01-03, with what is known in advance.

    The load grows by 4 MW a year. It is higher during working hours, in the evening, and when people heat or
    cool. Its error is autoregressive with coefficient 0.7; `noise` is the standard deviation of the
    innovations. `temperature` is in °C; `lag_24` is the load 24 hours before.
    """
    before = max(LAGS)
    hours = np.arange(-before, rows)
    hour, weekday, year = hours % 24, hours // 24 % 7, hours / (365.25 * 24)
    seasons = 11 - 10 * np.cos(2 * np.pi * year) - 4 * np.cos(2 * np.pi * (hour - 3) / 24)
    temperature = seasons + _autoregressive(0.98, 0.6 * generator.standard_normal(len(hours)))
    at_work = (weekday < 5) & (hour >= 7) & (hour < 18)
    at_home = (hour >= 18) & (hour < 23)
    climate = 1.5 * np.maximum(14 - temperature, 0) + 3 * np.maximum(temperature - 21, 0)
    load = 80 + 4 * year + 25 * at_work + 12 * at_home + climate
    load += _autoregressive(0.7, noise * generator.standard_normal(len(hours)))
    return pl.DataFrame(
        {
            "time": np.datetime64("2022-01-03T00", "us") + hours[before:] * np.timedelta64(1, "h"),
            "temperature": temperature[before:],
            **{f"lag_{lag}": load[before - lag : -lag] for lag in LAGS},
            "target": load[before:],
        }
    )


def ratings(rows: int, noise: float, generator: Generator) -> pl.DataFrame:
    """Ratings of items by users: 3 + the user's bias + the item's bias + the dot product of their tastes.

    Biases are normal; tastes are normal in two dimensions. No pair of user and item is rated twice; more
    than three quarters of the pairs are not rated.
    """
    size = 2 * isqrt(rows) + 2
    pairs = np.divmod(generator.choice(size**2, rows, replace=False), size)
    user, item = ((0.4 * generator.standard_normal(size))[numbers] for numbers in pairs)
    tastes = [0.7 * generator.standard_normal((size, 2))[numbers] for numbers in pairs]
    rating = 3 + user + item + (tastes[0] * tastes[1]).sum(1) + noise * generator.standard_normal(rows)
    users, items = [f"user {number}" for number in pairs[0]], [f"item {number}" for number in pairs[1]]
    return pl.DataFrame({"user": users, "item": items, "target": rating})


def moons(rows: int, noise: float, generator: Generator) -> pl.DataFrame:
    """Two interleaved half circles of radius 1, as in scikit-learn: a above (0, 0), b below (1, ½).

    The classes are at least 0.5 apart. `noise` is the standard deviation of normal noise added to both
    inputs.
    """
    is_b = _classes(rows, 2, generator)
    angle = generator.uniform(0, np.pi, rows) + np.pi * is_b
    return _class_table(np.cos(angle) + is_b, np.sin(angle) + is_b / 2, is_b, noise, generator)


def blobs(rows: int, noise: float, generator: Generator) -> pl.DataFrame:
    """Three normal distributions, of classes a, b and c, with means 4 apart and standard deviation 1.

    `noise` is the standard deviation of normal noise added to both inputs: the variances become 1 + noise².
    Without it, the best possible accuracy is 0.959.
    """
    classes = _classes(rows, 3, generator)
    angle = 2 * np.pi * classes / 3
    x1, x2 = generator.standard_normal((2, rows)) + 4 / np.sqrt(3) * np.array([np.cos(angle), np.sin(angle)])
    return _class_table(x1, x2, classes, noise, generator)


SCENARIOS = {scenario.__name__: scenario for scenario in (demand, ratings, moons, blobs)}


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


def _classes(rows: int, count: int, generator: Generator) -> Classes:
    """Classes from 0 in random order, each as frequent as the others to within one row."""
    return generator.permutation(np.arange(rows) % count)


def _class_table(x1: Reals, x2: Reals, classes: Classes, noise: float, generator: Generator) -> pl.DataFrame:
    noisy = np.array([x1, x2]) + noise * generator.standard_normal((2, len(classes)))
    return pl.DataFrame({"x1": noisy[0], "x2": noisy[1], "target": np.array(list("abc"))[classes]})


def _autoregressive(coefficient: float, innovations: Reals) -> Reals:
    """eₜ = coefficient · eₜ₋₁ + innovationₜ."""
    errors = accumulate(innovations, lambda last, new: coefficient * last + new)
    return np.fromiter(errors, np.float64, len(innovations))
