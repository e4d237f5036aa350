"""Predicted and actual numbers."""

from typing import Any

import numpy as np
import pytest

from mlplab.figures.predictions import THIS, ScoredRows, coverage, predicted_vs_actual, residuals
from mlplab.figures.style import MOST_POINTS


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
    found = [[point[axis] for axis in ("row", "actual", "predicted")] for point in drawn[20:]]
    assert found == np.column_stack([np.arange(20) + 1, scored.actual, scored.predicted]).tolist()
    assert drawn[3]["predicted"] == scored.actual[3] / 2


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


def test_coverage_is_drawn_over_the_level() -> None:
    chart = coverage("intervals", "contain the target", scored_rows(9), [0.5, 0.9], [0.48, 0.95])
    assert [(point["x"], point["share"]) for point in values(chart, 1)] == [(0.5, 0.48), (0.9, 0.95)]
