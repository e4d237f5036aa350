"""Every layer: a member is a network of its own, and derivative and ONNX graph are those of `forward`."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import onnxruntime
import pytest
import torch
from contracts import assert_close, assert_member_independent, assert_same_bits
from support import mlp_of
from torch import Tensor, nn

from mlplab.models import MLP, Dropout, LayerNorm, Linear, embeddings, layers
from mlplab.models.backpropagation import BackpropagationModule, Buffer, Operation, Workspace
from mlplab.models.embeddings.columnwise import PiecewiseLinear
from mlplab.models.embeddings.periodic import PeriodicFeatures, PeriodicProjection
from mlplab.models.layers.activation import IN_PLACE, OUT_OF_PLACE, Activation, ParametricActivation
from mlplab.models.layers.scale import InputScale
from mlplab.models.mlp import HiddenLayer
from mlplab.onnx.graph import Graph
from mlplab.onnx.layers import apply

RATES, SEEDS = (0.0, 0.3, 0.5), (7, 8, 9)


class OneLayer(BackpropagationModule):
    """A network of one layer, between copies: most layers overwrite the buffers of others."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward_by_autograd(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        return y

    def operations(self, workspace: Workspace) -> Iterator[Operation]:
        yield (done := copied(workspace.input, workspace))
        if self.layer.training or not isinstance(self.layer, Dropout):
            yield (done := self.layer.operation(done.output, workspace))  # type: ignore[operator]
        yield copied(done.output, workspace)


def copied(x: Buffer, workspace: Workspace) -> Operation:
    y = workspace.new(x.width)
    return Operation(y, lambda: y.values.copy_(x.values), lambda gradient: gradient)


def mlp(members: Sequence[int], features: int = 6, targets: int = 2, **changes: object) -> MLP:
    settings: dict[str, object] = {"hidden": [8, 5], "activation": "mish", "norm": "none", "residual": False}
    settings |= {"dropout": [RATES[member] for member in members], "seeds": [SEEDS[each] for each in members]}
    settings |= changes
    if isinstance(name := settings["activation"], str):
        settings["activation"] = [name] * len(members)
    return mlp_of(features, targets, **settings)  # type: ignore[arg-type]


def knots(members: Sequence[int], numbers: int = 5, bins: int = 6) -> Tensor:
    """Of columns of normal numbers; two of the bins of each column are empty."""
    drawn = [
        torch.randn(bins + 1, numbers, generator=torch.Generator().manual_seed(each)) for each in members
    ]
    ascending = torch.stack(drawn).sort(1).values
    ascending[:, 3:5] = ascending[:, 2:3]
    return ascending


def various(members: Sequence[int]) -> list[str]:
    return [("relu", "relu", "silu")[member] for member in members]


