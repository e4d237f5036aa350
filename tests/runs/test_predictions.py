from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from support import SMALL, resolved

from mlplab.data.cache import RunData
from mlplab.data.class_labels import predicted_classes
from mlplab.data.schema import ClassKind, Column, Schema
from mlplab.data.splits.split import Split
from mlplab.data.table import Table
from mlplab.runs.discovery import TEST_PREDICTIONS
from mlplab.runs.predictions import column_names, prediction_columns, spread_of, write_test_predictions
from mlplab.training.run import Run


def schema(*targets: str, classes: Sequence[str] = (), kind: ClassKind = "text", x: str = "x") -> Schema:
    return Schema((Column(x, "numeric"),), targets, tuple(classes), kind)


def test_the_first_of_the_most_probable_classes_is_predicted_or_that_above_the_threshold() -> None:
    several = np.array([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4], [0, 0, 1]])
    assert predicted_classes(several, 0.9).tolist() == [0, 1, 2]
    two = np.array([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]])
    assert predicted_classes(two, 0.5).tolist() == [0, 1, 1]
    assert predicted_classes(two, 0.2).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("of", "names", "spread"),
    [
        (schema("y"), "prediction", "prediction_sd"),
        (schema("y", "z"), "prediction_y prediction_z", "prediction_y_sd prediction_z_sd"),
        (schema("prediction"), "prediction_prediction", "prediction_prediction_sd"),
        (schema("y", x="prediction"), "prediction_y", "prediction_y_sd"),
        (schema("y", x="prediction_sd"), "prediction", "prediction_sd_"),
        (schema("entropy", classes="a"), "prediction probability_a", "entropy_ disagreement"),
        (schema("probability_a", classes="a"), "prediction probability_a_", "entropy disagreement"),
    ],
)
def test_names_of_columns(of: Schema, names: str, spread: str) -> None:
    assert column_names(of)[:2] == (names.split(), spread.split())
    assert column_names(schema("a", "prediction_a"))[0] == ["prediction_a_", "prediction_prediction_a"]


@pytest.mark.parametrize(
    ("labels", "kind", "predicted", "dtype"),
    [
        (["b", "a"], "text", ["a", "a", "b"], pl.String),
        (["2", "10"], "number", [10, 10, 2], pl.Int64),
        (["0.5", "1"], "number", [1.0, 1.0, 0.5], pl.Float64),
        (["false", "true"], "boolean", [True, True, False], pl.Boolean),
    ],
)
def test_a_predicted_class_is_as_in_the_table(
    labels: list[str], kind: ClassKind, predicted: list[object], dtype: pl.DataType
) -> None:
    probabilities = np.array([[0.25, 0.75], [0.5, 0.5], [0.75, 0.25]])
    column, first, _ = prediction_columns(schema("y", classes=labels, kind=kind), probabilities, 0.5)
    assert (column.dtype, column.to_list()) == (dtype, predicted)
    assert (first.name, first.to_list()) == (f"probability_{labels[0]}", [0.25, 0.5, 0.75])


CLASSES = {"row": [4, 9], "y": ['"c"', "a, b"], "prediction": ["d", "a, b"], "probability_d": [0.7, 0.2]}
NUMBERS = {"data row": [4, 9], "row": [1, 0.1], "z": [2, 1 / 3]}
NUMBERS |= {"prediction_row": [1.5, 1e-9], "prediction_z": [2.5, 1e300]}


@pytest.mark.parametrize(
    ("of", "y", "predicted", "expected"),
    [
        (schema("y", classes=["a, b", '"c"', "d"]), [[1], [0]], [[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]], CLASSES),
        (schema("row", "z"), [[1, 2], [0.1, 1 / 3]], [[1.5, 2.5], [1e-9, 1e300]], NUMBERS),
    ],
    ids=["classes", "numbers"],
)
def test_test_rows_are_written(
    tmp_path: Path, of: Schema, y: list[list[float]], predicted: list[list[float]], expected: dict[str, Any]
) -> None:
    rows, targets = np.array([3, 8]), np.zeros((9, len(of.targets)))
    targets[rows] = y
    table = Table("t", of, np.zeros((9, 1)), targets, None, {}, rows)
    run = Run(resolved(*SMALL), RunData(table, Split(rows[:0], rows[:0], rows)))
    write_test_predictions(tmp_path, run, np.array(predicted), 0.5)
    found = pl.read_csv(tmp_path / TEST_PREDICTIONS)
    assert found.select(*expected).to_dict(as_series=False) == expected
    assert found.columns[-1] == [*expected][-1]
    assert [each.name for each in tmp_path.iterdir()] == [TEST_PREDICTIONS]


@pytest.mark.parametrize("members", [1, 2, 6])
def test_spread_counts_members_by_their_weights(members: int) -> None:
    drawn = np.random.default_rng(members)
    values, weights = drawn.normal(size=(members, 40, 3)), drawn.dirichlet(np.ones(members))
    mean = np.average(values, axis=0, weights=weights)
    sd = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weights))
    np.testing.assert_allclose(spread_of(values, weights, is_classification=False), sd, atol=1e-12)
    probabilities = np.exp(4 * values)
    probabilities /= probabilities.sum(2, keepdims=True)
    total, disagreement = spread_of(probabilities, weights, is_classification=True).T
    mean = np.average(probabilities, axis=0, weights=weights)
    divergence = (probabilities * np.log(probabilities / mean)).sum(2)
    np.testing.assert_allclose(total, -(mean * np.log(mean)).sum(1), atol=1e-12)
    np.testing.assert_allclose(disagreement, weights @ divergence, atol=1e-12)
    assert (disagreement >= 0).all()


def test_certain_networks_that_contradict_each_other() -> None:
    yes, no, unsure = [0.0, 1.0], [1.0, 0.0], [0.5, 0.5]
    probabilities = np.array([[yes, yes, unsure], [no, yes, unsure]])
    spread = spread_of(probabilities, np.array([0.5, 0.5]), is_classification=True)
    np.testing.assert_allclose(spread, [[np.log(2), np.log(2)], [0, 0], [np.log(2), 0]], atol=1e-12)
    assert not np.signbit(spread).any()
