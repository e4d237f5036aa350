import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplab.data.numbers import as_matrix
from mlplab.errors import UserError

floats = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(floats, st.none() | floats), max_size=20))
def test_text_and_numbers_give_the_same_matrix(rows: list[tuple[float, float | None]]) -> None:
    frame = pl.DataFrame(rows, schema={"a": pl.Float64, "b": pl.Float64}, orient="row")
    text = frame.with_columns(pl.all().cast(pl.String))
    expected = np.array([[np.nan if v is None else v for v in row] for row in rows]).reshape(-1, 2)
    for each in (frame, text):
        np.testing.assert_array_equal(as_matrix(each, ["a", "b"], "t"), expected)
        np.testing.assert_array_equal(as_matrix(each, ["b", "a"], "t"), expected[:, ::-1])


def test_spaces_and_words_for_nothing() -> None:
    frame = pl.DataFrame({"a": [" 1 ", "", "nan", None, "2e3"]})
    np.testing.assert_array_equal(as_matrix(frame, ["a"], "t")[:, 0], [1, np.nan, np.nan, np.nan, 2000])


@pytest.mark.parametrize("value", ["x", "1,5", "inf", float("inf")])
def test_what_is_no_number_is_told(value: object) -> None:
    frame = pl.DataFrame({"a": [None, value]}, strict=False)
    with pytest.raises(UserError, match=r"t, column 'a', data row 12: is not a finite number"):
        as_matrix(frame, ["a"], "t", first_row=10)
