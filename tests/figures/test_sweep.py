import pytest
import vl_convert

from mlplab.figures.learning_curves import curves_of_runs, learning_curves
from mlplab.figures.scales import in_order, is_geometric
from mlplab.figures.sweep import Point, parallel_coordinates, score_over, spread

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