def piecewise_linear(members: Sequence[int], numbers: int = 5, width: int = 3) -> PiecewiseLinear:
    layer = PiecewiseLinear(knots(members, numbers), width, seeds(members))
    with torch.no_grad():  # as after some steps
        for member, weight in zip(members, layer.weight, strict=True):
            weight.normal_(generator=torch.Generator().manual_seed(member))
    return layer


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
LAYERS: dict[str, Callable[[list[int]], BackpropagationModule]] = {
    "linear": lambda members: OneLayer(Linear(6, 7, seeds(members), index=2)),
    "linear of one output": lambda members: OneLayer(Linear(6, 1, seeds(members))),
    "linear without padding": lambda members: mlp_of(6, 4, seeds=seeds(members)),
    "layer norm": lambda members: OneLayer(LayerNorm(6, len(members))),
    "dropout": lambda members: OneLayer(Dropout([RATES[each] for each in members], seeds(members))),
    "periodic features": lambda members: OneLayer(PeriodicFeatures(5, 3, seeds(members))),
    "periodic projection": lambda members: OneLayer(PeriodicProjection(5, 6, 3, seeds(members))),
    "piecewise-linear embeddings": lambda members: OneLayer(piecewise_linear(members)),
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
    "mlp": mlp,
    "mlp without hidden layers": lambda members: mlp(members, hidden=[]),
    "mlp with relu and dropout": lambda members: mlp(members, activation="relu"),
    "mlp with layer norm": lambda members: mlp(members, norm="layer", hidden=[8, 8], residual=True),
    "mlp with periodic features": lambda members: mlp(members, numeric_features=5, periodic_features=3),
    "mlp with heads": lambda members: mlp(members, heads=3, hidden=[8, 5, 5], residual=True, targets=1),
    "mlp with heads of widths 1": lambda members: mlp(members, heads=2, hidden=[1, 1, 4], activation="relu"),
    "mlp with input scale": lambda members: mlp(members, input_scale=True, numeric_features=5),
    "mlp with parametric relu": lambda members: mlp(
        members, activation="relu", parametric_activation=True, hidden=[8, 8], residual=True
    ),
    "mlp with an activation for each member": lambda members: mlp(members, activation=various(members)),
    "mlp with a parametric one for each member": lambda members: mlp(
        members, activation=various(members), parametric_activation=True
    ),
    "mlp with numeric embeddings": lambda members: mlp(
        *(members, 6, 2),
        **{"numeric_features": 5, "periodic_features": 4, "periodic_projection": 2},
        **{"knots": knots(members), "piecewise_linear_width": 8},
    ),
    "mlp of widths 1": lambda members: mlp(members, hidden=[1, 1, 4], residual=True),
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
    assert x.grad is not None
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
    for key, value in alone.items():
        assert_same_bits(value[0], together[key][1], key)
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


def test_scaled_dropout_rates_are_those_of_a_layer_with_them() -> None:
    rates, factors = (0.8, 0.5, 0.3, 0.7), (1.0, 0.37, 0.0, 0.5)
    layer, x = Dropout(rates, seeds=range(4)), torch.ones(4, 20, 30)
    for members in (slice(2), slice(2, 4)):
        layer.scale_rates(factors[members], members)
    scaled = Dropout([rate * factor for rate, factor in zip(rates, factors, strict=True)], seeds=range(4))
    assert_same_bits(layer(x), scaled(x), "rates")
    layer.scale_rates([1.0] * 4, slice(None))
    again = Dropout(rates, seeds=range(4))
    again(x)
    assert_same_bits(layer(x), again(x), "rates as they were")


def test_dropout_drops_each_members_share_and_keeps_the_mean() -> None:
    layer = Dropout([0.0, 0.25, 0.8], seeds=[0, 1, 2])
    x = torch.ones(3, 200, 100)
    dropped = layer(x)
    assert (dropped == 0).float().mean((1, 2)).tolist() == pytest.approx([0, 0.25, 0.8], abs=0.01)
    assert dropped.mean((1, 2)).tolist() == pytest.approx([1, 1, 1], abs=0.03)
    assert dropped[2].unique().tolist() == pytest.approx([0, 5], rel=2e-5)  # rates are rounded to 2⁻¹⁶
    assert torch.equal(layer.eval()(x), x)


def test_layer_norm_is_torchs() -> None:
    x = torch.randn(2, 5, 6) * 3 + 1
    torch.testing.assert_close(LayerNorm(6, members=2)(x), nn.LayerNorm(6)(x))


@pytest.mark.parametrize(("hidden", "activation"), [([], "relu"), ([4], "tanh"), ([8, 5, 8], "mish")])
def test_a_member_is_a_network_of_torchs_layers(hidden: list[int], activation: str) -> None:
    stack, x = mlp([0, 0], 3, hidden=hidden, activation=activation, seeds=[0, 1]), torch.randn(2, 5, 3)
    linears = [layer.linear for layer in stack.hidden] + [stack.output]
    for member, a in enumerate(x):
        for index, layer in enumerate(linears):
            a = nn.functional.linear(a, layer.weight[member].T, layer.bias[member, 0])
            a = getattr(nn.functional, activation)(a) if index < len(hidden) else a
        torch.testing.assert_close(stack(x)[member], a)


def test_periodic_features_are_cosines_of_the_numeric_columns() -> None:
    x, layer = torch.randn(2, 5, 3), PeriodicFeatures(2, 3, [0, 1])
    expected = [x]
    for number in range(2):
        for count in range(3):
            turns = x[..., number] * layer.weight[:, number, count, None] + layer.bias[:, number, count, None]
            expected.append((2 / 3) ** 0.5 * torch.cos(2 * torch.pi * turns).unsqueeze(2))
    torch.testing.assert_close(layer(x), torch.cat(expected, 2))
    assert mlp([0], 3, numeric_features=2, periodic_features=3).hidden[0].linear.weight.shape == (1, 3 + 6, 8)
    for without in ({"periodic_features": 3}, {"numeric_features": 2}):
        assert mlp([0], **without).periodic is None  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_and_its_derivative_are_torchs_far_from_0_as_well(
    name: str, dtype: torch.dtype
) -> None:
    far = torch.tensor([0.0, 1e-9, 20, 39, 41, 60, 88, 90, 1e3, 1e30])
    z = torch.cat([-far, far, torch.linspace(-9, 9, 101)]).to(dtype).view(1, 1, -1)
    found, expected = (OneLayer(Activation([name])), OneLayer(Activation([name])))
    expected.written_out = False
    for network in (found, expected):
        network.x = z.clone().requires_grad_()
        network.y = network(network.x)
        network.y.sum().backward()
    torch.testing.assert_close(found.y, expected.y, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.x.grad, expected.x.grad, rtol=1e-6, atol=2e-6)


def test_alpha_mixes_the_function_and_its_input() -> None:
    layer, z = ParametricActivation(["relu"] * 2, 6), torch.randn(2, 5, 6)
    assert torch.equal(layer(z), torch.relu(z))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.75, 0]).view(2, 1, 1))
    torch.testing.assert_close(layer(z)[0], nn.functional.leaky_relu(z[0], 0.25))
    assert torch.equal(layer(z)[1], z[1])


