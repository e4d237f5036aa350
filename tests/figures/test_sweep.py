"""Charts of many runs, and their axes."""

import math
from typing import Any

import numpy as np
import pytest
import vl_convert

from mlplab.figures.key_axis import comparable, is_log, label, x_of_key
from mlplab.figures.learning_curves import curves_of_runs, learning_curves
from mlplab.figures.parallel_coordinates import MOST_LINES, parallel_coordinates
from mlplab.figures.scales import in_order, is_geometric, score_axis
from mlplab.figures.sweep import Point, score_over, spread

POINTS = [
    Point("a", {"lr": 1e-4, "hidden": "[8]", "clip": "null"}, 3.0, is_best=False),
    Point("b", {"lr": 1e-2, "hidden": "[16]", "clip": 1.0}, 1.0, is_best=True),
    Point("c", {"lr": 1e-1, "hidden": "[8,8]", "clip": 1.0}, 200.0, is_best=False),
]
CURVES = {"train/loss": [(1, 4.0), (2, 2.0)], "val/loss": [(1, 5.0), (2, 3.0)]}
CHARTS = {
    "score_over_numbers": score_over("lr", POINTS, "val/mae"),
    "score_over_text": score_over("hidden", POINTS, "val/mae"),
    "score_over_both": score_over("clip", POINTS, "val/mae"),
    "parallel_coordinates": parallel_coordinates(POINTS, "val/mae", lowest_is_best=True),
    "spread": spread({"lr=1": POINTS, "lr=2": POINTS[:1]}, "val/mae"),
    "learning_curves": learning_curves(CURVES, best_epoch=2),
    "one_curve": learning_curves({"val/mae": CURVES["val/loss"]}),
    "curves_of_runs": curves_of_runs("val/mae", CURVES, best=["val/loss"]),
}


@pytest.mark.parametrize("name", CHARTS)
def test_charts_are_valid_and_draw(name: str) -> None:
    specification = CHARTS[name].to_dict(validate=True)
    assert vl_convert.vegalite_to_svg(specification).startswith("<svg")


def test_axes_are_logarithmic_where_values_spread() -> None:
    assert is_geometric([1e-4, 1e-2])
    assert is_geometric([0.003, 0.001, 0.01])  # as sweeps are usually written
    assert not is_geometric([1.0, 29.0])
    assert not is_geometric([1.0, 2.0, 3.0, 4.0])
    assert not is_geometric([8.0, 8.0001, 9.0])
    is_geometric([8.0, 8.000000000000002, 9.0])  # without division by zero
    assert not is_geometric([0.0, 1000.0])
    assert not is_geometric([])


def test_texts_are_ordered_by_their_numbers() -> None:
    assert in_order(["[16]", "[8,8]", "relu", "[8]", "[8]"]) == ["relu", "[8]", "[8,8]", "[16]"]
    assert in_order(["0.1", "null", "1e-05", "0.05"]) == ["null", "1e-05", "0.05", "0.1"]


def sampled(rows: int = 64) -> np.ndarray:
    return np.random.default_rng(0).uniform(size=rows)


def test_axes_of_sampled_values_are_as_they_were_sampled() -> None:
    for low, high in ((1e-5, 1e-1), (1e-3, 1e-2)):
        assert is_log("lr", (low * (high / low) ** sampled()).tolist())
    assert not is_log("width", (0.1 + 0.9 * sampled()).tolist())
    assert not is_log("model.dropout", (0.5 * sampled()).tolist())  # the smallest are near zero
    assert is_log("lr", (0.5 * sampled()).tolist())


def test_an_axis_names_typed_values_and_rounds_sampled_ones() -> None:
    assert [label(value) for value in (64, 0.001, 0.0012345678, "[8]", 1e-5)] == [
        *("64", "0.001", "0.00123", "[8]", "1e-05")
    ]
    typed = x_of_key("batch_size", [128, 64]).to_dict()
    assert typed["axis"]["values"] == [64, 128]
    assert "values" not in x_of_key("lr", [0.0012345678, 0.1]).to_dict()["axis"]


