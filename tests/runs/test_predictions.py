import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jaxtyping import Float64
from support import SMALL, resolved

from mlplab.data.cache import RunData
from mlplab.data.class_labels import predicted_classes
from mlplab.data.schema import ClassKind, Column, Schema
from mlplab.data.splits.split import Rows, Split
from mlplab.data.table import Table
from mlplab.runs.discovery import TEST_PREDICTIONS
from mlplab.runs.predictions import column_names, prediction_columns, write_test_predictions
from mlplab.training.run import Run

INPUTS = (Column("x", "numeric"),)


def schema(
    *targets: str, classes: Sequence[str] = (), kind: ClassKind = "text", inputs: tuple[Column, ...] = INPUTS
) -> Schema:
    return Schema(inputs, targets, tuple(classes), kind)


@given(
    arrays(
        np.float64, st.tuples(st.integers(1, 9), st.integers(3, 5)), elements=st.sampled_from([0, 0.2, 0.5])
    )
)
def test_the_first_of_the_most_probable_classes_is_predicted(probabilities: np.ndarray) -> None:
    for row, found in zip(probabilities, predicted_classes(probabilities, 0.9), strict=True):
        assert row[found] == row.max()
        assert row[:found].max(initial=-1) < row[found]


def test_of_two_classes_the_second_is_predicted_from_the_threshold_on() -> None:
    probabilities = np.array([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]])
    assert predicted_classes(probabilities, 0.5).tolist() == [0, 1, 1]
    assert predicted_classes(probabilities, 0.2).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("of", "names", "spread"),
    [
        (schema("y"), ["prediction"], ["prediction_sd"]),
        (schema("y", "z"), ["prediction_y", "prediction_z"], ["prediction_y_sd", "prediction_z_sd"]),
        (schema("prediction"), ["prediction_prediction"], ["prediction_prediction_sd"]),
        (schema("y", inputs=(Column("prediction", "numeric"),)), ["prediction_y"], ["prediction_y_sd"]),
        (schema("y", inputs=(Column("prediction_sd", "numeric"),)), ["prediction"], ["prediction_sd_"]),
        (
            schema("entropy", classes="ab"),
            ["prediction", "probability_a", "probability_b"],
            ["entropy_", "disagreement"],
        ),
        (
            schema("probability_b", classes="ab"),
            ["prediction", "probability_a", "probability_b_"],
            ["entropy", "disagreement"],
        ),
    ],
)
def test_names_of_columns(of: Schema, names: list[str], spread: list[str]) -> None:
    assert column_names(of)[:2] == (names, spread)
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
    columns = prediction_columns(schema("y", classes=labels, kind=kind), probabilities, 0.5)
    assert [column.name for column in columns] == ["prediction", *(f"probability_{each}" for each in labels)]
    assert columns[0].dtype == dtype
    assert columns[0].to_list() == predicted
    assert columns[1].to_list() == [0.25, 0.5, 0.75]
    above = prediction_columns(schema("y", classes=labels, kind=kind), probabilities, 0.8)
    assert above[0].to_list() == [predicted[2]] * 3


def table(schema: Schema, rows: Rows, y: Float64[np.ndarray, "row target"]) -> Table:
    """Rows with these targets, and others before and between."""
    targets = np.zeros((rows.max() + 1, y.shape[1]))
    targets[rows] = y
    return Table("t", schema, np.zeros((len(targets), 1)), targets, None, {}, rows)


def run_of(table: Table, rows: Rows) -> Run:
    """A run with these test rows."""
    return Run(resolved(*SMALL), RunData(table, Split(rows[:0], rows[:0], rows)))


def test_classes_of_test_rows_are_written(tmp_path: Path) -> None:
    labels = ["a, b", '"c"', "d"]
    probabilities = np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]])
    rows, y = np.array([3, 8]), np.array([[1.0], [0]])
    run = run_of(table(schema("y", classes=labels), rows, y), rows)
    write_test_predictions(tmp_path, run, probabilities, 0.5)
    path = tmp_path / TEST_PREDICTIONS
    with path.open(newline="") as file:
        header = next(csv.reader(file))
    assert header == ["row", "y", "prediction", *(f"probability_{label}" for label in labels)]
    found = pl.read_csv(path)
    assert found["row"].to_list() == [4, 9]
    assert found["y"].to_list() == ['"c"', "a, b"]
    assert found["prediction"].to_list() == ["d", "a, b"]
    np.testing.assert_array_equal(found[:, 3:].to_numpy(), probabilities)
    assert [each.name for each in tmp_path.iterdir()] == [TEST_PREDICTIONS]


def test_numbers_of_test_rows_are_written(tmp_path: Path) -> None:
    y, predicted = np.array([[1.0, 2], [0.1, 1 / 3]]), np.array([[1.5, 2.5], [1e-9, 1e300]])
    rows = np.array([0, 5])
    run = run_of(table(schema("row", "z"), rows, y), rows)
    write_test_predictions(tmp_path, run, predicted, 0.5)
    found = pl.read_csv(tmp_path / TEST_PREDICTIONS)
    assert found.columns == ["data row", "row", "z", "prediction_row", "prediction_z"]
    assert found["data row"].to_list() == [1, 6]
    np.testing.assert_array_equal(found[:, 1:3].to_numpy(), y)
    np.testing.assert_array_equal(found[:, 3:].to_numpy(), predicted)
