"""Dates and times: the formats of text, and the features of a date.

These are the year, and the sine and cosine of the positions in year, week and day.
"""

import re
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from math import pi
from typing import Literal, get_args

import polars as pl

from mlplab.config.data import OR
from mlplab.data.cells.parse import MISSING, DataType, by_distinct, parse_rest, parse_str

DatePart = Literal["year", "month_sin", "month_cos", "weekday_sin", "weekday_cos", "hour_sin", "hour_cos"]
"""A feature of a date. The fraction of the year is the day of the year."""

DATE_PARTS: tuple[DatePart, ...] = get_args(DatePart)

ISO = "%Y-%m-%d"

# Formats that are tried, each with or without a time of day.
DATE_FORMATS = (
    *(ISO, "%Y/%m/%d", "%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%Y"),
    *("%m-%d-%Y", "%d %B %Y", "%B %d, %Y", "%d-%b-%Y", "%d-%b-%y"),
)

CLOCK_FORMATS = ("%H:%M:%S", "%H:%M", "%I:%M %p", "%I:%M:%S %p")  # of times of day

NAME_FORMATS = {  # of months and of days of the week, in full or abbreviated
    "%B": r"(?i)^(jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?|oct(ober)?"
    r"|nov(ember)?|dec(ember)?)\.?$",
    "%A": r"(?i)^(mon|tues?|wed(nes)?|thu(rs?)?|fri|sat(ur)?|sun)(day)?\.?$",
}

_CODES = {
    **{"%Y": r"\d{4}", "%G": r"\d{4}", "%y": r"\d\d", "%B": "[A-Za-z]{3,9}", "%b": "[A-Za-z]{3}", ".": r"\."},
    **{"%q": "[1-4]", "%V": r"\d\d", "%M": r"\d\d", "%S": r"\d\d", " %p": r"\s?(?i:[ap]\.?m\.?)"},
}


def _pattern(date_format: str) -> str:
    pattern = re.sub(r" %p|%.|\.", lambda code: _CODES.get(code[0], r"\d{1,2}"), date_format)
    return f"^{pattern}" + (r"(?:\b|T)" if date_format in DATE_FORMATS else "$")


# Formats of places in a year, a week or a day, in no certain one, and patterns of matching text.
REPEATING_FORMATS = NAME_FORMATS | {name: _pattern(name) for name in CLOCK_FORMATS}

PERIODS = ("%Y %b", "%Y Q%q", "%G W%V", "%b-%Y", "%b-%y", "%B %Y")

_YEAR, _MONTH, _DAY = r"(1[89]|2[01])\d\d", "(0[1-9]|1[0-2])", r"(0[1-9]|[12]\d|3[01])"

MONTHS = {
    **{f"%Y{sign}%m": rf"^{_YEAR}{sign}({_MONTH}|[1-9])$" for sign in "-/"},
    **{f"%m{sign}%Y": rf"^({_MONTH}|[1-9]){sign}{_YEAR}$" for sign in "-/"},
}
NUMBERS = {  # formats whose texts are numbers, too
    **{"%Y%m%d": f"^{_YEAR}{_MONTH}{_DAY}$", "%Y%m": f"^{_YEAR}{_MONTH}$"},
    **{"%Y.%m": rf"^{_YEAR}\.{_MONTH}$", "%m.%Y": rf"^{_MONTH}\.{_YEAR}$"},
}

# All others, and patterns of matching text. Months, quarters and ISO weeks are read as their first day.
FULL_FORMATS = {name: _pattern(name) for name in (*DATE_FORMATS, *PERIODS)} | MONTHS | NUMBERS

ANY_FORMAT = "|".join(f"({pattern})" for pattern in (FULL_FORMATS | REPEATING_FORMATS).values())

# Times of day after a date. A literal Z, unlike %z, keeps polars' fast parser.
CLOCKS = (*CLOCK_FORMATS[:2], "%H:%M:%S%.f", "%H:%M:%SZ", *CLOCK_FORMATS[2:])  # frequent ones first
TIMES = ("", *(f"{separator}{clock}" for separator in " T" for clock in CLOCKS))

FIRST_YEAR, LAST_YEAR = 1930, 2029
"""The first and the last of the years as which two-digit years are read, as in spreadsheets."""


