"""How often intervals contain the target, and sets the class."""

from dataclasses import replace
from typing import Any

import numpy as np

from mlplab.figures.coverage import (
    INSIDE,
    OUTSIDE,
    SMALLEST_PART,
    coverage_by_part,
    coverage_over_level,
    intervals,
)
from mlplab.figures.scored_rows import THIS, ColumnValues, ScoredRows


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


def test_intervals_are_in_the_order_of_predictions() -> None:
    actual = np.array([3.0, 1, 2, 9])
    bounds = np.column_stack([[2.0, 0, 1, 4], [4.0, 2, 3, 6]])
    scored = replace(scored_rows(actual), predictions={THIS: np.array([3.0, 1, 2, 5])})
    chart = intervals(scored, bounds, 0.8)
    assert [(each["row"], each["lower"], each["target"]) for each in values(chart)] == [
        *[(2, 0, INSIDE), (3, 1, INSIDE), (1, 2, INSIDE), (4, 4, OUTSIDE)],
    ]
    assert "3 are inside" in chart.to_dict(validate=False)["title"]["subtitle"]


def test_parts_with_the_lowest_coverage_are_first() -> None:
    rows = 4 * SMALLEST_PART
    part = np.repeat([0.0, 1, 2, 3], SMALLEST_PART)
    part[-1] = np.nan  # 'd' and 'missing' are too small
    inside, size = (part != 1).astype(float), np.arange(rows, dtype=float)
    scored = scored_rows(np.zeros(rows))
    column = ColumnValues("kind", part, ("a", "b", "c", "d"))
    drawn = values(coverage_by_part(scored, [column], 0.8, inside, size))
    assert [(each["name"], each["inside"]) for each in drawn] == [
        ("kind: b", 0.0),
        ("kind: a", 1.0),
        ("kind: c", 1.0),
    ]
    mean = SMALLEST_PART + (SMALLEST_PART - 1) / 2  # of 'b'
    assert drawn[0]["note"] == f"{mean:.3g} wide, {SMALLEST_PART} rows"
    assert coverage_by_part(scored, [], 0.8, inside, size) is None


def test_each_class_is_a_part() -> None:
    actual = np.repeat([0, 1], 2 * SMALLEST_PART)
    chart = coverage_by_part(scored_rows(actual, ("no", "yes")), [], 0.9, actual * 1.0, actual + 1.0)
    assert [(each["name"], each["inside"]) for each in values(chart)] == [("y: no", 0.0), ("y: yes", 1.0)]
    assert [each["note"] for each in values(chart)] == ["1 class, 60 rows", "2 classes, 60 rows"]
