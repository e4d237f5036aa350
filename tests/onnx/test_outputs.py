"""The last layer of a network and the outputs of a model, in ONNX: the formulas of NumPy and `conformal`."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from mlplab.conformal.intervals import Uncertainty
from mlplab.conformal.residuals import Residuals
from mlplab.data.schema import Column, Schema
from mlplab.onnx.graph import Graph
from mlplab.onnx.model import predictions, write_classes, write_numbers

pytestmark = pytest.mark.usefixtures("full_speed")

DRAWN = np.random.default_rng(0)
INPUTS = (Column("x", "numeric"),)
LEVELS = (0.1, 0.5, 0.9)


def results_of(graph: Graph, *values: np.ndarray) -> dict[str, np.ndarray]:
    inputs = dict(zip([each.name for each in graph.inputs], values, strict=True))
    session = onnxruntime.InferenceSession(graph.model({}).SerializeToString())
    return dict(zip([each.name for each in graph.outputs], session.run(None, inputs), strict=True))


@pytest.mark.parametrize(
    ("share", "residual", "of_linear"), [(0.0, 1.0, 1.0), (0.25, 0.0, 0.25), (0.25, 1.0, 1.0)]
)
def test_the_linear_path_has_its_share(share: float, residual: float, of_linear: float) -> None:
    z, linear = DRAWN.normal(size=(1, 1, 5, 3)), DRAWN.normal(size=(1, 5, 3))
    graph, path = Graph(), SimpleNamespace(share=share, residual=residual)
    limits = {"minimum": torch.tensor([[[-1.0]]]).double(), "maximum": torch.tensor([[[1.0]]]).double()}
    transform = SimpleNamespace(std=1.0, mean=0.0, quantiles=LEVELS, log=False, outputs=3, **limits)
    preprocessing = SimpleNamespace(target_transform=transform)
    network: Any = SimpleNamespace(linear_path=path, heads=1, preprocessing=preprocessing)
    graph.output("y", predictions(graph.constant(z), graph.constant(linear), network), "")
    expected = np.sort(z[:, 0] * (1 - share) + linear * of_linear, 2).clip(-1, 1)  # as quantiles and limits
    np.testing.assert_allclose(results_of(graph)["y"], expected)


def residuals(seed: int) -> Residuals:
    drawn = np.random.default_rng(seed)
    y, close = drawn.normal(size=(2, 99))
    return Residuals.of(y, y + close, np.ones(99), 99)


def ensemble(schema: Schema, of_runs: list[list[Residuals]], quantiles: tuple[float, ...] = ()) -> Any:
    weights = np.array([0.75, 0.25])
    uncertainty = Uncertainty(schema, of_runs, quantiles, weights)
    runs = [SimpleNamespace(residuals=of_run) for of_run in of_runs]
    more = {"uncertainty": uncertainty, "threshold": 0.25, "classes": np.array(schema.classes, object)}
    return SimpleNamespace(schema=schema, quantiles=quantiles, runs=runs, weights=weights, **more)


def test_limits_are_means_of_those_of_runs() -> None:
    of_runs, mean = [[residuals(1), residuals(2)], [residuals(3), residuals(4)]], DRAWN.normal(size=(20, 2))
    model, graph = ensemble(Schema(INPUTS, ("a", "b")), of_runs), Graph()
    write_numbers(graph, model, graph.constant(mean), [0.8])
    found = results_of(graph)
    np.testing.assert_array_equal(np.stack([found["prediction_a"], found["prediction_b"]], 1), mean)
    limits = [[found[f"{side}_{target}"] for side in ("lower", "upper")] for target in "ab"]
    np.testing.assert_allclose(np.transpose(limits, (2, 0, 1)), model.uncertainty.bounds(mean, 0.8))


@pytest.mark.parametrize("is_corrected", [True, False])
def test_quantiles_are_corrected_and_do_not_cross(is_corrected: bool) -> None:
    of_runs = [[residuals(1), residuals(2), residuals(3)] if is_corrected else []] * 2
    model, graph = ensemble(Schema(INPUTS, ("y",)), of_runs, LEVELS), Graph()
    mean = np.sort(DRAWN.normal(size=(20, 3)) / 100, 1)
    write_numbers(graph, model, graph.constant(mean), [0.8])
    found, expected = results_of(graph), model.uncertainty.corrected(mean)
    names = ["quantile_0.1", "quantile_0.5", "quantile_0.9"]
    np.testing.assert_allclose(np.stack([found[name] for name in names], 1), expected)
    for name, same in (("prediction", 1), ("lower", 0), ("upper", 2)):
        np.testing.assert_array_equal(found[name], found[names[same]])


def test_sets_have_the_most_likely_class_and_all_that_are_probable_enough() -> None:
    of_runs = [[Residuals.of(error, 0 * error, np.ones(9), 9)] for error in (np.linspace(0.1, 0.5, 9),) * 2]
    model, graph = ensemble(Schema(INPUTS, ("y",), classes=tuple("abc")), of_runs), Graph()
    mean = np.array([[0.4, 0.4, 0.2], [0.1, 0.6, 0.3], [0.0, 0.05, 0.95]])
    write_classes(graph, model, graph.constant(mean), [0.5, 0.8])
    found = results_of(graph)
    assert [*found["prediction"]] == ["a", "b", "c"]  # the first of equally likely ones
    for level in (0.5, 0.8):
        np.testing.assert_array_equal(found[f"set_{level}"], model.uncertainty.sets(mean, level))
    model, graph = ensemble(Schema(INPUTS, ("y",), classes=("no", "yes")), of_runs), Graph()
    write_classes(graph, model, graph.constant(np.array([[0.8, 0.2], [0.75, 0.25]])), [])
    assert [*results_of(graph)["prediction"]] == ["no", "yes"]  # from the threshold on
