"""Charts of the runs of sweeps and searches, and their axes."""

import re

import pytest
import vl_convert

from mlplab.figures.importance import MAX_COLUMNS, importance
from mlplab.figures.runs import (
    curves_of_runs,
    learning_curves,
    spreads_far,
)
from mlplab.figures.style import Figure

CURVES = {"train/loss": [(1, 4.0), (2, 2.0)], "val/loss": [(1, 5.0), (2, 300.0)]}


@pytest.mark.parametrize("count", [1, 30])
def test_importance_of_columns_with_odd_names(count: int) -> None:
    names = ["a.b[0]", "a\\:b", "<b>'\"", "x" * 300, "größe", "a,b", *(f"c{place}" for place in range(24))]
    columns = [(name, 5.0 - place, 0.5) for place, name in enumerate(names[:count])]
    specification = importance(columns, "RMSE in units of y", ["t.csv: 9 rows"]).to_dict()
    assert [row["name"] for row in specification["data"]["values"]] == names[: min(count, MAX_COLUMNS)]
    assert ("the first 20 of 30 columns" in specification["title"]["subtitle"]) == (count > MAX_COLUMNS)
    assert vl_convert.vegalite_to_svg(specification).startswith("<svg")


def test_an_axis_is_logarithmic_if_a_linear_one_would_hide_small_values() -> None:
    assert spreads_far([1.0, 31.0])
    assert not any(map(spreads_far, ([1.0, 29.0], [0.0, 1000.0], [-1.0, 1000.0], [])))


@pytest.mark.parametrize(
    "chart",
    [
        learning_curves(CURVES, best_epoch=2),
        curves_of_runs("val/mae", CURVES, best=["val/loss"], pruned=["train/loss"]),
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
