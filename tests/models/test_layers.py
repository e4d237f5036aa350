"""Every layer: a member is a network of its own, and derivative and ONNX graph are those of `forward`."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from contracts import assert_close, assert_member_independent
from support import mlp_of
from torch import Tensor, nn

from mlplab.models import MLP, Dropout, LayerNorm, Linear, embeddings, layers
from mlplab.models.backpropagation import BackpropagationModule, Buffer, Operation, Workspace
from mlplab.models.embeddings.columnwise import PiecewiseLinear
from mlplab.models.embeddings.periodic import PeriodicFeatures, PeriodicProjection
from mlplab.models.layers.activation import IN_PLACE, OUT_OF_PLACE, Activation, ParametricActivation
from mlplab.models.layers.input_scale import InputScale
from mlplab.onnx.graph import Graph
from mlplab.onnx.layers import apply

RATES, SEEDS = (0.0, 0.3, 0.5), (7, 8, 9)


class OneLayer(BackpropagationModule):
    """A network of one layer, between copies: most layers overwrite the buffers of others."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward_by_autograd(self, x: Tensor) -> Tensor:
        return self.layer(x)

    def operations(self, workspace: Workspace) -> Iterator[Operation]:
        yield (done := copied(workspace.input, workspace))
        if self.layer.training or not isinstance(self.layer, Dropout):
            yield (done := self.layer.operation(done.output, workspace))  # type: ignore[operator]
        yield copied(done.output, workspace)


def copied(x: Buffer, workspace: Workspace) -> Operation:
    y = workspace.new(x.width)
    return Operation(y, lambda: y.values.copy_(x.values), lambda gradient: gradient)


def mlp(members: Sequence[int], features: int = 6, targets: int = 2, **changes: object) -> MLP:
    rates = [RATES[member] for member in members]
    settings: dict[str, object] = {"hidden": [8, 5], "activation": "mish", "dropout": rates, **changes}
    if settings["activation"] == "various":
        settings["activation"] = [("relu", "relu", "silu")[member] for member in members]
    return mlp_of(features, targets, seeds=seeds(members), **settings)  # type: ignore[arg-type]


def knots(members: Sequence[int], numbers: int = 5, bins: int = 6) -> Tensor:
    """Of columns of normal numbers; two of the bins of each column are empty."""
    sources = [torch.Generator().manual_seed(member) for member in members]
    drawn = [torch.randn(bins + 1, numbers, generator=source) for source in sources]
    ascending = torch.stack(drawn).sort(1).values
    ascending[:, 3:5] = ascending[:, 2:3]
    return ascending


def seeds(members: Sequence[int]) -> list[int]:
    return [SEEDS[member] for member in members]


def learned(layer: nn.Module, members: Sequence[int]) -> OneLayer:
    """The layer with a weight for each member and column, as if they had been learned."""
    with torch.no_grad():
        for member, weight in zip(members, layer.weight, strict=True):
            weight.uniform_(-0.5, 1.5, generator=torch.Generator().manual_seed(SEEDS[member]))
    return OneLayer(layer)


ACTIVATIONS = (*IN_PLACE, *OUT_OF_PLACE)
PARAMETRIC = {f"parametric {name}": name for name in ACTIVATIONS}
NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {},
    "without hidden layers": {"hidden": []},
    "layer norm, residual": {"norm": "layer", "hidden": [8, 8], "residual": True},
    "periodic features, scaled": {"numeric_features": 5, "periodic_features": 3, "input_scale": True},
    "heads": {"heads": 3, "hidden": [8, 5, 5], "residual": True, "targets": 1},
    "heads of widths 1": {"heads": 2, "hidden": [1, 1, 4], "activation": "relu"},
    "various": {"activation": "various"},
    "various parametric": {"activation": "various", "parametric_activation": True},
}
BOTH = {"numeric_features": 5, "periodic_features": 4, "periodic_projection": 2, "piecewise_linear_width": 8}
LAYERS: dict[str, Callable[[list[int]], BackpropagationModule]] = {
    "linear": lambda members: OneLayer(Linear(6, 7, seeds(members), index=2)),
    "linear of one output": lambda members: OneLayer(Linear(6, 1, seeds(members))),
    "linear without padding": lambda members: mlp_of(6, 4, seeds=seeds(members)),
    "layer norm": lambda members: OneLayer(LayerNorm(6, len(members))),
    "dropout": lambda members: OneLayer(Dropout([RATES[each] for each in members], seeds(members))),
    "periodic features": lambda members: OneLayer(PeriodicFeatures(5, 3, seeds(members))),
    "periodic projection": lambda members: OneLayer(PeriodicProjection(5, 6, 3, seeds(members))),
    "piecewise-linear": lambda members: learned(PiecewiseLinear(knots(members), 3, seeds(members)), members),
    **{
        name: lambda members, name=name: OneLayer(Activation([name] * len(members)))  # type: ignore[misc]
        for name in ACTIVATIONS
    },
    **{
        parametric: lambda members, name=name: learned(  # type: ignore[misc]
            ParametricActivation([name] * len(members), 6), members
        )
        for parametric, name in PARAMETRIC.items()
    },
    "input scale": lambda members: learned(InputScale(6, len(members)), members),
    "numeric embeddings": lambda members: mlp(members, **BOTH, knots=knots(members)),
    **{
        name: lambda members, shape=shape: mlp(members, **shape)  # type: ignore[misc]
        for name, shape in NETWORKS.items()
    },
}


