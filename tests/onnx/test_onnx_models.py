"""ONNX models, run by ONNX Runtime, predict as the networks that they were made of."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import mlplab
from mlplab.data.cells import dates
from mlplab.models import Linear
from mlplab.models.layers.activation import IN_PLACE, OUT_OF_PLACE, Activation
from mlplab.models.preprocessing import Quantile
from mlplab.onnx.check import check_model, model_inputs
from mlplab.onnx.dates import date_parts
from mlplab.onnx.graph import Graph
from mlplab.onnx.layers import apply
from mlplab.onnx.model import onnx_model
from mlplab.onnx.preprocessing import scale

ROWS = 160
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
    "moment": without_some(
        [f"{day % 28 + 1}.{day % 12 + 1}.{1960 + day} 12:{day % 60:02}" for day in range(ROWS)]
    ),
    "month": without_some(DRAWN.choice(["Jan", "February", "MAY", "june", "Sept.", "Dec"], ROWS)),
    "clock": [f"{minute % 24}:{minute % 60:02}" for minute in range(ROWS)],
    "price": [f"${number},{number:03}.50" for number in DRAWN.integers(1, 999, ROWS)],
}
Y = 10 * np.sin(NUMBER / 40) + 5 * (np.array(COLUMNS["kind"]) == "a") + DRAWN.normal(size=ROWS)
FRAME = pl.DataFrame(COLUMNS).with_columns(y=Y, z=2 * Y + DRAWN.normal(size=ROWS), positive=np.exp(Y / 10))
LABELS = {
    "text": pl.Series(np.where(Y > 5, "hi", "lo")),
    "whole": pl.Series(np.digitize(Y, [0, 8])),
    "true": pl.Series(Y > 5),
}
SMALL = ("trainer.max_epochs=3", "baselines=[]", "figures=none")
ALONE = (*SMALL, "ensemble=1", "model.hidden=[8]")
TOGETHER = (*SMALL, "ensemble=2", "model.hidden=[8]")
UNSCALED = ("model/preprocessing=none", "data.columns.number=drop")  # without scale, its cosines are rounding


def trained(frame: pl.DataFrame, target: str | list[str], *overrides: str) -> mlplab.FinishedRun:
    left_out = [name for name in ("y", "z", "positive") if name in frame.columns and name not in target]
    data = {"columns": {"size": "ordinal", **dict.fromkeys(left_out, "drop")}}
    return mlplab.train(frame, target, data=data, overrides=overrides, progress=False)


def outputs_of(model: bytes, run: mlplab.FinishedRun, frame: pl.DataFrame) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    values = session.run(None, model_inputs(run.schema, frame, decimal_comma=False))
    return dict(zip([output.name for output in session.get_outputs()], values, strict=True))


@pytest.mark.parametrize(
    ("target", "overrides"),
    [
        ("y", (*TOGETHER, "model.activation=[silu,relu]")),
        (["y", "z"], TOGETHER),
        ("positive", (*ALONE, "model.preprocessing.target=log", "model/preprocessing=robust_clip")),
        ("y", (*TOGETHER, "loss=quantile", "model/preprocessing=standard")),
        ("y", (*SMALL, "ensemble=1", "model=linear")),
        ("y", (*ALONE, "model=realmlp")),
        ("y", (*TOGETHER, "model=tabm", "model.heads=4")),
        ("y", (*ALONE, *UNSCALED, "model.periodic_features=4", "model.linear_path=false")),
        ("y", (*SMALL, "ensemble=1", "model.hidden=[8,8]", "model.norm=layer", "model.residual=true")),
        ("y", (*TOGETHER, "model.activation=[elu,gelu]", "trainer.precision=64")),
        ("y", (*ALONE, "data.na_values=[-1,1000000007]")),
    ],
    ids=lambda value: value if isinstance(value, str) else value[-1],
)
def test_models_predict_numbers(tmp_path: Path, target: str | list[str], overrides: Sequence[str]) -> None:
    run = trained(FRAME, target, *overrides)
    path = run.export(tmp_path / "m.onnx", interval=0.9)
    onnx.checker.check_model(path, full_check=True)
    predicted = run.predict(FRAME, interval=0.9)
    assert isinstance(predicted, pl.DataFrame)
    outputs = outputs_of(path.read_bytes(), run, FRAME)
    assert [*outputs] == predicted.columns
    for name, column in zip(predicted.columns, predicted, strict=True):
        np.testing.assert_allclose(outputs[name], column.to_numpy(), atol=2e-5 * column.std(), rtol=2e-5)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("model", ["mlp", "tabm"])
def test_models_predict_classes(tmp_path: Path, label: str, model: str) -> None:
    frame = FRAME.select([*COLUMNS]).with_columns(LABELS[label].alias("y"))
    more = "task=multiclass" if label == "whole" else "threshold=auto"
    run = trained(frame, "y", *TOGETHER, f"model={model}", more)
    outputs = outputs_of(run.export(tmp_path / "m.onnx", sets=0.9).read_bytes(), run, frame)
    np.testing.assert_allclose(outputs["probabilities"], run.predict_proba(frame), atol=1e-6)
    predicted = run.predict(frame, sets=0.9)
    assert isinstance(predicted, pl.DataFrame)
    np.testing.assert_array_equal(outputs["prediction"], predicted["prediction"].to_numpy())
    sets = [" | ".join(np.array(run.schema.classes)[row]) for row in outputs["set"]]
    assert sets == predicted["set"].to_list()


def test_a_wrong_model_is_refused(tmp_path: Path) -> None:
    run = trained(FRAME, "y", *ALONE, "model.linear_path=false")
    model = onnx_model(run.model)
    assert check_model(model.SerializeToString(), run.model, FRAME).difference < 1e-5
    for constant in model.graph.initializer:
        if constant.dims == [1, 1, 8, 1]:  # the weights of the output layer
            values = onnx.numpy_helper.to_array(constant) * np.float32(1.01)
            constant.CopyFrom(onnx.numpy_helper.from_array(values, constant.name))
    with pytest.raises(mlplab.UserError, match="does not predict as its network does"):
        check_model(model.SerializeToString(), run.model, FRAME)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_activations(dtype: type[np.floating]) -> None:
    layer = Activation([*(IN_PLACE | OUT_OF_PLACE)])
    z = np.linspace(-30, 30, 301).astype(dtype)
    graph = Graph()
    rows = graph.input("z", dtype, "").op("Expand", np.array([len(layer.names), 1, 1]))
    for number, name in enumerate(layer.names):
        graph.output(name, apply(layer, rows).gather(np.array([number])).squeeze(0, 1), "")
    outputs = onnxruntime.InferenceSession(graph.model({}).SerializeToString()).run(None, {"z": z})
    expected = layer(torch.from_numpy(z).expand(len(layer.names), 1, -1))[:, 0]
    np.testing.assert_allclose(np.stack(outputs), expected.numpy(), rtol=1e-5, atol=1e-6)


class Doubled(nn.Sequential):
    """A network of a user's, with code of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


