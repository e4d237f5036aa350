"""Parts of a table, and where its errors are largest."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlplab.figures.parts import MOST_PARTS, SMALLEST, ColumnValues, error_by_part, parts_of

NUMBERS = arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6) | st.just(np.nan))


@given(values=NUMBERS, count=st.integers(2, 10))
def test_each_row_is_in_one_part(values: np.ndarray, count: int) -> None:
    parts = list(parts_of(ColumnValues("x", values), count))
    assert sorted(np.concatenate([part.rows for part in parts]).tolist()) == list(range(len(values)))
    for part in parts:
        inside = values[part.rows]
        assert np.isnan(inside).all() or inside.min() <= part.middle <= inside.max()


def test_parts_have_names_that_people_read() -> None:
    def labels(*arguments: Any) -> list[str]:
        return [part.label for part in parts_of(ColumnValues("x", *arguments))]

    assert labels(np.array([0.0, 1, 1, np.nan]), ("red", "green")) == ["red", "green", "missing"]
    assert labels(np.array([3.0, 1, 2, 2])) == ["1", "2", "3"]
    assert labels(np.arange(101.0)) == ["0 – 25", "25 – 50", "50 – 75", "75 – 100"]


def drawn_errors(columns: list[ColumnValues], errors: np.ndarray) -> Any:
    return error_by_part(columns, errors, "error", np.ones(len(errors)), len(errors))


def bars(chart: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = chart.to_dict()["layer"][0]["data"]["values"]
    return found


def test_the_part_with_the_largest_errors_comes_first() -> None:
    rng = np.random.default_rng(0)
    errors = rng.uniform(0, 1, 400)
    group = rng.integers(0, 3, 400).astype(float)
    errors[group == 2] += 3
    columns = [ColumnValues("noise", rng.normal(size=400)), ColumnValues("group", group, ("a", "b", "c"))]
    chart = drawn_errors(columns, errors)
    found = bars(chart)
    assert found[0]["part"] == "group: c"
    assert found[0]["error"] == errors[group == 2].mean()
    assert found[0]["rows"] == (group == 2).sum()
    assert [each["error"] for each in found] == sorted((each["error"] for each in found), reverse=True)


def test_small_parts_are_left_out() -> None:
    rare = np.zeros(100)
    rare[: SMALLEST - 1] = 1
    errors = np.where(rare, 100.0, 1.0)
    found = bars(drawn_errors([ColumnValues("rare", rare, ("no", "yes"))], errors))
    assert [each["part"] for each in found] == ["rare: no"]
    assert drawn_errors([ColumnValues("x", np.arange(9.0))], np.ones(9)) is None


def test_wide_tables_show_only_the_worst_parts() -> None:
    rng = np.random.default_rng(0)
    columns = [ColumnValues(f"x{k}", rng.normal(size=200)) for k in range(100)]
    assert len(bars(drawn_errors(columns, rng.uniform(size=200)))) == MOST_PARTS


def test_means_are_weighted() -> None:
    errors, weight = np.array([1.0] * 20 + [5.0] * 20), np.array([2.0] * 10 + [1.0] * 30)
    half = ColumnValues("half", np.repeat([0.0, 1.0], 20), ("first", "second"))
    chart = error_by_part([half], errors, "error", weight, 99)
    assert chart is not None
    assert chart.to_dict()["title"]["subtitle"] == (
        "40 of 99 test rows, by their weights; dashed: the mean of all, 2.6"
    )
