"""How often intervals contain the target, and sets the class."""

from typing import Any

import numpy as np

from mlplab.figures.coverage import coverage_over_level
from mlplab.figures.scored_rows import THIS, ScoredRows


def scored_rows(actual: np.ndarray, classes: tuple[str, ...] = ()) -> ScoredRows:
    rows = len(actual)
    weight = np.where(np.arange(rows) < rows // 2, 1.0, 3.0)
    return ScoredRows("y", np.arange(rows) + 1, rows, weight, actual, {THIS: actual.astype(float)}, classes)


def values(chart: Any) -> list[dict[str, Any]]:
    """The rows of the layer that is the last to have its own, or of the chart."""
    drawn = chart.to_dict(validate=False)
    layers = [layer["data"]["values"] for layer in drawn["layer"] if "data" in layer]
    rows: list[dict[str, Any]] = (layers or [drawn["data"]["values"]])[-1]
    return rows


def test_coverage_is_drawn_over_the_level() -> None:
    chart = coverage_over_level("intervals", scored_rows(np.zeros(40)), [0.5, 0.9], [0.48, 0.95])
    assert values(chart) == [{"level": 0.5, "share": 0.48}, {"level": 0.9, "share": 0.95}]
