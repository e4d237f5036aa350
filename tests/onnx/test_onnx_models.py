from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

import mlplab
from mlplab.conformal.intervals import Uncertainty
from mlplab.conformal.residual_quantiles import Residuals
from mlplab.data.cells import dates
from mlplab.data.schema import Column, Schema
from mlplab.models import Linear
from mlplab.onnx.check import check_model
from mlplab.onnx.graph import Graph, concat
from mlplab.onnx.layers import apply
from mlplab.onnx.model import onnx_model, predictions, write_classes, write_numbers
from mlplab.onnx.raw_columns import NO_DATE, date_parts, model_inputs

pytestmark = pytest.mark.usefixtures("full_speed")

ROWS = 140
DRAWN = np.random.default_rng(0)


def without_some(cells: Sequence[object]) -> list[object]:
    return [None if DRAWN.random() < 0.1 else cell for cell in cells]


NUMBER = DRAWN.integers(0, 300, ROWS)
COLUMNS = {
    "number": without_some(1e9 + NUMBER),
    "flag": without_some(DRAWN.random(ROWS) > 0.5),
    "kind": without_some(DRAWN.choice(list("abc"), ROWS)),
    "town": without_some([f"town {number % 15}" for number in range(ROWS)]),
    "size": without_some(DRAWN.choice(["low", "medium", "high"], ROWS)),
    "moment": without_some([f"{1 + i % 28}.{1 + i % 12}.{1960 + i} {i % 24}:30" for i in range(ROWS)]),
    "month": without_some(DRAWN.choice(["Jan", "February", "MAY", "june", "Sept.", "Dec"], ROWS)),
    "clock": [f"{minute % 24}:{minute % 60:02}" for minute in range(ROWS)],
    "price": [f"${number},{number:03}.50" for number in DRAWN.integers(1, 999, ROWS)],
}
Y = 10 * np.sin(NUMBER / 40) + 5 * (np.array(COLUMNS["kind"]) == "a") + DRAWN.normal(size=ROWS)
FRAME = pl.DataFrame(COLUMNS).with_columns(y=Y, z=2 * Y + DRAWN.normal(size=ROWS), positive=np.exp(Y / 10))
LABELS = {"text": np.where(Y > 5, "hi", "lo"), "whole": np.digitize(Y, [0, 8]), "true": Y > 5}
SMALL = ("trainer.max_epochs=1", "baselines=[]", "figures=none", "logger=[]")
ALONE = (*SMALL, "ensemble=1", "model.hidden=[8]")
TOGETHER = (*SMALL, "ensemble=2", "model.hidden=[8]")
DEEP = ("model.hidden=[8,8]", "model.residual=true", "model.norm=layer", "model.activation=elu")
EMBEDDED = "model.preprocessing.one_hot_max_categories=2"
UNSCALED = (  # without the number, whose cosines would be rounding
    *("model/preprocessing=none", "data.columns.number=drop", "model.periodic_features=4"),
    *("model.linear_path=false", "trainer.precision=64"),
)


def trained(frame: pl.DataFrame, target: str | list[str], *overrides: str) -> mlplab.FinishedRun:
    left_out = [name for name in ("y", "z", "positive") if name in frame.columns and name not in target]
    data = {"columns": {"size": "ordinal", **dict.fromkeys(left_out, "drop")}}
    return mlplab.train(frame, target, data=data, overrides=overrides, progress=False)


