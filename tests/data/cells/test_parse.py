"""Cells of text as numbers."""

import polars as pl
import pytest

from mlplab.data.cells.parse import bad_cells, fault_of, parse_float, parse_str, plain_floats


@pytest.mark.parametrize("cell", ["", "NA", "nan", " 1", "x", "inf", "1e400", "9223372036854775808", "1,5"])
def test_plain_floats_accepts_only_plain_numbers(cell: str) -> None:
    plain = plain_floats(pl.Series(["1.50", None, "-2e3", "+7", ".5"]))
    assert plain is not None
    assert plain.to_list() == [1.5, None, -2000, 7, 0.5]
    assert plain_floats(pl.Series(["1.50", cell])) is None


def test_cells_that_no_cast_reads() -> None:
    cells = pl.Series([" 1 ", "NA", None, "", "-999.00", "x", "inf", f"{2**64}", "1e30", "NULL"])
    values = parse_float(cells, ("-999",))
    assert values.to_list() == [1, None, None, None, None, None, float("inf"), 2.0**64, 1e30, None]
    assert bad_cells(cells, values, ("-999",), "numeric").to_list() == [5, 6, 7]


@pytest.mark.parametrize("dtype", [pl.Int128, pl.String])
def test_integers_of_64_bits_are_numbers(dtype: pl.DataType) -> None:
    """With a sign or without one."""
    limits = pl.Series([-(2**63), 2**63 - 1, 2**64 - 1], dtype=pl.Int128)
    for of_type in (limits.cast(dtype), limits[:2].cast(pl.Int64), limits[1:].cast(pl.UInt64)):
        assert not len(bad_cells(of_type, parse_float(of_type, ()), (), "numeric"))
    beyond = pl.Series([-(2**63) - 1, 2**64, 7], dtype=pl.Int128).cast(dtype)
    assert bad_cells(beyond, parse_float(beyond, ()), (), "numeric").to_list() == [0, 1]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        *(("No", "is a text, not a number"), ("not known", "is a text, not a number")),
        *(("216 m²", "is a number with a unit, 'm²'"), ("-3,5°C", "is a number with a unit, '°C'")),
        (f"{2**64}", "is an integer of more than 64 bits"),
        *((text, "is not a finite number") for text in ("?", "-inf", "Infinity", "1e999", "10-20", "136A")),
    ],
)
def test_what_is_wrong_with_a_cell(text: str, fault: str) -> None:
    assert fault_of(text, "numeric") == fault
    assert fault_of(text, "date") == "is not a date like the others"


@pytest.mark.parametrize("repeats", [1, 2000])
def test_repeated_texts_give_the_same(repeats: int) -> None:
    texts = parse_str(pl.Series([" a ", "2.0", "2.5", "null", None, "-"] * repeats), ("-",))
    assert texts.to_list() == ["a", "2", "2.5", None, None, None] * repeats


def test_with_a_decimal_comma_a_point_is_bad() -> None:
    cells = pl.Series(["1,5", " 2,5", "1.000", "NA", "3"])
    values = parse_float(cells, (), decimal_comma=True)
    assert values.to_list() == [1.5, 2.5, None, None, 3]
    assert bad_cells(cells, values, (), "numeric").to_list() == [2]