def test_custom_networks_may_be_sequences_of_layers() -> None:
    layers = [Linear(1, 4, [0], 0), nn.Tanh(), Linear(4, 1, [0], 1)]
    graph = Graph()
    x = graph.input("x", np.float32, "").unsqueeze(0, 1, 3)
    graph.output("y", apply(nn.Sequential(*layers), x).squeeze(0, 1, 3), "")
    rows = np.linspace(-2, 2, 50, dtype=np.float32)
    [y] = onnxruntime.InferenceSession(graph.model({}).SerializeToString()).run(None, {"x": rows})
    expected = nn.Sequential(*layers)(torch.from_numpy(rows)[None, :, None])
    np.testing.assert_allclose(y, expected.detach().numpy().ravel(), rtol=1e-5)
    with pytest.raises(mlplab.UserError, match="Doubled: is a layer that cannot be exported"):
        apply(Doubled(*layers), x)


@given(st.lists(st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31)), min_size=1, max_size=20))
@settings(deadline=None)
def test_parts_of_dates(days: list[datetime]) -> None:
    series = pl.Series(days, dtype=pl.Datetime("us"))
    microseconds = series.to_physical().to_numpy()
    graph = Graph()
    time = graph.input("time", np.int64, "")
    for part, value in zip(
        dates.DATE_PARTS, date_parts(time, dates.DATE_PARTS, 1990.5, missing=-1), strict=True
    ):
        graph.output(part, value.squeeze(1), "")
    session = onnxruntime.InferenceSession(graph.model({}).SerializeToString())
    values = session.run(None, {"time": microseconds})
    for value, expected in zip(values, dates.date_parts(series, dates.DATE_PARTS, 1990.5), strict=True):
        np.testing.assert_allclose(value, expected.to_numpy(), atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ranks_of_repeated_and_of_farther_values(dtype: torch.dtype) -> None:
    drawn = np.random.default_rng(0)
    rows = np.sort(np.round(drawn.normal(size=(100, 2)), 1), 0)
    quantiles = torch.from_numpy(np.concatenate([rows, np.repeat(rows[-1:], 7, 0)]))[None]
    statistics = {"quantiles": quantiles, "quantile_count": torch.full((1, 1, 2), 100.0)}
    scaling = Quantile(statistics, dtype)
    x = torch.from_numpy(np.concatenate([rows[:, :1], drawn.normal(size=(50, 1)), [[-9.0]], [[9.0]]])).to(
        dtype
    )
    graph = Graph()
    column = graph.input("x", x.numpy().dtype, "").unsqueeze(0, 2)
    scaled = scale(scaling, graph.concat([column, column], 2))
    graph.output("z", scaled.squeeze(0), "", columns=2)
    [z] = onnxruntime.InferenceSession(graph.model({}).SerializeToString()).run(None, {"x": x[:, 0].numpy()})
    expected = scaling(x.expand(1, -1, 2))[0]
    np.testing.assert_allclose(z, expected.numpy(), atol=2e-6)
