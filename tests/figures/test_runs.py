"""Charts of the runs of sweeps and searches, and their axes."""

import re

import numpy as np
import pytest
import vl_convert

from mlplab.figures.importance import MAX_COLUMNS, importance
from mlplab.figures.runs import (
    RunPoint,
    curves_of_runs,
    learning_curves,
    score_over,
    spreads_far,
    x_of_key,
)
from mlplab.figures.style import MOST_POINTS, Figure

CURVES = {"train/loss": [(1, 4.0), (2, 2.0)], "val/loss": [(1, 5.0), (2, 300.0)]}


def points(count: int) -> list[RunPoint]:
    """Finished runs with a few outliers."""
    rng = np.random.default_rng(0)
    scores = 3 + rng.exponential(size=count) * np.where(rng.uniform(size=count) < 0.02, 1e5, 1)
    return [RunPoint(str(k), float(10 ** rng.uniform(-4, -1)), float(scores[k])) for k in range(count)]


def test_the_best_run_is_large_and_many_runs_are_sampled() -> None:
    chart = score_over("lr", points(2 * MOST_POINTS), "val/mae", "0").to_dict()
    [layer] = chart["layer"]
    found = chart.get("data", layer.get("data"))["values"]
    assert len(found) == MOST_POINTS
    assert [row["run"] for row in found if row["best"]] in ([], ["0"])
    assert "1,000 of 2,000 finished runs" in chart["title"]["subtitle"]
    assert layer["encoding"]["y"]["scale"]["type"] == "log"  # because of the outliers


@pytest.mark.parametrize("count", [1, 30])
def test_importance_of_columns_with_odd_names(count: int) -> None:
    names = ["a.b[0]", "a\\:b", "<b>'\"", "x" * 300, "größe", "a,b", *(f"c{place}" for place in range(24))]
    columns = [(name, 5.0 - place, 0.5) for place, name in enumerate(names[:count])]
    specification = importance(columns, "RMSE in units of y", ["t.csv: 9 rows"]).to_dict()
    assert [row["name"] for row in specification["data"]["values"]] == names[: min(count, MAX_COLUMNS)]
    assert ("the first 20 of 30 columns" in specification["title"]["subtitle"]) == (count > MAX_COLUMNS)
    assert vl_convert.vegalite_to_svg(specification).startswith("<svg")


def test_axes_of_sampled_values_are_as_they_were_sampled() -> None:
    for values, scale in ((np.geomspace(1e-5, 1e-1, 64), "log"), (np.linspace(0.001, 0.5, 64), "linear")):
        axis = x_of_key("lr", values.tolist()).to_dict()
        assert (axis["type"], axis["scale"]["type"]) == ("quantitative", scale)
    assert not any(map(spreads_far, ([1.0, 29.0], [0.0, 1000.0], [-1.0, 1000.0], [])))
    assert x_of_key("lr", [0.001, 0.003, 0.01, 131072.0]).to_dict()["type"] == "nominal"
    axis = x_of_key("k", ["[16]", "[8,8]", "null", 0.1, 1e-5, 0.1]).to_dict()
    assert (axis["type"], axis["axis"]["labelAngle"]) == ("nominal", 0)
    assert axis["scale"]["domain"] == [1e-5, 0.1, "[16]", "null", "[8,8]"]
    names = [f"[{width},{width},{width},{width}]" for width in range(128, 134)]
    assert x_of_key("hidden", names).to_dict()["axis"]["labelAngle"] < 0


@pytest.mark.parametrize(
    "chart",
    [
        learning_curves(CURVES, best_epoch=2),
        curves_of_runs("val/mae", CURVES, best=["val/loss"], pruned=["train/loss"]),
        score_over("width", [RunPoint(str(k), (8, "auto")[k % 2], k - 3.0) for k in range(9)], "val/r2", "8"),
    ],
)
def test_charts_are_valid_and_draw(chart: Figure) -> None:
    assert vl_convert.vegalite_to_svg(chart.to_dict(validate=True)).startswith("<svg")


@pytest.mark.parametrize("epochs", [2, 9])
def test_epochs_are_whole_numbers(epochs: int) -> None:
    curves = {"val/loss": [(epoch, 1 / 3) for epoch in range(1, epochs + 1)]}
    for chart in (learning_curves(curves, 1), curves_of_runs("val/loss", curves)):
        labels = re.findall(r">(\d+)</text>", vl_convert.vegalite_to_svg(chart.to_dict()))
        assert len({*labels}) == len(labels) > 1