def test_input_scale_multiplies_rows_of_the_first_weights() -> None:
    network = mlp([0, 1], input_scale=True, numeric_features=2, periodic_features=3, dropout=[])
    x = torch.randn(2, 5, 6)
    before, first = network(x), network.hidden[0].linear.weight
    assert network.input_scale.weight.shape == (2, 1, 6 + 2 * 3)
    with torch.no_grad():
        factors = network.input_scale.weight.uniform_(0.5, 2)
        first.div_(factors.mT)
    torch.testing.assert_close(network(x), before)


def test_a_projection_is_an_affine_map_of_the_cosines_of_each_column() -> None:
    x, layer, expected = torch.randn(2, 5, 3), PeriodicProjection(2, 16, 3, [0, 1]), []
    for number in range(2):
        turns = x[..., number, None] * layer.frequency[:, None, number] + layer.phase[:, None, number]
        weight = layer.weight[:, 16 * number : 16 * (number + 1)]
        expected.append(torch.cos(2 * torch.pi * turns) @ weight + layer.bias[:, None, number])
    torch.testing.assert_close(layer(x), torch.cat([*expected, x], 2))
    for drawn in (layer.weight, layer.bias):
        assert 0.15 < drawn.abs().max() <= 16**-0.5
    assert layer.frequency.std().item() == pytest.approx(0.1, rel=0.3)


def encoding(x: float, edges: Sequence[float]) -> list[float]:
    """Of a column without repeated edges: 1 below x's bin, its share of that bin, 0 above."""
    return [min(max((x - low) / (high - low), 0), 1) for low, high in pairwise(edges)]


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
            own = sorted({*edges})
            bins = [1 + place for place, (low, high) in enumerate(pairwise(edges)) if high > low]
            features = torch.tensor([value, *encoding(value, own)], dtype=torch.float64)
            expected = features @ weight[number, [0, *bins]] + layer.bias[0, number]
            torch.testing.assert_close(found[2 * number : 2 * number + 2], expected)
        assert found[8:].tolist() == [value]


def test_piecewise_linear_embeddings_are_linear_at_first() -> None:
    layer, x = PiecewiseLinear(knots([0, 1]), 4, [3, 4]), torch.randn(2, 9, 7)
    a, b = x[:, :4], x[:, 4:8]
    torch.testing.assert_close(layer((a + b) / 2), (layer(a) + layer(b)) / 2)
    assert mlp([0], numeric_features=5, knots=knots([0])).hidden[0].linear.weight.shape == (
        1,
        5 * 16 + 1,
        8,
    )
    assert mlp([0], knots=knots([0])).piecewise_linear is None


def test_residual_adds_the_input_between_equal_widths() -> None:
    stack, x = mlp([0, 0], hidden=[8, 8, 4], residual=True, activation="relu"), torch.randn(2, 5, 8)
    assert [layer.residual for layer in stack.hidden] == [False, True, False]
    layer = stack.hidden[1]
    assert isinstance(layer, HiddenLayer)
    torch.testing.assert_close(layer(x), x + torch.relu(layer.linear(x)))
