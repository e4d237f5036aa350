"""Which columns are inputs, of which kind, and which are left out or refused."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from support import table_of

from mlplab.data.new_data import FrameTransformer
from mlplab.data.table import Table
from mlplab.errors import UserError

MOMENTS = [datetime(2023, 11, 3, 5, 17) + timedelta(days=37 * i, hours=5 * i) for i in range(30)]


def table(cells: Sequence[object], declared: str = "", **spec: object) -> Table:
    """A table of 30 rows with these cells in column `a`, beside a number and the target."""
    column = pl.Series("a", [cells[i % len(cells)] for i in range(30)], strict=False)
    frame = pl.DataFrame({"a": column, "x": [i // 2 for i in range(30)], "y": [0, *range(29)]})
    return table_of(frame, declared={"a": declared} if declared else {}, **spec)


@pytest.mark.parametrize(
    ("cells", "declared", "kind"),
    [
        (["1", "2.5", "-3e2"], "", "numeric"),
        (["1", "", "NA", "2"], "", "numeric"),
        ([7, 8, None], "", "numeric"),
        (["true", "False", "TRUE", " "], "", "boolean"),
        ([True, False], "", "boolean"),
        (["red", "blue", None], "", "categorical"),
        ([3, 1, 2], "categorical", "categorical"),
        (["2024-01-31", "2024-02-29"], "", "date"),
        (["31|01|24", "29|02|24"], "%d|%m|%y", "date"),
        (MOMENTS, "", "date"),
        ([day.date() for day in MOMENTS], "", "date"),
    ],
)
def test_the_kind_of_an_input(cells: Sequence[object], declared: str, kind: str) -> None:
    [column, x] = table(cells, declared).schema.inputs
    assert (column.name, column.kind, x.kind) == ("a", kind, "numeric")
    assert column.missing == any(cell in (None, "", "NA", " ") for cell in cells)


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (
            [f"{i} Long Road, Flat {i % 7}, Town" for i in range(29)],
            "free text, which is not read: 29 different texts in ",
        ),
        (["same"], "all values are 'same'"),
        ([4.5], "all values are 4.5"),
        ([datetime(2024, 1, 31)], "all dates have the same day and hour"),
        (["", "n/a", None], "all values are missing"),
    ],
)
def test_columns_that_are_no_inputs_are_left_out_with_a_warning(
    cells: Sequence[object], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    schema = table(cells).schema
    assert schema.names == ["x"]
    assert list(schema.left_out) == ["a"]
    assert schema.left_out["a"].startswith(why)
    assert f"leaving out column 'a': {why}" in caplog.text


def test_dropped_columns_are_left_out_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert table(["what", "ever"], "drop").schema.left_out == {"a": "as declared in data.columns"}
    assert not caplog.text


def test_codes_are_positions_in_the_sorted_categories() -> None:
    made = table(["red", "blue", None, " green", "red"])
    assert made.schema.inputs[0].categories == ("blue", "green", "red")
    assert made.schema.category_counts == (3, 0)
    assert made.schema.missing == (True, False)
    np.testing.assert_array_equal(made.x[:5, 0], [2, 0, np.nan, 1, 2])


def test_a_missing_number_is_recognised_in_any_spelling() -> None:
    cells = [" 1 ", "", "nan", None, "N/A", "null", "?", "-999.0", "2e3"]
    made = table(cells, na_values=("?", "-999"))
    expected = [1, *[np.nan] * 7, 2000]
    np.testing.assert_array_equal(made.x[:9, 0] + np.float32(made.schema.offsets[0]), expected)
    numbers = table([1, -999, 3], na_values=("-999",))
    np.testing.assert_array_equal(np.isnan(numbers.x[:3, 0]), [0, 1, 0])
    transformer = FrameTransformer(numbers.schema, "t", np.float32, decimal_comma=False)
    assert np.isnan(transformer.features(pl.DataFrame({"a": ["-999.00"], "x": [1]}))[:, 0]).all()


def test_offsets_keep_the_digits_of_large_values() -> None:
    large = 10**12 + np.arange(30)
    for cells in (large.tolist(), [str(value) for value in large], large.astype(float).tolist()):
        made = table(cells)
        assert np.diff(made.x[:, 0]).tolist() == [1.0] * 29
        assert (made.x[:, 0].astype(float) + made.schema.offsets[0]).tolist() == large.tolist()
    frame = pl.DataFrame({"a": range(30), "y": large})
    assert table_of(frame).y[:, 0].tolist() == large.tolist()


def test_a_raw_table_keeps_its_numbers() -> None:
    assert table([5, 6, 7], raw=True).x[:3, 0].tolist() == [5, 6, 7]
    assert table([5, 6, 7]).schema.offsets == [6.0, 7.0]


@pytest.mark.parametrize("value", [1e39, 1e300, 1e-40])
def test_values_beyond_float32_are_refused(value: float) -> None:
    for frame in (
        pl.DataFrame({"a": [0.0, 0.0, value], "y": [1.0, 2, 3]}),
        pl.DataFrame({"a": [1.0, 2.0, 3.0], "y": [0.0, value, 2 * value]}),
    ):
        with pytest.raises(UserError, match=r"column '.': the values are too small or too large"):
            table_of(frame)


def test_parts_that_do_not_vary_are_left_out() -> None:
    days = [datetime(2024, 1, 1) + timedelta(days=i) for i in range(30)]
    assert table(days).schema.inputs[0].parts == ("year", "weekday_sin", "weekday_cos")


def test_names_after_the_sample_decide() -> None:
    cells = ["May", "June", "July"] * 2000
    for last, kind in (("May", "date"), ("all year", "categorical")):
        frame = pl.DataFrame({"a": [*cells, last], "y": range(6001)})
        assert table_of(frame).schema.inputs[0].kind == kind


def test_months_of_a_target_are_classes() -> None:
    frame = pl.DataFrame({"y": ["Jan", "Feb", "Mar"] * 10, "x": range(30)})
    assert table_of(frame).schema.classes == ("Feb", "Jan", "Mar")


def test_a_whole_number_is_the_same_category_with_and_without_a_point() -> None:
    made = table(["0.0", "1.0", "2.0"], "categorical")
    assert made.schema.inputs[0].categories == ("0", "1", "2")
    transformer = FrameTransformer(made.schema, "t", np.float32, decimal_comma=False)
    for cell in ("2", 2, 2.0, "2.0"):
        assert transformer.features(pl.DataFrame({"a": [cell], "x": [1]}))[0, 0] == 2


def test_a_declared_kind_means_the_same_for_numbers() -> None:
    assert table([20240131, 20240229, 20240301], "%Y%m%d").schema.inputs[0].kind == "date"
    for kind, cells, message in (
        ("%Y%m%d", [20240131, 20240132], "is not a date"),
        ("boolean", [0, 1, 7], "is neither true nor false"),
    ):
        with pytest.raises(UserError, match=message):
            table(cells, kind)
