"""Charts of a search."""

import json
import math
from typing import Any

import numpy as np
import pytest
import vl_convert

from mlplab.figures.search import KINDS, MOST_BARS, Trial, history, hyperparameter_importance, score_of_trials
from mlplab.figures.style import MOST_POINTS, Figure


def trials(count: int, sign: int = 1) -> list[Trial]:
    """Trials of each status, in disorder, with a few outliers; low scores are good if the sign is 1."""
    rng = np.random.default_rng(0)
    scores = 3 + rng.exponential(size=count) * np.where(rng.uniform(size=count) < 0.02, 1e5, 1)
    statuses = rng.choice([*KINDS], count, p=[0.3, 0.5, 0.1, 0.1]).tolist()
    rates = 10 ** rng.uniform(-4, -1, size=count)
    return [
        Trial(
            number,
            statuses[number] if number else "done",
            sign * float(scores[number])
            if statuses[number] in ("done", "pruned") or not number
            else math.nan,
            {"lr": float(rates[number]), "width": (8, 16, 128, "auto")[number % 4]},
        )
        for number in reversed(range(count))
    ]


def layers(chart: Figure | None) -> list[dict[str, Any]]:
    """The layers of a valid chart that draws."""
    assert chart is not None
    specification = chart.to_dict(validate=True)
    assert len(json.dumps(specification)) < 200_000
    assert vl_convert.vegalite_to_svg(specification).startswith("<svg")
    shared = {"data": specification.get("data"), "title": specification["title"]}
    return [shared | layer for layer in specification.get("layer", [specification])]


def rows(layer: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = layer["data"]["values"]
    return found


def test_the_line_is_the_best_finished_trial_so_far() -> None:
    scores = [("done", 5.0), ("pruned", 1.0), ("done", 6.0), ("diverged", math.nan), ("done", 4.0)]
    found = [Trial(number, *ended) for number, ended in enumerate([*scores, ("pruned", 7.0)])]
    dots, line = layers(history(found[::-1], "val/mae", lowest_is_best=True))
    assert [(row["trial"], row["place"]) for row in rows(line)] == [(0, 5.0), (4, 4.0), (5, 4.0)]
    assert line["mark"]["interpolate"] == "step-after"
    assert {row["trial"]: row["status"] for row in rows(dots)} == {
        trial.number: trial.status for trial in found
    }
    _, line = layers(history(found, "val/r2", lowest_is_best=False))
    assert [(row["trial"], row["place"]) for row in rows(line)] == [(0, 5.0), (2, 6.0), (5, 6.0)]


def test_trials_that_did_not_finish_are_faint_and_behind() -> None:
    found = [*trials(50), Trial(50, "running", 3.0)]
    for chart in (
        history(found, "val/mae", lowest_is_best=True),
        score_of_trials("lr", trials(50), "val/mae", lowest_is_best=True),
    ):
        dots = layers(chart)[0]
        for channel in ("color", "shape"):
            assert dots["encoding"][channel]["scale"]["domain"] == ["done", "pruned", "diverged", "failed"]
        assert len({*dots["encoding"]["shape"]["scale"]["range"]}) == 4
        opacity = dots["encoding"]["opacity"]
        assert opacity["condition"] == {"test": "datum.status == 'done'", "value": 0.9}
        assert opacity["value"] < 0.5
        finished = [row["status"] == "done" for row in rows(dots)]
        assert finished == sorted(finished)
        assert len(finished) == 50
        assert "faint" in dots["title"]["subtitle"][1]


@pytest.mark.parametrize("sign", [1, -1])
def test_what_has_no_place_is_at_the_edge(sign: int) -> None:
    """A line or a point that leaves the chart by far takes the memory of a huge image."""
    found = [Trial(0, "done", sign * 1e9), *trials(300, sign)[:-1]]
    dots, line = layers(history(found, "val/x", lowest_is_best=sign > 0))
    scale = dots["encoding"]["y"]["scale"]
    assert scale == line["encoding"]["y"]["scale"]
    assert scale["clamp"]
    best, worst = scale["domain"][::sign]
    assert best == pytest.approx(min(sign * row["score"] for row in rows(dots) if row["score"]) * sign, 1e-4)
    assert abs(worst - best) < 20
    off = [row["place"] for row in rows(dots) if row["score"] is None]
    assert off
    assert all(sign * place > sign * worst for place in off)
    edge = "top" if sign > 0 else "bottom"
    assert dots["title"]["subtitle"][2] == f"at the {edge}: no score, or one off the axis"


def test_many_trials_are_sampled() -> None:
    dots, line = layers(history(trials(2 * MOST_POINTS), "val/mae", lowest_is_best=True))
    assert len(rows(dots)) == MOST_POINTS
    assert rows(line)[-1]["trial"] == 2 * MOST_POINTS - 1
    assert "1,000 of 2,000 trials" in dots["title"]["subtitle"][1]


def test_without_scores_there_is_no_history() -> None:
    assert history([], "val/mae", lowest_is_best=True) is None
    assert history([Trial(0, "diverged", math.nan)], "val/mae", lowest_is_best=True) is None
    assert len(layers(history([Trial(0, "pruned", 3.0)], "val/mae", lowest_is_best=True))) == 2


def test_a_slice_names_typed_values_and_has_the_best_trial_large() -> None:
    found = trials(50)
    [dots] = layers(score_of_trials("lr", found, "val/mae", lowest_is_best=True))
    assert (dots["encoding"]["x"]["type"], dots["encoding"]["x"]["scale"]["type"]) == ("quantitative", "log")
    [best] = [row for row in rows(dots) if row["best"]]
    assert best["score"] == min(row["score"] for row in rows(dots) if row["status"] == "done")
    assert best["value"] == next(trial for trial in found if trial.number == best["trial"]).values["lr"]
    [dots] = layers(score_of_trials("width", found, "val/mae", lowest_is_best=True))
    assert dots["encoding"]["x"]["scale"]["domain"] == [8, 16, 128, "auto"]


def test_importance_says_what_it_cannot_say() -> None:
    importance = {f"key{number}": 1 / 2 ** (number + 1) for number in range(30)}
    bars, _ = layers(hyperparameter_importance(dict(reversed(importance.items())), "val/mae", 12))
    assert [row["key"] for row in rows(bars)] == [f"key{number}" for number in range(MOST_BARS)]
    assert rows(bars)[0]["share"] == 0.5
    about = " ".join(bars["title"]["subtitle"])
    assert "12 finished trials" in about
    assert "not which values are good" in about
