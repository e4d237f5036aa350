"""Charts of a search."""

import json
import math
from typing import Any

import numpy as np
import pytest
import vl_convert

from mlplab.figures.search import (
    KINDS,
    MOST_BARS,
    Trial,
    history,
    hyperparameter_importance,
    score_of_trials,
)
from mlplab.figures.style import MOST_POINTS, Figure
from mlplab.figures.sweep import Point


def trials(count: int, seed: int = 0) -> list[Trial]:
    """Trials of each status, in disorder, with a few outliers."""
    rng = np.random.default_rng(seed)
    scores = 3 + rng.exponential(size=count) * np.where(rng.uniform(size=count) < 0.02, 1e5, 1)
    statuses = rng.choice([*KINDS], count, p=[0.3, 0.5, 0.1, 0.1])
    found = [
        Trial(number, str(status), float(score) if status in ("done", "pruned") else math.nan)
        for number, (status, score) in enumerate(zip(statuses, scores, strict=True))
    ]
    rng.shuffle(found)  # type: ignore[arg-type]
    return found


def layers(chart: Figure | None) -> list[dict[str, Any]]:
    """The layers of a valid chart, without the line between axis and edge."""
    assert chart is not None
    specification = chart.to_dict(validate=True)
    shared = {"data": specification.get("data")}  # if the layers have the same
    return [shared | layer for layer in specification["layer"] if layer["mark"]["type"] != "rule"]


