"""Figures of classes, against scikit-learn."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score

from mlplab.figures.classes import (
    CURVE_POINTS,
    MOST_CLASSES,
    ClassPoints,
    calibration,
    confusion,
    roc_and_precision_recall,
)


def points(classes: int, rows: int = 300, *, baseline: bool = True, only: int | None = None) -> ClassPoints:
    rng = np.random.default_rng(classes)
    actual = rng.integers(0, classes, rows) if only is None else np.full(rows, only)
    logits = rng.normal(size=(rows, classes)) + 2 * np.eye(classes)[actual]
    predicted = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    names = [f"class {k}" for k in range(classes)]
    beside = np.full((rows, classes), 1 / classes) if baseline else None
    return ClassPoints("kind", names, rows, np.ones(rows), actual, predicted, beside, "logistic regression")


def test_the_confusion_matrix_counts_rows() -> None:
    of = points(4)
    cells = confusion(of).to_dict()["data"]["values"]
    expected = confusion_matrix(of.actual, of.predicted.argmax(1))
    assert [each["rows"] for each in cells] == expected.ravel().tolist()
    shares = (expected / expected.sum(1, keepdims=True)).ravel()
    assert [each["share"] for each in cells] == pytest.approx(shares)


def test_of_many_classes_the_largest_are_shown() -> None:
    chart = confusion(points(40, rows=2000)).to_dict()
    assert len(chart["data"]["values"]) == MOST_CLASSES**2
    assert f"the {MOST_CLASSES} largest of 40 classes" in chart["title"]["subtitle"]


def curve(chart: Any, place: int, series: str) -> list[dict[str, Any]]:
    found = chart.to_dict()["hconcat"][place]
    found = found["layer"][1] if "layer" in found else found
    return [each for each in found["data"]["values"] if each["series"] == series]


@pytest.mark.parametrize("rows", [60, 3000])
def test_the_area_below_the_roc_curve_is_the_auroc(rows: int) -> None:
    of = points(2, rows)
    drawn = curve(roc_and_precision_recall(of), 0, "this network")
    assert len(drawn) <= CURVE_POINTS
    x, y = ([each[name] for each in drawn] for name in ("false", "true"))
    assert np.trapezoid(y, x) == pytest.approx(roc_auc_score(of.actual, of.predicted[:, 1]), abs=0.01)


def test_each_of_several_classes_has_a_curve() -> None:
    chart = roc_and_precision_recall(points(3))
    for name in ("class 0", "class 1", "class 2"):
        assert curve(chart, 0, name)[-1]["true"] == 1
        assert curve(chart, 1, name)[-1]["recall"] == 1


def test_there_is_no_curve_of_a_single_class() -> None:
    assert roc_and_precision_recall(points(2, only=1)) is None
    confusion(points(2, only=1)).to_dict()
    calibration(points(2, only=1)).to_dict()


@pytest.mark.parametrize("classes", [2, 3])
def test_calibrated_probabilities_lie_on_the_diagonal(classes: int) -> None:
    rng = np.random.default_rng(0)
    predicted = rng.dirichlet(np.ones(classes), 20_000)
    actual = (predicted.cumsum(1) < rng.uniform(size=(len(predicted), 1))).sum(1).astype(np.int64)
    of = ClassPoints(
        "kind", [str(k) for k in range(classes)], len(actual), np.ones(len(actual)), actual, predicted
    )
    drawn = calibration(of).to_dict()["layer"][1]["data"]["values"]
    assert sum(each["rows"] for each in drawn) == len(predicted)
    for each in drawn:
        assert each["share"] == pytest.approx(each["probability"], abs=0.05)


def test_few_rows_have_few_groups() -> None:
    drawn = calibration(points(2, 3, baseline=False)).to_dict()["layer"][1]["data"]["values"]
    assert [each["rows"] for each in drawn] == [1, 1, 1]


def test_weights_count_as_rows() -> None:
    """A row of weight 2 is drawn as two rows."""
    once, rng = points(3, 50), np.random.default_rng(0)
    weight = rng.integers(1, 3, 50)
    again = np.repeat(np.arange(50), weight)
    rows = {"actual": once.actual[again], "predicted": once.predicted[again]}
    twice = replace(once, **rows, baseline=None, weight=np.ones(len(again)), total=len(again))
    weighted = replace(once, weight=weight.astype(float), baseline=None)
    assert confusion(weighted).to_dict()["data"] == confusion(twice).to_dict()["data"]
    for place, x, y in ((0, "false", "true"), (1, "recall", "precision")):
        ours, theirs = (curve(roc_and_precision_recall(each), place, "class 1") for each in (weighted, twice))
        assert [(each[x], each[y]) for each in ours] == [(each[x], each[y]) for each in theirs]
