import re
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pytest
import vl_convert

from mlplab.figures import is_drawn
from mlplab.figures.predictions import (
    THIS,
    ScoredRows,
    coverage,
    importance,
    predicted_vs_actual,
    residuals,
)
from mlplab.figures.runs import curves_of_runs, learning_curves, spreads_far
from mlplab.figures.style import MOST_POINTS, rows_of
from mlplab.figures.write_figures import read_figures, write_figures


def scored_rows(rows: int) -> ScoredRows:
    rng = np.random.default_rng(0)
    actual = rng.normal(size=rows)
    predictions = {THIS: actual + rng.normal(size=rows), "ridge": actual * 0.5}
    return ScoredRows("price", np.arange(rows) + 1, rows, np.ones(rows), actual, predictions)


def values(chart: Any, layer: int) -> list[dict[str, Any]]:
    return chart.to_dict(validate=False)["layer"][layer]["data"]["values"]


@pytest.mark.parametrize("rows", [1, 20, 2 * MOST_POINTS])
def test_each_row_is_a_point_of_each_model_and_many_are_thinned(rows: int) -> None:
    scored, shown = scored_rows(rows), min(rows, MOST_POINTS)
    chart = predicted_vs_actual(scored)
    drawn = values(chart, 1)
    assert [point["model"] for point in drawn] == ["ridge"] * shown + [THIS] * shown  # in front
    assert f"{rows:,} test row" in chart.to_dict()["title"]["subtitle"]
    for point in drawn:
        row = point["row"] - 1
        predicted = scored.predictions[point["model"]][row]
        assert (point["actual"], point["predicted"]) == (scored.actual[row], predicted)


def test_residuals_are_the_actual_minus_the_predicted_target() -> None:
    scored = scored_rows(20)
    drawn = values(residuals(scored), 1)
    assert [point["residual"] for point in drawn] == (scored.actual - scored.predicted).tolist()
    assert [point["predicted"] for point in drawn] == scored.predicted.tolist()


def test_coverage_is_drawn_over_the_level() -> None:
    chart = coverage("intervals", "contain the target", scored_rows(9), [0.5, 0.9], [0.48, 0.95])
    assert [(point["x"], point["share"]) for point in values(chart, 1)] == [(0.5, 0.48), (0.9, 0.95)]


def chart(value: float) -> alt.Chart:
    return alt.Chart(rows_of([{"a": value}])).mark_point().encode(x="a:Q")


def test_a_figure_is_an_image_and_a_specification(tmp_path: Path) -> None:
    assert read_figures(tmp_path) == {}
    write_figures(tmp_path, {"importance": chart(1)})
    assert not is_drawn(tmp_path)
    write_figures(tmp_path, {"one": chart(1), "two": chart(2)})
    assert is_drawn(tmp_path)
    assert (tmp_path / "figures/two.png").read_bytes().startswith(b"\x89PNG")
    bad = alt.Chart(rows_of([])).mark_point().encode(x="a")  # no type
    with pytest.raises(TypeError):
        write_figures(tmp_path, {"three": chart(3), "bad": bad})
    write_figures(tmp_path, {"two": chart(4)})
    (tmp_path / "figures/torn.vl.json").write_text('{"mark": "poi')
    (tmp_path / "figures/list.vl.json").write_text("[]")
    found = {name: figure["data"]["values"][0]["a"] for name, figure in read_figures(tmp_path).items()}
    assert found == {"importance": 1, "one": 1, "two": 4}


@pytest.mark.parametrize("count", [1, 30])
def test_importance_of_columns_with_odd_names(count: int) -> None:
    names = ["a.b[0]", "a\\:b", "<b>'\"", "x" * 300, "größe", "a,b", *(f"c{place}" for place in range(24))]
    columns = [(name, 5.0 - place, 0.5) for place, name in enumerate(names[:count])]
    specification = importance(columns, "RMSE in units of y", ["t.csv: 9 rows"]).to_dict()
    assert [row["name"] for row in specification["data"]["values"]] == names[: min(count, 20)]
    assert ("the first 20 of 30 columns" in specification["title"]["subtitle"]) == (count > 20)
    assert vl_convert.vegalite_to_svg(specification).startswith("<svg")


def test_an_axis_is_logarithmic_if_a_linear_one_would_hide_small_values() -> None:
    assert spreads_far([1.0, 31.0])
    assert not any(map(spreads_far, ([1.0, 29.0], [0.0, 1000.0], [-1.0, 1000.0], [])))


def test_charts_are_valid_and_draw() -> None:
    curves = {"train/loss": [(1, 4.0), (2, 2.0)], "val/loss": [(1, 5.0), (2, 300.0)]}
    of_runs = curves_of_runs("val/mae", curves, best=["val/loss"], pruned=["train/loss"])
    for chart in (learning_curves(curves, best_epoch=2), of_runs):
        assert vl_convert.vegalite_to_svg(chart.to_dict(validate=True)).startswith("<svg")


@pytest.mark.parametrize("epochs", [2, 9])
def test_epochs_are_whole_numbers(epochs: int) -> None:
    curves = {"val/loss": [(epoch, 1 / 3) for epoch in range(1, epochs + 1)]}
    for chart in (learning_curves(curves, 1), curves_of_runs("val/loss", curves)):
        labels = re.findall(r">(\d+)</text>", vl_convert.vegalite_to_svg(chart.to_dict()))
        assert len({*labels}) == len(labels) > 1