def parse_datetime(cells: pl.Series, na_values: Collection[str], date_format: str) -> pl.Series:
    """Parses text or dates as Datetime in microseconds; dates with a time zone are converted to UTC.

    With a format of `DATE_FORMATS`, each cell may also have a time of day; all others are complete formats of
    `strptime`. Of several formats, the first that fits a cell reads it.
    """
    if is_datetime(cells.dtype):
        return cells.cast(pl.Datetime("us", "UTC")).dt.replace_time_zone(None)
    if cells.dtype.is_float() and date_format == "%Y.%m":  # as a number, 2015.10 is 2015.1
        cells = cells.cast(pl.String).str.replace(r"(\.\d)$", "${1}0")
    first, *others = date_format.split(OR, 1)
    formats = [first + time for time in (TIMES if first in DATE_FORMATS else ("",))]
    parsed = by_distinct(partial(_parse, na_values=na_values, formats=formats), cells)
    for further in others:
        parsed = parse_rest(parsed, cells, partial(parse_datetime, na_values=na_values, date_format=further))
    return parsed


def is_datetime(dtype: DataType) -> bool:
    """Whether a column of this type holds dates, with or without a time of day."""
    return dtype in (pl.Date, pl.Datetime)


def date_formats(text: pl.Series) -> list[str]:
    """The formats that parse the most of these stripped, distinct texts, if they parse more than half.

    A format of names or times of day must parse all: beside other words, they are categories.
    """
    if 2 * text.str.contains(ANY_FORMAT).sum() <= len(text):  # for speed
        return []
    for date_format, pattern in REPEATING_FORMATS.items():
        is_clock = date_format in CLOCK_FORMATS
        known = text.filter(~text.str.contains(MISSING)) if is_clock else text
        # May and June, or Sat and Sun, may be anything.
        if len(known) >= (1 if is_clock else 3) and known.str.contains(pattern).all():
            return [] if parse_datetime(known, (), date_format).has_nulls() else [date_format]
    return _best_formats(text, len(text) // 2)


def are_months(text: pl.Series) -> bool:
    """Whether texts, which are decimal numbers, are clearly years and months: 2015.03, or 05.2006.

    There must be six of them: so many different numbers with two decimals look so in one column of 300,000.
    """
    patterns = [NUMBERS["%Y.%m"], NUMBERS["%m.%Y"]]
    if not len(text) or not re.match("|".join(patterns), text[0]):  # for speed
        return False
    return any(text.str.contains(pattern).all() for pattern in patterns) and text.n_unique() >= 6


def _are_seasons(text: pl.Series) -> bool:
    """Whether texts are a year and the next one, 2005-06, rather than a month."""
    years = text.str.extract_groups(r"^\d\d(?<first>\d\d)[-/](?<second>\d\d?)$").struct
    first, second = (years.field(name).cast(pl.Int64) for name in ("first", "second"))
    return len(text) > 1 and bool(((first + 1) % 100 == second).fill_null(value=False).all())


def mixed_formats(text: pl.Series, known: str = "") -> list[str]:
    """Alternatives, after those of `known`, that together parse nearly all of these stripped, distinct texts.

    There are two if no text distinguishes day from month, and none if both orders occur.
    """
    text = text.filter(~text.str.contains(MISSING))
    enough, found = 0.95 * len(text), list[str]()  # the others are mistakes for the user to correct
    best = _best_formats(text, 0) if text.str.contains(ANY_FORMAT).sum() >= enough else []
    for date_format in best:
        swapped = date_format.translate({ord("d"): "m", ord("m"): "d"})
        if best[0] in (date_format, swapped) and swapped not in known.split(OR):
            formats = OR.join(filter(None, (known, date_format)))
            rest = text.filter(parse_datetime(text, (), date_format).is_null())
            found += [formats] if len(text) - len(rest) >= enough else mixed_formats(rest, formats)
    return found


def _best_formats(text: pl.Series, more_than: int) -> list[str]:
    counts = {}
    for date_format, pattern in FULL_FORMATS.items():
        matching = text.filter(text.str.contains(pattern))
        if len(matching) > more_than and not _are_seasons(matching):
            counts[date_format] = parse_datetime(matching, (), date_format).count()
    best = max(counts.values(), default=0)
    return [name for name, count in counts.items() if count == best > more_than]


def parts_of(date_format: str) -> tuple[DatePart, ...]:
    """The parts that dates of a format have: all, or of names and times of day, those that repeat.

    A month or a quarter has no day of the week: that of its first day means nothing.
    """
    circle = {"%B": "month", "%A": "weekday", **dict.fromkeys(CLOCK_FORMATS, "hour")}.get(date_format, "")
    has_day = bool(circle) or not {*re.findall("%.", date_format)} <= {"%Y", "%y", "%m", "%b", "%B", "%q"}
    return tuple(part for part in DATE_PARTS if part.startswith(circle if has_day else ("year", "month")))


def date_parts(dates: pl.Series, parts: Sequence[DatePart], offset: float) -> list[pl.Series]:
    """Parts of dates as Float64; the offset is subtracted from the year."""
    seconds = dates.dt.minute().cast(pl.Float64) * 60 + dates.dt.second().cast(pl.Float64)
    hour = dates.dt.hour().cast(pl.Float64) + seconds / 3600
    turns = {
        "month": (dates.dt.month().cast(pl.Float64) - 1) / 12,
        "weekday": (dates.dt.weekday().cast(pl.Float64) - 1) / 7,
        "hour": hour / 24,
    }
    features = []
    for part in parts:
        circle, _, function = part.partition("_")
        if part == "year":
            days = 365 + dates.dt.is_leap_year().cast(pl.Float64)
            day = dates.dt.ordinal_day().cast(pl.Float64) - 1 + hour / 24
            features.append((dates.dt.year().cast(pl.Float64) - offset) + day / days)
        else:
            angle = turns[circle] * 2 * pi
            features.append(angle.sin() if function == "sin" else angle.cos())
    return features


def _parse(text: pl.Series, na_values: Collection[str], formats: Sequence[str]) -> pl.Series:
    # A zone such as +02:00, -0330, +02 or Z is read by polars' slow parser only.
    times = ("T%H:%M:%S%.f%#z", " %H:%M:%S%.f%#z", "T%H:%M%#z", " %H:%M%#z") if len(formats) > 1 else ()
    zoned = [f"{formats[0]}{time}" for time in times]

    def parse(text: pl.Series) -> pl.Series:
        text = parse_str(text, na_values).str.replace(r"UTC$", "Z")
        text = text.str.replace(r"(?i)\s?([ap])\.?m\.?$", " ${1}m")
        return _by_first_match(text, [*formats, *zoned])

    return parse_rest(_by_first_match(text, formats), text, parse)


def _by_first_match(text: pl.Series, formats: Sequence[str]) -> pl.Series:
    """Parses each text by the first format that matches it.

    The format of the first text is tried before the others, because most of a column's texts share it.
    """
    first = text.drop_nulls().head(1)
    suitable = (name for name in formats if not _strptime(first, name).null_count())
    parsed = _strptime(text, next(suitable, formats[0]))
    for whole_format in formats if parsed.null_count() else ():
        parsed = parse_rest(parsed, text, partial(_strptime, whole_format=whole_format))
    return parsed


def _strptime(text: pl.Series, whole_format: str) -> pl.Series:
    """Null where the text does not match the format."""
    has_long_year, has_short_year = "%Y" in whole_format or "%G" in whole_format, "%y" in whole_format
    if "%q" in whole_format:  # polars has no code for quarters, and needs a day in a week
        months = {f"Q{quarter}": f"{3 * quarter - 2:02}" for quarter in range(1, 5)}
        text, whole_format = text.str.replace_many(months), whole_format.replace("Q%q", "%m")
    elif pattern := NAME_FORMATS.get(whole_format):
        text = text.set(~text.str.contains(pattern), None).str.slice(0, 3)
        text, whole_format = text + " 1 2001", "%B %d %Y" if whole_format == "%B" else "%A %V %G"
    elif whole_format in CLOCK_FORMATS:  # polars reads some of them only after a date
        text, whole_format = "0001-01-01 " + text, f"{ISO} {whole_format}"
    elif whole_format in MONTHS:  # without a day, polars reads no month of one digit
        text, whole_format = text + " 1", f"{whole_format} %d"
    elif "%V" in whole_format and "%u" not in whole_format:
        text, whole_format = text + " 1", f"{whole_format} %u"
    parsed = text.str.to_datetime(whole_format, time_unit="us", strict=False, cache=False)
    parsed = parsed.dt.replace_time_zone(None)  # it is in UTC
    if has_long_year and len(parsed):
        first, last = datetime(1000, 1, 1), datetime(9999, 12, 31, 23, 59, 59)  # %Y accepts fewer digits
        parsed = parsed.set(~parsed.is_between(first, last), None)
    if has_short_year:
        later = parsed.dt.year() > LAST_YEAR
        parsed = parsed.zip_with(~later.fill_null(value=False), parsed.dt.offset_by("-100y"))
    return parsed
