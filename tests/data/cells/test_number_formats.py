from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support import table_of

from mlplab.data.cells.number_formats import number_formats, parse_number
from mlplab.data.cells.parse import bad_cells, fault_of, parse_float, parse_str, plain_floats
from mlplab.data.infer import block_reader
from mlplab.data.new_rows import FrameTransformer
from mlplab.errors import UserError


def read(number_format: str, *cells: str) -> list[float | None]:
    return parse_number(pl.Series(cells), ("n/d",), number_format).to_list()


def test_cells_of_each_format() -> None:
    dollars = "$1,234.5", "$30,215.65", "-$5", "$ -5", "($7.10)", "−$1 234", "1'234.5 $", "1e3", "$٣", ""
    assert read(*dollars) == [30215.65, -5, -5, -7.1, -1234, 1234.5, 1000, None, None]
    assert read("1,234.5%", "57%", "5.00 %", "0", "1,5%", "€5") == [57, 5, 0, None, None]
    assert read("1.234,5", "1.234", "1.234,50", "0,5", "1.5", "12.34,5") == [1234, 1234.5, 0.5, None, None]
    assert read("1.234,5", "1\u202f234,50", "1\u00a0234", "1’234", "1.234 567") == [1234.5, 1234, 1234, None]
    assert read("1:30", "1:30", "38:30:00", "0:00:09", "2", "1:75") == [1.5, 38.5, 9 / 3600, 2, None]


@pytest.mark.parametrize(
    ("cells", "formats"),
    [
        ("12,345 6,789", ["1,234.5", "1.234,5"]),
        ("12,345 1,234,567", ["1,234.5"]),
        ("12,345 17.25", ["1,234.5"]),
        ("12,345 0,125", ["1.234,5"]),
        ("12,345 6,78", ["1.234,5"]),
        ("1.234,5 7", ["1.234,5"]),
        ("57% 3,5%", ["1.234,5%"]),
        ("0 5% 10%", ["1,234.5%"]),
        ("5% 0.05 0.1", []),  # they have another unit
        ("$5 €6", []),
        ("1 2 4,6", []),  # may be a list
        ("10:30 38:31:00", ["1:30"]),
        ("10:30 23:59", []),
    ],
)
def test_the_cells_of_a_column_or_the_decimal_mark_decide(cells: str, formats: list[str]) -> None:
    texts = pl.Series(cells.split())
    assert number_formats(texts, None, decimal_comma=False) == formats
    for mark, number_format in zip(".,", formats, strict=False) if len(formats) > 1 else ():
        assert number_formats(texts, mark, decimal_comma=False) == [number_format]


MONEY = [f"${row * 977 % 9000 + row / 4:,.2f}" for row in range(60)]
COLUMNS = {
    "money": MONEY,
    "percent": [f"{row % 9} %" for row in range(60)],
    "swiss": [f"{row * 9999:,}".replace(",", "'") for row in range(60)],
    "duration": [f"{20 + row}:{row:02}:00" for row in range(60)],
    "month": [("May", "June", "Sept")[row % 3] for row in range(60)],
    "floor": [("G", "1", "2", "3")[row % 4] for row in range(60)],
}


def test_a_file_and_new_rows_have_the_same_features(tmp_path: Path) -> None:
    frame = pl.DataFrame({**COLUMNS, "y": MONEY})
    frame.write_csv(tmp_path / "t.csv")
    table, other = table_of(frame), table_of(tmp_path / "t.csv")
    assert [column.kind for column in table.schema.inputs] == [*["numeric"] * 4, "date", "categorical"]
    np.testing.assert_array_equal(table.y[:, 0], [row * 977 % 9000 + row / 4 for row in range(60)])
    assert table.schema.number_formats == {"y": "$1,234.5"}
    assert (other.schema, other.fingerprint) == (table.schema, table.fingerprint)
    new = FrameTransformer(table.schema, "t", np.float32, decimal_comma=False)
    np.testing.assert_array_equal(new.features(frame), table.x)
    assert float(new.features(frame.with_columns(money=1250.5))[0, 0]) + table.schema.offsets[0] == 1250.5


@pytest.mark.parametrize(
    ("first", "last", "number_format", "value"),
    [
        ("950", "1,234.5", "1,234.5", 1234.5),
        ("23:59:59", "24:10:00", "1:30", 24 + 1 / 6),
        ("0", "€1.250,00", "€1.234,5", 1250),
        ("12,345", "1,234,567", "1,234.5", 1234567),
    ],
)
def test_formats_after_the_sample(
    monkeypatch: pytest.MonkeyPatch, first: str, last: str, number_format: str, value: float
) -> None:
    monkeypatch.setattr(block_reader, "SAMPLE_ROWS", 50)
    table = table_of(pl.DataFrame({"a": pl.Series([first] * 60 + [last] * 20), "y": range(80)}))
    [made] = table.schema.inputs
    assert (made.kind, made.format) == ("numeric", number_format)
    assert float(table.x[-1, 0]) + made.offset == pytest.approx(value)


def test_numbers_that_may_have_another_unit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_reader, "SAMPLE_ROWS", 20)
    few, many = ["0.57"] * 30, ["57%"] * 501
    for cells, message in (([*many, *few], "30 of 531 numbers"), ([*few, *many], "501 such cells")):
        frame = pl.DataFrame({"a": cells, "y": range(531)})
        with pytest.raises(UserError, match=message):
            table_of(frame)
        assert table_of(frame, declared={"a": "1,234.5%"}).schema.inputs[0].format == "1,234.5%"


def test_plain_floats_accepts_only_plain_numbers() -> None:
    assert plain_floats(pl.Series(["1.50", None, "-2e3", "+7", ".5"])).to_list() == [1.5, None, -2000, 7, 0.5]
    for cell in ("", "NA", "nan", " 1", "x", "inf", "1e400", "9223372036854775808", "1,5"):
        assert plain_floats(pl.Series(["1.50", cell])) is None, cell


def test_cells_that_no_cast_reads() -> None:
    cells = pl.Series([" 1 ", "NA", None, "", "-999.00", "x", "inf", f"{2**64}", "1e30", "NULL"])
    values = parse_float(cells, ("-999",))
    assert values.to_list() == [1, None, None, None, None, None, float("inf"), 2.0**64, 1e30, None]
    assert bad_cells(cells, values, ("-999",), "numeric").to_list() == [5, 6, 7]


@pytest.mark.parametrize("dtype", [pl.Int128, pl.String])
def test_integers_of_64_bits_are_numbers(dtype: pl.DataType) -> None:
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
