"""Predicted and actual numbers, and the parts of the rows with the largest errors."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlplab.data.schema import Column, Schema
from mlplab.figures.regression import predicted_vs_actual, residuals
from mlplab.figures.scored_rows import (
    MOST_PARTS,
    SMALLEST_PART,
    THIS,
    ColumnValues,
    ScoredRows,
    error_by_part,
    parts_of,
)
from mlplab.figures.style import MOST_POINTS
from mlplab.runs.draw_figures import column_values

NUMBERS = arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6) | st.just(np.nan))


def scored_rows(rows: int) -> ScoredRows:
    rng = np.random.default_rng(0)
    actual = rng.normal(size=rows)
    predictions = {THIS: actual + rng.normal(size=rows), "ridge": actual * 0.5}
    return ScoredRows("price", np.arange(rows) + 1, rows, np.ones(rows), actual, predictions)


def values(chart: Any, layer: int) -> list[dict[str, Any]]:
    drawn: list[dict[str, Any]] = chart.to_dict(validate=False)["layer"][layer]["data"]["values"]
    return drawn


def test_each_row_is_a_point_of_each_model() -> None:
    scored = scored_rows(20)
    drawn = values(predicted_vs_actual(scored), 1)
    assert [point["model"] for point in drawn] == ["ridge"] * 20 + [THIS] * 20  # in front
    for k, point in enumerate(drawn[20:]):
        assert (point["row"], point["actual"], point["predicted"]) == (
            *(k + 1, scored.actual[k], scored.predicted[k]),
        )
    assert drawn[3]["predicted"] == scored.actual[3] / 2
    alone = replace(scored, predictions={THIS: scored.predicted})
    assert {point["model"] for point in values(predicted_vs_actual(alone), 1)} == {THIS}


@pytest.mark.parametrize("rows", [1, 2 * MOST_POINTS])
def test_many_rows_are_thinned(rows: int) -> None:
    scored = scored_rows(rows)
    chart = residuals(scored)
    drawn = values(chart, 1)
    assert len(drawn) == min(rows, MOST_POINTS)
    assert f"{rows:,} test row" in chart.to_dict()["title"]["subtitle"]
    for point in drawn:
        row = point["row"] - 1
        assert point["residual"] == scored.actual[row] - scored.predicted[row]


@given(numbers=NUMBERS)
def test_each_row_is_in_one_part(numbers: np.ndarray) -> None:
    parts = [rows for _, rows in parts_of(ColumnValues("x", numbers))]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(numbers)))


def test_parts_have_names_that_people_read() -> None:
    def names(*arguments: Any) -> list[str]:
        return [name for name, rows in parts_of(ColumnValues("x", *arguments)) if len(rows)]

    assert names(np.array([0.0, 1, 1, np.nan]), ("red", "green")) == ["red", "green", "missing"]
    assert names(np.array([3.0, 1, 2, 2])) == ["1", "2", "3"]
    assert names(np.arange(101.0)) == ["0 – 25", "25 – 50", "50 – 75", "75 – 100"]
    assert names(np.arange(101) * 1e3)[3] == "75,000 – 100,000"
    assert names(np.arange(2000.0, 2020))[0] == "2000 – 2005"
    assert names(2020 + np.arange(366) / 366, (), True)[0] == "2020-01-01 – 2020-04-01"
    assert names(np.array([2019.0, 2020 - 1 / 365]), (), True) == ["2019-01-01", "2019-12-31"]
    hours = np.append(2019 + np.arange(20) / 48 / 365, 2019.5)  # of one day, then another
    assert names(hours, (), True) == ["2019-01-01 – 2019-07-02"]
    assert names(hours[::4], (), True) == ["2019-01-01", "2019-07-02"]


@given(numbers=NUMBERS)
def test_parts_of_a_column_have_different_names(numbers: np.ndarray) -> None:
    names = [name for name, _ in parts_of(ColumnValues("x", numbers))]
    assert len({*names}) == len(names)


def bars_of(chart: Any) -> list[dict[str, Any]]:
    bars: list[dict[str, Any]] = chart.to_dict()["data"]["values"]
    return bars


def drawn_errors(columns: list[ColumnValues], errors: np.ndarray) -> Any:
    return error_by_part(scored_rows(len(errors)), columns, errors, "error")


def test_the_part_with_the_largest_errors_comes_first() -> None:
    rng = np.random.default_rng(0)
    errors = rng.uniform(0, 1, 400)
    group = rng.integers(0, 3, 400).astype(float)
    errors[group == 2] += 3
    columns = [ColumnValues("noise", rng.normal(size=400)), ColumnValues("group", group, ("a", "b", "c"))]
    bars = bars_of(drawn_errors(columns, errors))
    rows = f"{(group == 2).sum()} rows"
    assert bars[0] == {"place": 0, "name": "group: c", "error": errors[group == 2].mean(), "note": rows}
    assert [bar["error"] for bar in bars] == sorted((bar["error"] for bar in bars), reverse=True)


def test_small_parts_are_left_out_and_of_many_the_worst_are_shown() -> None:
    rare = np.zeros(100)
    rare[: SMALLEST_PART - 1] = 1
    [bar] = bars_of(drawn_errors([ColumnValues("rare", rare, ("no", "yes"))], np.where(rare, 100.0, 1.0)))
    assert bar["name"] == "rare: no"
    assert drawn_errors([ColumnValues("x", np.arange(9.0))], np.ones(9)) is None
    rng = np.random.default_rng(0)
    columns = [ColumnValues(f"x{k}", rng.normal(size=200)) for k in range(100)]
    assert len(bars_of(drawn_errors(columns, rng.uniform(size=200)))) == MOST_PARTS


def test_means_are_weighted() -> None:
    errors, weight = np.array([1.0] * 20 + [5.0] * 20), np.array([2.0] * 10 + [1.0] * 30)
    half = ColumnValues("half", np.repeat([0.0, 1.0], 20), ("first", "second"))
    scored = replace(scored_rows(40), weight=weight, total=99)
    chart: Any = error_by_part(scored, [half], errors, "error")
    assert chart.to_dict()["title"]["subtitle"] == (
        "40 of 99 test rows, by their weights; marked: the mean of all, 2.6"
    )


def test_a_zero_stays_zero_without_its_offset() -> None:
    schema = Schema((Column("x", "numeric", offset=652.3971344128794),), ("y",))
    x = np.array([[0 - 652.3971344128794], [1e-3 - 652.3971344128794]], np.float32)
    zero, small = column_values(schema, x)[0].values
    assert zero == 0
    assert small == pytest.approx(1e-3, rel=0.1)
