"""Predicted and actual numbers."""

from typing import Any

import numpy as np
import pytest

from mlplab.figures.parts import ColumnValues
from mlplab.figures.points import Points, predicted_vs_actual, residuals, residuals_by_column
from mlplab.figures.style import MOST_POINTS


def points(rows: int, seed: int = 0, *, baseline: bool = True) -> Points:
    rng = np.random.default_rng(seed)
    actual = rng.normal(size=rows)
    near = actual + rng.normal(size=rows)
    return Points(
        "price",
        np.arange(rows) + 1,
        rows,
        np.ones(rows),
        actual,
        near,
        actual * 0.5 if baseline else None,
        "ridge",
    )


def values(chart: dict[str, Any], layer: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = chart["layer"][layer]["data"]["values"]
    return found


def test_each_row_is_a_point_of_each_model() -> None:
    of = points(20)
    drawn = values(predicted_vs_actual(of).to_dict(), 1)
    assert [each["model"] for each in drawn] == ["ridge"] * 20 + ["this network"] * 20  # in front
    for k, each in enumerate(drawn[20:]):
        assert (each["row"], each["actual"], each["predicted"]) == (k + 1, of.actual[k], of.predicted[k])
    assert drawn[3]["predicted"] == of.actual[3] / 2
    assert {
        each["model"] for each in values(predicted_vs_actual(points(9, baseline=False)).to_dict(), 1)
    } == {"this network"}


@pytest.mark.parametrize("rows", [1, 2, MOST_POINTS, 5 * MOST_POINTS])
def test_many_rows_are_thinned(rows: int) -> None:
    of = points(rows)
    drawn = values(residuals(of).to_dict(), 1)
    assert len(drawn) == min(rows, MOST_POINTS)
    assert f"{rows:,} test row" in of.subtitle()
    for each in drawn:
        row = each["row"] - 1
        assert each["residual"] == of.actual[row] - of.predicted[row]


def test_the_columns_that_explain_the_residuals_are_shown() -> None:
    of, rng = points(500), np.random.default_rng(1)
    missing = of.residuals + rng.normal(size=500) * 0.1
    missing[::7] = np.nan
    sign = (of.residuals > 0).astype(float)
    columns = [
        ColumnValues("constant", np.zeros(500)),
        ColumnValues("sign", sign, ("below", "above")),
        ColumnValues("same", missing),
        *(ColumnValues(f"noise {k}", rng.normal(size=500)) for k in range(9)),
    ]
    chart = residuals_by_column(of, columns)
    assert chart is not None
    panels = chart.to_dict()["concat"]
    shown = [panel["layer"][0]["encoding"]["x"]["title"] for panel in panels]
    assert shown[:2] == ["same", "sign"]
    assert "constant" not in shown
    assert len(shown) <= 4
    dots = values(panels[0], 0)
    assert len(dots) == np.isfinite(missing).sum()
    assert {each["value"] for each in values(panels[1], 0)} == {"below", "above"}


def test_no_column_explains_what_is_not_there() -> None:
    of = points(30)
    exact = Points("y", of.rows, of.total, of.weight, of.actual, of.actual)
    assert residuals_by_column(exact, [ColumnValues("x", of.actual)]) is None
    assert residuals_by_column(of, []) is None
