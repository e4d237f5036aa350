"""Tables drawn from known processes, with the dates and categories that functions of numbers lack.

A new one is one decorated function: rows, noise and generator in, a frame with a column `target` out.
"""

from collections.abc import Callable
from itertools import accumulate
from math import isqrt

import numpy as np
import polars as pl
from jaxtyping import Float64

Draw = Callable[[int, float, np.random.Generator], pl.DataFrame]

SCENARIOS: dict[str, Draw] = {}

LAGS = (1, 2, 24, 168)
"""Hours back, of which the load is known when an hour's is to be foretold."""


def scenario(draw: Draw) -> Draw:
    """Offers a table as `data.function=<its name>`."""
    SCENARIOS[draw.__name__] = draw
    return draw


@scenario
def demand(rows: int, noise: float, generator: np.random.Generator) -> pl.DataFrame:
    """A town's load on its grid in MW, hour by hour from 2022-01-03, a Monday, and what is known before it.

    It grows by 4 MW a year, is higher while people work, are at home in the evening, heat or cool, and has
    an error that keeps 0.7 of itself from hour to hour; `noise` is the standard deviation of what is new in
    it, which nothing foretells. `temperature` in °C is that of the hour, `lag_24` the load 24 hours before.
    """
    before = max(LAGS)
    hours = np.arange(-before, rows)
    hour, weekday, year = hours % 24, hours // 24 % 7, hours / (365.25 * 24)
    seasons = 11 - 10 * np.cos(2 * np.pi * year) - 4 * np.cos(2 * np.pi * (hour - 3) / 24)
    temperature = seasons + _chain(0.98, 0.6 * generator.standard_normal(len(hours)))
    at_work = (weekday < 5) & (hour >= 7) & (hour < 18)
    at_home = (hour >= 18) & (hour < 23)
    climate = 1.5 * np.maximum(14 - temperature, 0) + 3 * np.maximum(temperature - 21, 0)
    load = 80 + 4 * year + 25 * at_work + 12 * at_home + climate
    load += _chain(0.7, noise * generator.standard_normal(len(hours)))
    return pl.DataFrame(
        {
            "time": np.datetime64("2022-01-03T00", "us") + hours[before:] * np.timedelta64(1, "h"),
            "temperature": temperature[before:],
            **{f"lag_{lag}": load[before - lag : -lag] for lag in LAGS},
            "target": load[before:],
        }
    )


@scenario
def ratings(rows: int, noise: float, generator: np.random.Generator) -> pl.DataFrame:
    """How users rate items: 3 + the user's and the item's leaning + how well their tastes agree.

    Leanings are normal; tastes are normal in the plane and agree by their dot product. No pair of user and
    item is rated twice, and more than three in four are not rated.
    """
    size = 2 * isqrt(rows) + 2
    pairs = np.divmod(generator.choice(size**2, rows, replace=False), size)
    user, item = ((0.4 * generator.standard_normal(size))[each] for each in pairs)
    tastes = [0.7 * generator.standard_normal((size, 2))[each] for each in pairs]
    rating = 3 + user + item + (tastes[0] * tastes[1]).sum(1) + noise * generator.standard_normal(rows)
    names = {
        name: [f"{name} {each}" for each in numbers]
        for name, numbers in zip(("user", "item"), pairs, strict=True)
    }
    return pl.DataFrame({**names, "target": rating})


def _chain(kept: float, fresh: Float64[np.ndarray, " step"]) -> Float64[np.ndarray, " step"]:
    """eₜ = kept · eₜ₋₁ + freshₜ."""
    return np.fromiter(accumulate(fresh, lambda last, new: kept * last + new), np.float64, len(fresh))