def results(
    name: str, members: list[int], rows: int, dtype: torch.dtype = torch.float32, *, written_out: bool = True
) -> dict[str, Tensor]:
    """What two steps give, the second into the buffers of the first and added to its gradients."""
    network = LAYERS[name](members).to(dtype)
    network.written_out = written_out
    network.with_modes = tuple(each for each in network.modules() if isinstance(each, Dropout))
    source = torch.Generator().manual_seed(0)
    inputs, slopes = torch.randn(2, len(SEEDS), 4 * rows, 21, generator=source).to(dtype)
    found = {f"initial {key}": value.clone() for key, value in network.state_dict().items()}
    x = inputs[members, :rows, :6].requires_grad_()
    for step in range(2):
        y = network(x)
        (y * slopes[members, : y.shape[1], : y.shape[2]]).sum().backward()
        found[f"output {step}"] = y
    gradients = {f"gradient of {key}": each.grad for key, each in network.named_parameters()}
    found |= {key: gradient for key, gradient in gradients.items() if gradient is not None}
    return found | network.state_dict() | {"gradient": x.grad, "evaluated": network.eval()(x)}


@pytest.mark.usefixtures("full_speed")
@pytest.mark.parametrize("name", LAYERS)
def test_k_members_are_k_networks_and_the_derivative_is_autograds(name: str) -> None:
    for rows in (5,) if name in (*ACTIVATIONS, *PARAMETRIC) else (1, 5):
        assert_member_independent(lambda members, rows=rows: results(name, members, rows), len(SEEDS))
    alone, members = results(name, [1], 5, written_out=False), [2, 1, 0]
    together = results(name, members, 5, written_out=False)
    assert_close({key: together[key][1:2] for key in alone}, alone, 0)
    expected = results(name, members, 5, torch.float64, written_out=False)
    assert_close(results(name, members, 5, torch.float64), expected)


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "dropout"])  # which is not exported
def test_the_graph_of_a_layer_has_the_formula_of_its_forward_pass(name: str) -> None:
    network = LAYERS[name]([0, 1, 2]).eval()
    layer = network.layer if isinstance(network, OneLayer) else network
    x = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(0))
    graph = Graph()
    y = apply(layer, graph.constant(x.unsqueeze(1)))  # of one head
    graph.output("y", y.op("Transpose", perm=(0, 2, 1, 3)).op("Reshape", np.array([-1])), "")
    [found] = onnxruntime.InferenceSession(graph.model({}).SerializeToString()).run(None, {})
    expected = network.forward_by_autograd(x).detach()
    np.testing.assert_allclose(found, expected.flatten().numpy(), rtol=1e-4, atol=1e-5)


def test_no_layer_is_left_out() -> None:
    modules = [
        importlib.import_module(f"{package.__name__}.{each.name}")
        for package in (embeddings, layers)
        for each in pkgutil.iter_modules(package.__path__)
    ]
    kinds = {
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and hasattr(kind, "operation") and not inspect.isabstract(kind)
    }
    assert kinds == {type(each) for make in LAYERS.values() for each in make([0]).modules()} & kinds


def test_linear_is_initialised_as_torchs() -> None:
    torch.manual_seed(0)
    ours, theirs = Linear(25, 4000, seeds=[0]), nn.Linear(25, 4000)
    for mine, yours in ((ours.weight, theirs.weight), (ours.bias, theirs.bias)):
        for q in (0.0, 0.1, 0.5, 0.9, 1.0):
            assert mine.quantile(q).item() == pytest.approx(yours.quantile(q).item(), abs=0.015)
    assert ours.weight.abs().max().item() == pytest.approx(theirs.weight.abs().max().item(), rel=1e-3)
    assert not torch.equal(Linear(3, 2, [8]).weight, Linear(3, 2, [8], index=1).weight)


def test_dropout_drops_each_members_share_and_keeps_the_mean() -> None:
    layer, scaled = Dropout([0.0, 0.25, 0.8], [0, 1, 2]), Dropout([0.5, 0.5, 0.8], [0, 1, 2])
    scaled.scale_rates([0.0, 0.5], slice(2))
    x = torch.ones(3, 200, 100)
    dropped = layer(x)
    assert torch.equal(dropped, scaled(x))
    assert (dropped == 0).float().mean((1, 2)).tolist() == pytest.approx([0, 0.25, 0.8], abs=0.01)
    assert dropped.mean((1, 2)).tolist() == pytest.approx([1, 1, 1], abs=0.03)
    assert dropped[2].unique().tolist() == pytest.approx([0, 5], rel=2e-5)  # rates are rounded to 2⁻¹⁶
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_and_derivatives_are_torchs_far_from_0(name: str, dtype: torch.dtype) -> None:
    far = torch.tensor([0.0, 1e-9, 20, 39, 41, 60, 88, 90, 1e3, 1e30])
    z = torch.cat([-far, far, torch.linspace(-9, 9, 101)]).to(dtype).view(1, 1, -1)
    network, both = OneLayer(Activation([name])), []
    for network.written_out in (True, False):
        y = network(x := z.clone().requires_grad_())
        y.sum().backward()
        both.append((y, x.grad))
    torch.testing.assert_close(*both, rtol=1e-6, atol=2e-6)


