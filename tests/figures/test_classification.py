from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    precision_score,
    recall_score,
    roc_auc_score,
)

from mlplab.figures import classification
from mlplab.figures.classification import MOST_CLASSES, confusion, roc_and_precision_recall, threshold
from mlplab.figures.predictions import THIS, ScoredRows


def scored_rows(classes: int, rows: int = 300, *, only: int | None = None) -> ScoredRows:
    rng = np.random.default_rng(classes)
    actual = rng.integers(0, classes, rows) if only is None else np.full(rows, only)
    logits = rng.normal(size=(rows, classes)) + 2 * np.eye(classes)[actual]
    predicted = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    names = tuple(f"class {k}" for k in range(classes))
    predictions = {THIS: predicted, "logistic regression": np.full((rows, classes), 1 / classes)}
    return ScoredRows("kind", np.arange(rows) + 1, rows, np.ones(rows), actual, predictions, names)


def test_the_confusion_matrix_counts_rows_by_weight_and_threshold() -> None:
    scored = replace(scored_rows(2), threshold=0.3, weight=np.tile([1.0, 2.5], 150))
    cells = confusion(scored).to_dict()["data"]["values"]
    expected = confusion_matrix(scored.actual, scored.predicted[:, 1] >= 0.3, sample_weight=scored.weight)
    assert [cell["rows"] for cell in cells] == expected.ravel().tolist()
    shares = (expected / expected.sum(1, keepdims=True)).ravel()
    assert [cell["share"] for cell in cells] == pytest.approx(shares)
    of_many = confusion(scored_rows(40, rows=2000)).to_dict(validate=False)
    assert len(of_many["data"]["values"]) == MOST_CLASSES**2
    assert f"the {MOST_CLASSES} largest of 40 classes" in of_many["title"]["subtitle"]


def curve(chart: Any, number: int, series: str) -> list[dict[str, Any]]:
    panel = chart.to_dict(validate=False)["vconcat"][number]
    data = panel["layer"][-1].get("data") or panel["data"]
    return [point for point in data["values"] if point["series"].endswith(f"  {series}")]


@pytest.mark.parametrize("rows", [60, 3000])
def test_areas_below_curves_are_auroc_and_average_precision(rows: int) -> None:
    scored = scored_rows(2, rows)
    chart, probability = roc_and_precision_recall(scored), scored.predicted[:, 1]
    for number, of in enumerate((roc_auc_score, average_precision_score)):
        drawn, score = curve(chart, number, THIS), of(scored.actual, probability)
        x, y = (np.array([point[axis] for point in drawn]) for axis in "xy")
        area = np.diff(x) @ y[1:] if number else np.trapezoid(y, x)  # below steps
        assert area == pytest.approx(score, abs=0.01)
        assert len(drawn) <= classification.CURVE_POINTS
        assert drawn[0]["series"].startswith(f"{score:.3f} ")
    panel = chart.to_dict()["vconcat"][1]
    assert [row["rate"] for row in panel["layer"][0]["data"]["values"]] == [scored.actual.mean()]
    assert roc_and_precision_recall(scored_rows(2, only=1)) is None


def test_precision_and_recall_by_threshold() -> None:
    scored = replace(scored_rows(2, 60), threshold=0.3, weight=np.tile([1.0, 2.5], 30))
    rule, lines = threshold(scored).to_dict()["layer"]
    assert rule["data"]["values"] == [{"x": 0.3}]
    for name, of in (("precision", precision_score), ("recall", recall_score)):
        drawn = [point for point in lines["data"]["values"] if point["series"] == name]
        for cut in (0.0, 0.05, 0.3, 0.77):
            step = next(point["y"] for point in drawn if point["x"] >= cut)
            predicted = scored.predicted[:, 1] >= cut
            assert step == pytest.approx(of(scored.actual, predicted, sample_weight=scored.weight))
    assert (drawn[-1]["x"], drawn[-1]["y"]) == (1.0, 0.0)
    assert threshold(scored_rows(3)) is threshold(scored_rows(2, only=1)) is None


@pytest.mark.parametrize("classes", [2, 3])
def test_calibrated_probabilities_lie_on_the_diagonal(classes: int) -> None:
    rng = np.random.default_rng(0)
    predicted = rng.dirichlet(np.ones(classes), 20_000)
    actual = (predicted.cumsum(1) < rng.uniform(size=(len(predicted), 1))).sum(1).astype(np.int64)
    scored = replace(scored_rows(classes, len(actual)), actual=actual, predictions={THIS: predicted})
    drawn = classification.calibration(scored).to_dict()["layer"][1]["data"]["values"]
    assert sum(point["rows"] for point in drawn) == len(predicted)
    for point in drawn:
        assert point["share"] == pytest.approx(point["x"], abs=0.05)


def test_weights_count_as_rows() -> None:
    once, weight = scored_rows(3, 50), np.random.default_rng(0).integers(1, 3, 50)
    again = np.repeat(np.arange(50), weight)
    rows = again + 1, len(again), np.ones(len(again)), once.actual[again]
    twice = ScoredRows("kind", *rows, {THIS: once.predicted[again]}, once.classes)
    weighted = replace(once, weight=weight.astype(float))
    assert confusion(weighted).to_dict()["data"] == confusion(twice).to_dict()["data"]
    charts = [roc_and_precision_recall(each) for each in (weighted, twice)]
    for number, name, axis in product((0, 1), once.classes, "xy"):
        ours, theirs = ([point[axis] for point in curve(chart, number, name)] for chart in charts)
        assert ours == pytest.approx(theirs)