def outputs_of(model: bytes, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


@pytest.mark.parametrize(
    ("target", "overrides"),
    [
        (["y", "z"], (*TOGETHER, "data.na_values=[-1,1000000007]", "model.activation=[silu,relu]", EMBEDDED)),
        ("positive", (*ALONE, "model.preprocessing.target=log", "model/preprocessing=robust_clip")),
        ("y", (*TOGETHER, "loss=quantile", "model/preprocessing=standard", "model=tabm", "model.heads=4")),
        ("y", (*SMALL, "ensemble=1", "model=linear")),
        ("y", (*ALONE, "model=realmlp")),
        ("y", (*SMALL, "ensemble=1", *UNSCALED, *DEEP)),
    ],
    ids=["several targets", "log", "quantiles of heads", "linear", "realmlp", "float64, unscaled"],
)
def test_models_predict_numbers(tmp_path: Path, target: str | list[str], overrides: Sequence[str]) -> None:
    run = trained(FRAME, target, *overrides)
    path = run.export(tmp_path / "m.onnx", interval=0.9)
    onnx.checker.check_model(path, full_check=True)
    predicted = run.predict(FRAME, interval=0.9)
    outputs = outputs_of(path.read_bytes(), model_inputs(run.schema, FRAME, decimal_comma=False))
    assert [*outputs] == predicted.columns
    for found, column in zip(outputs.values(), predicted, strict=True):
        np.testing.assert_allclose(found, column.to_numpy(), atol=2e-5 * column.std(), rtol=2e-5)


@pytest.mark.parametrize(("label", "model"), [("text", "tabm"), ("whole", "mlp"), ("true", "mlp")])
def test_models_predict_classes(tmp_path: Path, label: str, model: str) -> None:
    frame = FRAME.select([*COLUMNS]).with_columns(y=pl.Series(LABELS[label]))
    more = "task=multiclass" if label == "whole" else "threshold=auto"
    run = trained(frame, "y", *TOGETHER, f"model={model}", more)
    exported = run.export(tmp_path / "m.onnx", sets=0.9).read_bytes()
    outputs = outputs_of(exported, model_inputs(run.schema, frame, decimal_comma=False))
    np.testing.assert_allclose(outputs["probabilities"], run.predict_proba(frame), atol=1e-6)
    predicted = run.predict(frame, sets=0.9)
    np.testing.assert_array_equal(outputs["prediction"], predicted["prediction"].to_numpy())
    sets = [" | ".join(np.array(run.schema.classes)[row]) for row in outputs["set"]]
    assert sets == predicted["set"].to_list()


def test_a_wrong_model_is_refused() -> None:
    run = trained(FRAME, "y", *ALONE, "model.linear_path=false")
    model = onnx_model(run.model)
    assert check_model(model.SerializeToString(), run.model, FRAME).difference < 1e-5
    for constant in model.graph.initializer:
        if constant.dims == [1, 1, 8, 1]:  # the weights of the output layer
            values = onnx.numpy_helper.to_array(constant) * np.float32(1.01)
            constant.CopyFrom(onnx.numpy_helper.from_array(values, constant.name))
    with pytest.raises(mlplab.UserError, match="does not predict as its network does"):
        check_model(model.SerializeToString(), run.model, FRAME)


def results_of(graph: Graph, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    return outputs_of(graph.model({}).SerializeToString(), inputs)


def test_custom_networks_may_be_sequences_of_layers() -> None:
    class Doubled(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    layers, graph = [Linear(1, 4, [0], 0), nn.Tanh(), Linear(4, 1, [0], 1)], Graph()
    x = graph.input("x", np.float64, "").unsqueeze(0, 1, 3)
    network, rows = nn.Sequential(*layers).double(), np.linspace(-2, 2, 50)
    graph.output("y", apply(network, x).squeeze(0, 1, 3), "")
    y = results_of(graph, x=rows)["y"]
    np.testing.assert_allclose(y, network(torch.from_numpy(rows)[None, :, None]).detach().numpy().ravel())
    with pytest.raises(mlplab.UserError, match="Doubled: is a layer that cannot be exported"):
        apply(Doubled(*layers), x)


LEAP_DAYS = [datetime(year, month, day) for year in (1900, 2000, 2024) for month, day in ((2, 28), (12, 31))]


@given(st.lists(st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31)), min_size=100, max_size=100))
@example([*LEAP_DAYS, datetime(2000, 2, 29), datetime(2024, 2, 29, 23, 59, 59), datetime(1970, 1, 1)])
@settings(max_examples=3)
def test_parts_of_dates(days: list[datetime]) -> None:
    series = pl.Series(days, dtype=pl.Datetime("us"))
    graph = Graph()
    parts = date_parts(graph.input("time", np.int64, ""), dates.DATE_PARTS, 1990.5)
    graph.output("parts", concat(parts, 1), "", len(parts))
    values = results_of(graph, time=np.append(series.to_physical().to_numpy(), NO_DATE))["parts"]
    assert np.isnan(values[-1]).all()
    expected = pl.DataFrame(dates.date_parts(series, dates.DATE_PARTS, 1990.5)).to_numpy()
    np.testing.assert_allclose(values[:-1], expected, atol=1e-12)


INPUTS = (Column("x", "numeric"),)
LEVELS = (0.1, 0.5, 0.9)


@pytest.mark.parametrize(("share", "residual", "of_linear"), [(0, 1, 1), (0.25, 0, 0.25), (0.25, 1, 1)])
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
    y, close = np.random.default_rng(seed).normal(size=(2, 99))
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
