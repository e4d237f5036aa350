"""Scores of runs over a key and by trial: where points are, and of runs without a score."""

from typing import Any

import pytest
import vl_convert

from mlplab.figures.scores import RunPoint, score_by_trial, score_over
from mlplab.figures.style import MOST_POINTS

NAN = float("nan")


def points(*scores: float, values: Any = None) -> list[RunPoint]:
    values = values or range(len(scores))
    return [
        RunPoint(str(number), "done", value, score, number == 1)
        for number, (score, value) in enumerate(zip(scores, values, strict=True))
    ]


def layers(chart: Any) -> list[dict[str, Any]]:
    specification = chart.to_dict(validate=True)
    assert vl_convert.vegalite_to_svg(specification).startswith("<svg")
    return list(specification["layer"])


def runs_in(layer: dict[str, Any]) -> set[str]:
    return {row["run"] for row in layer["data"]["values"]}


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1e-4, 1e-3, 1e-2], "nominal", [1e-4, 1e-3, 1e-2]),
        (["[8,8]", "[8]", "null"], "nominal", ["[8]", "null", "[8,8]"]),
        (["auto", 10, 2], "nominal", [2, 10, "auto"]),
        ([0.00123456, 0.00712345, 0.0323456], "quantitative", "log"),
        ([0.123456, 0.312345, 0.4923456], "quantitative", None),
        (list(range(1, 101)), "quantitative", None),
        ([0.0, *(2.0**k for k in range(9))], "quantitative", None),
    ],
)
def test_an_axis_names_few_values_and_is_logarithmic_if_they_spread_so(
    values: list[Any], kind: str, expected: object
) -> None:
    chart = score_over("key", points(*range(1, len(values) + 1), values=values), "val/mae")
    [layer] = layers(chart)
    x = layer["encoding"]["x"]
    assert (x["title"], x["type"]) == ("key", kind)
    assert x["scale"].get("domain" if kind == "nominal" else "type") == expected


def test_a_key_is_not_drawn_if_there_is_nothing_to_compare() -> None:
    assert score_over("key", points(1, 2, values=["a", "a"]), "val/mae") is None
    assert score_over("key", points(NAN, NAN), "val/mae") is None
    assert score_over("key", points(*range(30), values=[f"[{n}]" for n in range(30)]), "val/mae") is None


@pytest.mark.parametrize(
    ("metric", "scores", "end"),
    [("val/mae", (1.0, 1.01, 1.1, 1.3, 1e9, NAN), 0), ("val/r2", (0.9, 0.8, 0.7, -1e9, NAN), "height")],
)
def test_runs_without_a_score_and_far_worse_ones_are_at_the_worse_end(
    metric: str, scores: tuple[float, ...], end: object
) -> None:
    on_axis, beyond = layers(score_over("key", points(*scores), metric))
    last = len(scores) - 1
    assert runs_in(beyond) == {str(last - 1), str(last)}
    assert runs_in(on_axis) == set(map(str, range(last - 1)))
    assert beyond["encoding"]["y"] == {"value": end}
    texts = {row["text"] for row in beyond["data"]["values"]}
    assert texts == {f"{score:.5g}" for score in scores[-2:]}


def test_one_score_is_enough() -> None:
    on_axis, beyond = layers(score_over("key", points(3.0, NAN), "val/mae"))
    assert (runs_in(on_axis), runs_in(beyond)) == ({"0"}, {"1"})


@pytest.mark.parametrize(
    ("metric", "line"), [("val/mae", [0.5, 0.5, 0.4, 0.4]), ("val/accuracy", [0.5, 0.6, 0.6, 0.6])]
)
def test_the_best_so_far_is_of_finished_trials(metric: str, line: list[float]) -> None:
    scores = (NAN, 0.5, 0.6, 0.4, 0.5)
    trials = [*points(*scores), RunPoint("5", "pruned", 5, 0.1 if metric == "val/mae" else 0.9, False)]
    drawn = layers(score_by_trial(trials, metric))
    assert [step["score"] for step in drawn[0]["data"]["values"]] == [*line, line[-1]]


def test_many_points_are_thinned_but_the_best_is_drawn() -> None:
    chart = score_over("key", points(*range(3 * MOST_POINTS)), "val/mae").to_dict()
    assert f"{MOST_POINTS + 1:,} of {3 * MOST_POINTS:,} runs" in chart["title"]["subtitle"]
    [*_, last] = chart["data"]["values"]
    assert (last["run"], last["is_best"]) == ("1", True)