@pytest.mark.parametrize("values", [[64, 128], [60.0, 80.0, 140.0], [0.001, 0.01]])
def test_numbers_on_an_axis_are_written_in_full(values: list[float]) -> None:
    points = [Point("a", {"k": value}, value, is_best=False) for value in map(float, values)]
    svg = vl_convert.vegalite_to_svg(score_over("k", points, "val/mae").to_dict())
    for value in values:
        assert f">{value:g}</text>" in svg


def test_a_few_numbers_beside_text_are_text_and_many_are_numbers() -> None:
    assert comparable([0.9, "null", 0.5]) == ["0.9", "null", "0.5"]
    many = [*sampled(20).tolist(), "null"]
    assert comparable(many) == many
    points = [Point(f"{value}", {"k": value}, 1.0 + k, is_best=k == 0) for k, value in enumerate(many)]
    chart = score_over("k", points, "val/mae").to_dict()
    assert [row["value"] for row in chart["data"]["values"]] == many[:-1]
    assert chart["title"]["subtitle"] == "a point per run with a number (1 have none)"
    lines = parallel_coordinates(points, "val/mae", lowest_is_best=True).to_dict()["layer"][1]
    places = {row["name"]: row["place"] for row in lines["data"]["values"] if row["axis"] == "k"}
    assert len(places) == 21
    assert places["null"] < min(place for name, place in places.items() if name != "null")


def test_long_names_of_categories_are_slanted() -> None:
    def angle(names: list[str]) -> float:
        return float(x_of_key("hidden", names).to_dict()["axis"]["labelAngle"])

    assert angle(["[64]", "[64,64]", "[128]"]) == 0
    assert angle([f"[{width},{width},{width},{width}]" for width in range(128, 134)]) < 0


def test_an_outlier_does_not_hide_the_other_scores() -> None:
    axis = score_axis([3.0, 3.5, 4.0, 4.5, 5.0, 1e6], most=4)
    assert not axis.is_log
    assert (axis.best, axis.worst) == (3.0, 5.0)
    assert axis.place(4.5) == 4.5
    assert axis.worst < axis.end < axis.place(1e6) == axis.place(math.nan) == axis.edge < axis.domain[1] < 6
    falling = score_axis([0.9, 0.8, 0.7, -1e9], most=3)
    assert falling.domain[0] < falling.edge < falling.end < 0.7
    assert falling.domain[1] > 0.9


@pytest.mark.parametrize("scores", [[3.0], [3.0, 3.0], [0.0, 0.0, 2.0], [3.0, 4.0, 6.5]])
def test_an_axis_without_outliers_shows_all(scores: list[float]) -> None:
    axis = score_axis(scores, most=len(scores) - len(scores) // 3)
    assert not axis.has_edge
    assert not any(axis.leaves_out(score) for score in scores)
    assert axis.domain[0] < scores[0] <= scores[-1] < axis.domain[1]


def test_scores_over_orders_of_magnitude_have_a_logarithmic_axis() -> None:
    axis = score_axis([1e-4, 1e-3, 1e-2, 1e-1], most=3)
    assert axis.is_log
    assert not axis.has_edge


def test_lines_of_the_best_runs_are_in_front() -> None:
    points = [
        Point(f"{k}", {"lr": 0.1 * k, "x": "a"}, 1.0 + k, is_best=k == 0) for k in range(MOST_LINES + 20)
    ]
    chart = parallel_coordinates(points, "val/mae", lowest_is_best=True).to_dict()
    names = list(dict.fromkeys(row["name"] for row in lines_of(chart)))
    assert names == [f"{k}" for k in reversed(range(MOST_LINES))]
    assert f"the best {MOST_LINES} of {MOST_LINES + 20} runs" in chart["title"]["subtitle"]


def test_the_axis_of_scores_ends_where_most_lines_do() -> None:
    points = [Point(f"{k}", {"lr": 0.1 * k}, 1.0 + k if k < 29 else 1e9, is_best=k == 0) for k in range(30)]
    chart = parallel_coordinates(points, "val/mae", lowest_is_best=True).to_dict()
    places = {row["name"]: row["place"] for row in lines_of(chart) if row["axis"] == "val/mae"}
    assert places["0"] == 0
    assert places["14"] > 0.3
    assert places["29"] == 1
    names = [row["text"] for row in chart["layer"][2]["data"]["values"] if row["axis"] == "val/mae"]
    assert names == ["worse", "1"]


def lines_of(chart: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = chart["layer"][1]["data"]["values"]
    return found
