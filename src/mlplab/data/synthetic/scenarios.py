"""Tables drawn from known processes, with dates, categories and classes.

To add a scenario, write a function of rows, noise and generator that returns a frame with a column `target`,
and add it to `SCENARIOS`.
"""

from itertools import accumulate
from math import isqrt

import numpy as np
import polars as pl
from jaxtyping import Float64, Int64
from numpy.random import Generator

Reals = Float64[np.ndarray, " row"]
Classes = Int64[np.ndarray, " row"]

LAGS = (1, 2, 24, 168)
"""Lags, in hours, of the earlier loads from which a load is forecast."""


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


def _classes(rows: int, count: int, generator: Generator) -> Classes:
    """Classes from 0 in random order, each as frequent as the others to within one row."""
    return generator.permutation(np.arange(rows) % count)


def _class_table(x1: Reals, x2: Reals, classes: Classes, noise: float, generator: Generator) -> pl.DataFrame:
    """Adds noise to the inputs and names the classes a, b, …"""
    noisy = np.array([x1, x2]) + noise * generator.standard_normal((2, len(classes)))
    return pl.DataFrame({"x1": noisy[0], "x2": noisy[1], "target": np.array(list("abc"))[classes]})


def _autoregressive(coefficient: float, innovations: Reals) -> Reals:
    """eₜ = coefficient · eₜ₋₁ + innovationₜ."""
    errors = accumulate(innovations, lambda last, new: coefficient * last + new)
    return np.fromiter(errors, np.float64, len(innovations))


SCENARIOS = {draw.__name__: draw for draw in (demand, ratings, moons, blobs)}
