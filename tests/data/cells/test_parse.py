"""Cells of text as numbers."""

import polars as pl
import pytest

from mlplab.data.cells.parse import bad_cells, parse_float, parse_str, plain_floats


@pytest.mark.parametrize("cell", ["", "NA", "nan", " 1", "x", "inf", "1e400", "9223372036854775808", "1,5"])
def test_plain_floats_accepts_only_plain_numbers(cell: str) -> None:
    plain = plain_floats(pl.Series(["1.50", None, "-2e3", "+7", ".5"]))
    assert plain is not None
    assert plain.to_list() == [1.5, None, -2000, 7, 0.5]
    assert plain_floats(pl.Series(["1.50", cell])) is None


def test_cells_that_no_cast_reads() -> None:
    cells = pl.Series([" 1 ", "NA", None, "", "-999.00", "x", "inf", "9223372036854775808", "1e30", "NULL"])
    values = parse_float(cells, ("-999",))
    assert values.to_list() == [1, None, None, None, None, None, float("inf"), 2.0**63, 1e30, None]
    assert bad_cells(cells, values, ("-999",), "numeric").to_list() == [5, 6, 7]


@pytest.mark.parametrize("repeats", [1, 2000])
def test_repeated_texts_give_the_same(repeats: int) -> None:
    texts = parse_str(pl.Series([" a ", "2.0", "2.5", "null", None, "-"] * repeats), ("-",))
    assert texts.to_list() == ["a", "2", "2.5", None, None, None] * repeats


def test_with_a_decimal_comma_a_point_is_bad() -> None:
    cells = pl.Series(["1,5", " 2,5", "1.000", "NA", "3"])
    values = parse_float(cells, (), decimal_comma=True)
    assert values.to_list() == [1.5, 2.5, None, None, 3]
    assert bad_cells(cells, values, (), "numeric").to_list() == [2]
