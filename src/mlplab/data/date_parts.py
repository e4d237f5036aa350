"""Dates as numbers: the year, and the sine and cosine of the positions in year, week and day."""

from collections.abc import Sequence
from math import pi
from typing import Literal

import polars as pl

DatePart = Literal["year", "month_sin", "month_cos", "weekday_sin", "weekday_cos", "hour_sin", "hour_cos"]
"""A feature of a date. The fraction of the year is the day of the year."""

DATE_PARTS: tuple[DatePart, ...] = (
    "year",
    "month_sin",
    "month_cos",
    "weekday_sin",
    "weekday_cos",
    "hour_sin",
    "hour_cos",
)


def date_parts(dates: pl.Series, parts: Sequence[DatePart], offset: float) -> list[pl.Series]:
    """Parts of dates as Float64; the offset is subtracted from the year."""
    seconds = dates.dt.minute().cast(pl.Float64) * 60 + dates.dt.second().cast(pl.Float64)
    hour = dates.dt.hour().cast(pl.Float64) + seconds / 3600
    found = []
    for part in parts:
        circle, _, function = part.partition("_")
        match circle:
            case "year":
                days = 365 + dates.dt.is_leap_year().cast(pl.Float64)
                day = dates.dt.ordinal_day().cast(pl.Float64) - 1 + hour / 24
                found.append((dates.dt.year().cast(pl.Float64) - offset) + day / days)
                continue
            case "month":
                turn = (dates.dt.month().cast(pl.Float64) - 1) / 12
            case "weekday":
                turn = (dates.dt.weekday().cast(pl.Float64) - 1) / 7
            case _:
                turn = hour / 24
        angle = turn * 2 * pi
        found.append(angle.sin() if function == "sin" else angle.cos())
    return found