def test_a_network_is_torchs_layers_with_a_residual_between_equal_widths() -> None:
    stack = mlp([0, 1], 3, hidden=[8, 8, 4], activation="tanh", residual=True, norm="layer", dropout=[])
    x = torch.randn(2, 5, 3)
    for member, a in enumerate(x):
        for index, layer in enumerate([*(hidden.linear for hidden in stack.hidden), stack.output]):
            z = nn.functional.linear(a, layer.weight[member].T, layer.bias[member, 0])
            normal = nn.functional.layer_norm(z, z.shape[-1:])
            a = z if index == 3 else torch.tanh(normal) + (a if index == 1 else 0)
        torch.testing.assert_close(stack(x)[member], a)


def test_alpha_mixes_the_function_and_its_input() -> None:
    layer, z = ParametricActivation(["relu"] * 2, 6), torch.randn(2, 5, 6)
    assert torch.equal(layer(z), torch.relu(z))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.75, 0]).view(2, 1, 1))
    torch.testing.assert_close(layer(z)[0], nn.functional.leaky_relu(z[0], 0.25))
    assert torch.equal(layer(z)[1], z[1])


def test_periodic_embeddings_are_cosines_of_the_numeric_columns() -> None:
    x, features = torch.randn(2, 5, 3), PeriodicFeatures(2, 3, [0, 1])
    projection = PeriodicProjection(2, 16, 3, [0, 1])
    cosines, projected = [x], []
    for number in range(2):
        column = x[..., number, None]
        turns = column * features.weight[:, None, number] + features.bias[:, None, number]
        cosines.append((2 / 3) ** 0.5 * torch.cos(2 * torch.pi * turns))
        turns = column * projection.frequency[:, None, number] + projection.phase[:, None, number]
        weight = projection.weight[:, 16 * number : 16 * (number + 1)]
        projected.append(torch.cos(2 * torch.pi * turns) @ weight + projection.bias[:, None, number])
    torch.testing.assert_close(features(x), torch.cat(cosines, 2))
    torch.testing.assert_close(projection(x), torch.cat([*projected, x], 2))


def test_piecewise_linear_embeddings_are_those_of_equation_1() -> None:
    """Also beyond the knots; equal ones are merged, and a constant column has no bin."""
    given = torch.tensor([[0.0, 0, 1, 3, 3, 7], [-2, -1, 0, 1, 2, 3], [0, 0, 0, 0, 0, 1], [5.0] * 6]).mT[None]
    layer = PiecewiseLinear(given, 2, [0]).double()
    with torch.no_grad():
        layer.weight.normal_()
    weight = layer.weight[0].view(4, 6, 2)
    for value in (-9.0, 0.0, 0.5, 1.0, 2.5, 4.0, 11.0):
        found = layer(torch.full((1, 1, 5), value, dtype=torch.float64))[0, 0]
        for number, edges in enumerate(given[0].T.tolist()):
            bins = [place for place, (low, high) in enumerate(pairwise(edges), 1) if high > low]
            # 1 below the value's bin, its share of that bin, 0 above.
            encoding = [min(max((value - edges[b - 1]) / (edges[b] - edges[b - 1]), 0), 1) for b in bins]
            features = torch.tensor([value, *encoding], dtype=torch.float64)
            expected = features @ weight[number, [0, *bins]] + layer.bias[0, number]
            torch.testing.assert_close(found[2 * number : 2 * number + 2], expected)
        assert found[8:].tolist() == [value]


def test_embeddings_are_of_numeric_columns_and_begin_as_they_should() -> None:
    """Piecewise-linear ones with a linear map, and projections with small numbers."""
    for without in ({"periodic_features": 3}, {"numeric_features": 2}):
        assert mlp([0], **without).periodic is None  # type: ignore[arg-type]
    assert mlp([0], knots=knots([0])).piecewise_linear is None
    assert mlp([0], numeric_features=5, knots=knots([0])).hidden[0].linear.weight.shape == (1, 5 * 16 + 1, 8)
    layer, x = PiecewiseLinear(knots([0, 1]), 4, [3, 4]), torch.randn(2, 9, 7)
    a, b = x[:, :4], x[:, 4:8]
    torch.testing.assert_close(layer((a + b) / 2), (layer(a) + layer(b)) / 2)
    projection = PeriodicProjection(2, 16, 3, [0, 1])
    for drawn in (projection.weight, projection.bias):
        assert 0.15 < drawn.abs().max() <= 16**-0.5
    assert projection.frequency.std().item() == pytest.approx(0.1, rel=0.3)