def rows(layer: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = layer["data"]["values"]
    return found


def domain(layer: dict[str, Any]) -> list[float]:
    found: list[float] = layer["encoding"]["y"]["scale"]["domain"]
    return found


def test_the_line_is_the_best_finished_trial_so_far() -> None:
    scores = [
        ("done", 5.0),
        ("pruned", 1.0),
        ("done", 6.0),
        ("diverged", math.nan),
        ("done", 4.0),
        ("pruned", 7.0),
    ]
    found = [Trial(number, *each) for number, each in enumerate(scores)]
    dots, line = layers(history(found[::-1], "val/mae", lowest_is_best=True))
    steps = [(row["trial"], row["place"]) for row in rows(line)]
    assert steps == [(0, 5.0), (4, 4.0), (5, 4.0)]
    assert line["mark"]["interpolate"] == "step-after"
    assert [row["trial"] for row in rows(dots)] == [0, 1, 2, 3, 4, 5]
    _, line = layers(history(found, "val/r2", lowest_is_best=False))
    assert [(row["trial"], row["place"]) for row in rows(line)] == [(0, 5.0), (2, 6.0), (5, 6.0)]


def test_statuses_differ_in_colour_and_shape() -> None:
    dots, _ = layers(history(trials(50), "val/mae", lowest_is_best=True))
    for channel in ("color", "shape"):
        scale = dots["encoding"][channel]["scale"]
        assert scale["domain"] == ["done", "pruned", "diverged", "failed"]
    assert len({*dots["encoding"]["shape"]["scale"]["range"]}) == 4
    one = [Trial(0, "done", 3.0), Trial(1, "running", math.nan)]
    dots, _ = layers(history(one, "val/mae", lowest_is_best=True))
    assert dots["encoding"]["color"]["scale"]["domain"] == ["done"]
    assert [row["trial"] for row in rows(dots)] == [0]


@pytest.mark.parametrize("lowest_is_best", [True, False])
def test_what_has_no_place_is_at_the_edge(lowest_is_best: bool) -> None:
    sign = 1 if lowest_is_best else -1
    found = [Trial(each.number, each.status, sign * each.score) for each in trials(300)]
    chart = history(found, "val/x", lowest_is_best=lowest_is_best)
    assert chart is not None
    dots, _ = layers(chart)
    low, high = domain(dots)
    edges = {row["place"] for row in rows(dots) if row["score"] is None}
    assert len(edges) == 1
    [edge] = edges
    for row in rows(dots):
        assert low < row["place"] < high
        if row["score"] is not None:
            assert row["place"] in (row["score"], edge)
    assert any(row["place"] == edge and row["score"] is not None for row in rows(dots))
    assert edge == (max if lowest_is_best else min)(row["place"] for row in rows(dots))
    subtitle = chart.to_dict()["title"]["subtitle"]
    assert f"at the {'top' if lowest_is_best else 'bottom'} edge" in subtitle[1]


def test_a_bad_first_trial_stays_on_the_picture() -> None:
    """A line that leaves it by far takes the memory of a huge image."""
    scores = [-1e9, *np.linspace(0.5, 0.9, 40).tolist()]
    found = [Trial(number, "done", score) for number, score in enumerate(scores)]
    dots, line = layers(history(found, "val/r2", lowest_is_best=False))
    low, high = domain(dots)
    assert all(low < row["place"] < high for row in rows(line))


@pytest.mark.parametrize("count", [1, 2, 12, MOST_POINTS, 10 * MOST_POINTS])
def test_charts_of_any_number_of_trials_are_small_and_draw(count: int) -> None:
    found = [
        Trial(0, "done", 9.0),
        *(Trial(each.number + 1, each.status, each.score) for each in trials(count - 1)),
    ]
    chart = history(found, "val/mae", lowest_is_best=True)
    dots, line = layers(chart)
    assert len(rows(dots)) == min(count, MOST_POINTS)
    shown = {row["trial"] for row in rows(dots)}
    assert all(row["trial"] in shown for row in rows(line)[:-1])
    assert rows(line)[-1]["trial"] == count - 1 if count > 1 else True
    assert chart is not None
    specification = chart.to_dict()
    assert len(json.dumps(specification)) < 90_000
    assert vl_convert.vegalite_to_svg(specification).startswith("<svg")
    text = f"{count:,} trial"
    assert text in specification["title"]["subtitle"][0]


def test_without_scores_there_is_no_history() -> None:
    assert history([], "val/mae", lowest_is_best=True) is None
    assert history([Trial(0, "diverged", math.nan)], "val/mae", lowest_is_best=True) is None
    assert len(layers(history([Trial(0, "pruned", 3.0)], "val/mae", lowest_is_best=True))) == 2


def test_importance_is_sorted() -> None:
    chart = hyperparameter_importance({"hidden": 0.29, "lr": 0.71}, "val/mae")
    bars, _ = layers(chart)
    assert [(row["key"], row["share"]) for row in rows(bars)] == [("lr", 0.71), ("hidden", 0.29)]
    assert "Largest: lr 71%, hidden 29%." in chart.to_dict()["description"]
    svg = vl_convert.vegalite_to_svg(chart.to_dict())
    assert ">71%</text>" in svg
    many = {f"key{number}": 1 / 50 for number in range(50)}
    chart = hyperparameter_importance(many, "val/mae")
    assert len(rows(layers(chart)[0])) == MOST_BARS
    assert "the first 20 of 50 hyperparameters" in chart.to_dict()["title"]["subtitle"]


def points(count: int) -> list[Point]:
    rng = np.random.default_rng(0)
    return [
        Point(
            f"trial-{number:04d}",
            {
                "lr": float(10 ** rng.uniform(-5, -1)),
                "batch_size": int(rng.choice([64, 128])),
                "hidden": "[8,8]",
            },
            4.0 + float(rng.exponential()) if number else 1e7,
            is_best=number == 1,
        )
        for number in range(count)
    ]


def test_sampled_numbers_are_an_axis_and_repeated_ones_are_categories() -> None:
    [dots] = layers(score_of_trials("lr", points(50), "val/mae", lowest_is_best=True))
    assert dots["encoding"]["x"]["type"] == "quantitative"
    assert dots["encoding"]["x"]["scale"]["type"] == "log"
    assert "xOffset" not in dots["encoding"]
    for key, names in {"batch_size": ["64", "128"], "hidden": ["[8,8]"]}.items():
        chart = score_of_trials(key, points(50), "val/mae", lowest_is_best=True)
        [dots] = layers(chart)
        assert dots["encoding"]["x"]["sort"] == names
        offsets = [row["offset"] for row in rows(dots)]
        assert len(set(offsets)) == 50
        assert all(0 <= offset < 1 for offset in offsets)
        assert vl_convert.vegalite_to_svg(chart.to_dict()).startswith("<svg")


def test_the_best_trial_is_in_front_and_outliers_are_at_the_edge() -> None:
    [dots] = layers(score_of_trials("lr", points(50), "val/mae", lowest_is_best=True))
    *others, best = rows(dots)
    assert best["best"]
    assert not any(row["best"] for row in others)
    [outlier] = [row for row in rows(dots) if row["score"] == 1e7]
    assert outlier["place"] < domain(dots)[1] < 20
