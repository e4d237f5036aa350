"""Charts of many runs, and their axes."""

import numpy as np
import pytest
import vl_convert

from mlplab.figures.learning_curves import curves_of_runs, learning_curves
from mlplab.figures.scales import scale_of, x_of_key
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
    assert scale_of([1e-4, 1e-2]).to_dict()["type"] == "log"
    for linear in ([1.0, 29.0], [0.0, 1000.0], [-1.0, 1000.0], []):
        assert "type" not in scale_of(linear).to_dict()


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (np.geomspace(1e-5, 1e-1, 64), "log"),
        (np.linspace(0.1, 1, 64), "linear"),
        (np.linspace(0.001, 0.5, 64), "linear"),  # such as dropout: the smallest are near zero
        (np.linspace(0, 100, 64), "linear"),
    ],
)
def test_axes_of_sampled_values_are_as_they_were_sampled(values: np.ndarray, scale: str) -> None:
    axis = x_of_key("lr", values.tolist()).to_dict()
    assert (axis["type"], axis["scale"]["type"]) == ("quantitative", scale)


def test_an_axis_names_a_few_values_in_order() -> None:
    def order(*values: float | str) -> list[float | str]:
        axis = x_of_key("k", values).to_dict()
        assert axis["type"] == "nominal"
        return list(axis["scale"]["domain"])

    assert order("[16]", "[8,8]", "null", 0.1, 1e-5, 0.1) == [1e-5, 0.1, "[16]", "null", "[8,8]"]
    assert order(*range(8), "auto") == [*range(8), "auto"]
    assert x_of_key("k", range(9)).to_dict()["type"] == "quantitative"


def test_long_names_of_categories_are_slanted() -> None:
    def angle(names: list[str]) -> float:
        return float(x_of_key("hidden", names).to_dict()["axis"]["labelAngle"])

    assert angle(["[64]", "[64,64]", "[128]"]) == 0
    assert angle([f"[{width},{width},{width},{width}]" for width in range(128, 134)]) < 0
