"""The parts of dates, computed from microseconds since 1970."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import pi

import numpy as np
import polars as pl

from mlplab.data.cells import dates
from mlplab.data.cells.dates import DatePart
from mlplab.onnx.graph import Value

SECOND, DAY = 1_000_000, 86_400_000_000
"""In microseconds."""

DAYS_TO_1970 = 719_468
"""From the first of March of the year 0."""

MONDAY = datetime(2001, 1, 1)
ALIKE = {
    "month": pl.Series([MONDAY.replace(month=month) for month in range(1, 13)]),
    "weekday": pl.Series([MONDAY + timedelta(days=day) for day in range(7)]),
    "hour": pl.Series([MONDAY + timedelta(minutes=minute) for minute in range(24 * 60)]),
}
"""Dates with all values of parts that occur often: of the hour, those at whole minutes."""


def date_parts(time: Value, parts: Sequence[DatePart], offset: float, *, missing: int) -> list[Value]:
    """The parts of dates: `[row, 1]` each, with the bits of `mlplab.data.cells.dates.date_parts`.

    The bits matter where a value that occurs often is scaled by its rank. So sines are looked up: here, they
    may be rounded otherwise. Only those of times with seconds are computed.

    Args:
        time: `[row]`, in microseconds since 1970; NaN if it is `missing`.
    """
    of_day = time.op("Mod", DAY)
    day, second = (time - of_day) / DAY, of_day / SECOND
    hour = (second / 3600).cast(np.float64) + second.op("Mod", 3600).cast(np.float64) / 3600
    year, month, day_of_year, days_of_year = _calendar(day)
    places = {"month": month - 1, "weekday": (day + 3).op("Mod", 7), "hour": second / 60}
    is_whole = second.op("Mod", 60).equals(0)
    values = []
    for part in parts:
        circle, _, function = part.partition("_")
        if circle == "year":
            since_january = day_of_year.cast(np.float64) + hour / 24
            value = (year.cast(np.float64) - offset) + since_january / days_of_year.cast(np.float64)
        else:
            [table] = dates.date_parts(ALIKE[circle], [part], 0.0)
            value = time.graph.constant(table.to_numpy()).gather(places[circle])
        if circle == "hour":
            value = is_whole.where(value, (hour / 24 * (2 * pi)).op(function.capitalize()))
        values.append(time.equals(missing).where(np.nan, value).unsqueeze(1))
    return values


def _calendar(day: Value) -> tuple[Value, Value, Value, Value]:
    """The year, the month from 1, the day of the year from 0, and the number of its days.

    Years are counted from March on, so that a leap day is their last (Hinnant, "chrono-compatible low-level
    date algorithms", civil_from_days).

    Args:
        day: since 1970.
    """
    of_era = (day + DAYS_TO_1970).op("Mod", 146_097)
    era = (day + DAYS_TO_1970 - of_era) / 146_097
    year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365
    from_march = of_era - (year_of_era * 365 + year_of_era / 4 - year_of_era / 100)
    months = (from_march * 5 + 2) / 153
    is_next_year = months >= 10
    month = is_next_year.where(months - 9, months + 3)
    year = year_of_era + era * 400 + is_next_year.cast(np.int64)

    def is_multiple(years: int) -> Value:
        return year.op("Mod", years).equals(0)

    is_leap = is_multiple(4).op("And", is_multiple(100).op("Not")).op("Or", is_multiple(400)).cast(np.int64)
    return year, month, is_next_year.where(from_march - 306, from_march + 59 + is_leap), is_leap + 365
