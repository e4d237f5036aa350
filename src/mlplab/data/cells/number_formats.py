"""Numbers as people write them: with thousands separators, a currency or percent sign, or as durations.

A format is an example: `1,234.5`, or `1.234,5` with a decimal comma, either with a sign (`$1,234.5`), or
`1:30`, a duration of 1.5. Spaces and apostrophes separate thousands in all. 57% is 57, and (57) is -57.
"""

import re
from collections.abc import Collection, Sequence

import polars as pl

from mlplab.config.data import DECIMAL_COMMA, DECIMAL_POINT, DURATION
from mlplab.data.cells.parse import by_distinct, is_text, parse_float, strip

SIGN = r"[\p{Sc}%]"

MIN_SIGNED = 0.95
"""Smallest share of numbers but 0 with the sign of a format. If more lack it, they may have another unit:
0.57 among percents."""

# A number in any of the formats but a duration.
FORMATTED = (
    rf"^\(?[+−-]?\s?{SIGN}?\s?[+−-]?(?:[1-9]\d{{0,2}}(?:[.,'’\s]\d{{3}})+|\d+)(?:[.,]\d+)?\s?{SIGN}?\)?$"
)


def parse_number(
    cells: pl.Series, na_values: Collection[str], number_format: str, *, decimal_comma: bool = False
) -> pl.Series:
    """Parses cells as Float64; text in this format, if there is one, or as a plain number."""
    if not number_format or not is_text(cells.dtype):
        return parse_float(cells, na_values, decimal_comma=decimal_comma)

    def parse(text: pl.Series) -> pl.Series:
        text = strip(text, na_values)
        plain = parse_float(text, (), decimal_comma=DECIMAL_COMMA in number_format)
        return _parse(text, number_format).fill_null(plain)

    return by_distinct(parse, cells)


def count_unsigned(cells: pl.Series, na_values: Collection[str], number_format: str) -> int:
    """The number of text cells but 0 that lack the sign of a format; 0 if it has none."""
    if not _sign_of(number_format) or not is_text(cells.dtype):
        return 0
    plain = parse_float(cells, na_values, decimal_comma=DECIMAL_COMMA in number_format)
    return int((plain != 0).sum())


def number_formats(texts: pl.Series, decimal: str | None, *, decimal_comma: bool) -> Sequence[str]:
    """The formats that read the most of these stripped texts; none if plain numbers are as many.

    There are two if a comma or a point may mark decimals or thousands in all texts.

    Args:
        decimal: the decimal mark, if the user has set it.
        decimal_comma: whether plain numbers have a decimal comma.
    """
    plain = parse_float(texts, (), decimal_comma=decimal_comma).count()
    if plain == len(texts):
        return []
    signs = texts.filter(texts.str.contains("[1-9]")).str.extract(f"({SIGN})")
    common = signs.drop_nulls().mode().sort().head(1)
    sign = common[0] if len(common) and (signs == common[0]).sum() >= MIN_SIGNED * len(signs) else ""
    decimal = decimal or ("," if decimal_comma else "")
    decimal_marks = {".": [DECIMAL_POINT], ",": [DECIMAL_COMMA]}.get(decimal, [DECIMAL_POINT, DECIMAL_COMMA])
    formats = [f"{mark}%" if sign == "%" else f"{sign}{mark}" for mark in decimal_marks]
    formats += [DURATION] if are_durations(texts) else []
    values = {name: _parse(texts, name) for name in formats}
    most = max(parsed.count() for parsed in values.values())
    best = [name for name, parsed in values.items() if parsed.count() == most]
    if most <= plain or 2 * most <= len(texts):
        return []
    if best == [DECIMAL_COMMA] and 2 * plain >= most and not texts.str.contains(r"\.\d{3}[.,]").any():
        return []  # a few cells such as `4,6` among whole numbers may be lists
    return best[:1] if values[best[0]].equals(values[best[-1]]) else best


def are_durations(texts: pl.Series) -> bool:
    """Whether most texts are hours and minutes, some of more than a day, so that they are no times of day.

    All texts with a colon must be such: 61:65 is a range.
    """
    timed = texts.filter(texts.str.contains(":", literal=True))
    hours = _hours(timed)
    return 2 * len(timed) > len(texts) and not hours.has_nulls() and bool((hours >= 24).any())


def _sign_of(number_format: str) -> str:
    return "".join(re.findall(r"[^\d.,:]", number_format))


def _parse(text: pl.Series, number_format: str) -> pl.Series:
    if number_format == DURATION:
        return _hours(text)
    group, decimal = (",", ".") if DECIMAL_POINT in number_format else (".", ",")
    text = text.str.replace("−", "-", literal=True).str.replace(r"^\((.+)\)$", "-$1")
    if sign := re.escape(_sign_of(number_format)):
        text = text.str.replace(rf"^([+-]?)\s?{sign}\s?", "$1").str.replace(rf"\s?{sign}$", "")
    groups = "|".join(rf"(?:{mark}\d{{3}})+" for mark in (f"[{group}]", "['’]", r"\s"))
    is_number = text.str.contains(rf"^[+-]?(?:[1-9]\d{{0,2}}(?:{groups})|\d+)(?:[{decimal}]\d+)?$")
    text = text.set(~is_number, None).str.replace_all(rf"[{group}'’\s]", "")
    return text.str.replace(decimal, ".", literal=True).cast(pl.Float64, strict=False)


def _hours(text: pl.Series) -> pl.Series:
    """Hours, minutes and seconds in hours; minutes and seconds in minutes."""
    parts = text.str.extract_groups(r"^(?<a>\d+):(?<b>[0-5]\d)(?::(?<c>[0-5]\d(?:\.\d+)?))?$").struct
    first, second, third = (parts.field(name).cast(pl.Float64, strict=False) for name in "abc")
    return first + second / 60 + third.fill_null(0) / 3600
