"""Passes that are written out: which buffers they use, and when autograd takes over."""

import pickle
import random
from copy import deepcopy

import pytest
import torch
from support import mlp_of
from torch import Tensor
from torch.nn.utils import prune

from mlplab.models import MLP
from mlplab.models.backpropagation import CACHED_ROWS, Workspace
from mlplab.models.layers.activation import IN_PLACE, OUT_OF_PLACE

pytestmark = pytest.mark.usefixtures("full_speed")


def mlp(features: int = 3, targets: int = 1, **changes: object) -> MLP:
    settings: dict[str, object] = {"hidden": (8, 8), "dropout": [0.0, 0.0], "seeds": [0, 1]}
    return mlp_of(features, targets, **(settings | changes))  # type: ignore[arg-type]


def by_autograd(network: MLP) -> MLP:
    twin = deepcopy(network)
    twin.written_out = False
    return twin


def random_network(source: random.Random) -> tuple[MLP, int]:
    """A network in float64 with weights that are not small, and the number of its features."""
    any_of, members, features = source.choice, source.choice([1, 2, 3]), source.choice([1, 2, 5, 8])
    widths, numbers, bins = [1, 3, 4, 8, 16], any_of([0, 1, features]), any_of([0, 0, 1, 2, 6])
    hidden = [any_of(widths)] * any_of([0, 1, 2, 3])
    activations = [any_of([*IN_PLACE, *OUT_OF_PLACE, "relu"]) for _ in range(members)]
    network = mlp(
        features=features,
        targets=any_of([1, 1, 2, 3, 4]),
        hidden=hidden if source.random() < 0.5 else [any_of(widths) for _ in hidden],
        activation=any_of([activations, activations[:1] * members]),
        dropout=[any_of([0.0, 0.0, 0.1, 0.5]) for _ in range(members)],
        norm=any_of(["none", "none", "layer"]),
        residual=source.random() < 0.4,
        seeds=list(range(members)),
        numeric_features=numbers,
        periodic_features=any_of([0, 1, 3]),
        input_scale=source.random() < 0.3,
        parametric_activation=source.random() < 0.3,
        periodic_projection=any_of([0, 0, 1, 3]),
        piecewise_linear_width=any_of([1, 3, 4]),
        knots=torch.randn(members, bins + 1, numbers).sort(1).values if bins else None,
        heads=any_of([1, 2, 5]) if hidden else 1,
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    return network.double().train(source.random() < 0.8), features


def gradients(network: MLP, x: Tensor, slopes: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The output, and the gradients of all parameters and of the input."""
    x = x.clone().requires_grad_()
    output = network(x)
    (output * slopes).sum().backward()
    found = [each.grad for each in (*network.parameters(), x) if each.grad is not None]
    assert len(found) == len([*network.parameters()]) + 1
    return output, found


def test_the_gradient_of_what_is_dropped_is_0_and_not_minus_0() -> None:
    network, x, gradients = mlp(dropout=[0.5, 0.2]).train(), torch.randn(2, 30, 3), list[Tensor]()
    with torch.no_grad():
        workspace = Workspace(x, network.operations)
        workspace.forward(x)
        workspace.output.values.fill_(1)
        workspace.propagate(gradients)
    for delta in (gradients[-1], gradients[-3]):  # of both hidden layers
        zeros = delta[delta == 0]
        assert len(zeros)
        assert not zeros.signbit().any()


@pytest.mark.parametrize("seed", range(4))
def test_gradients_of_random_networks_are_those_of_autograd(seed: int) -> None:
    source = random.Random(seed)
    torch.manual_seed(seed)
    for _ in range(15):
        (network, features), rows = random_network(source), source.choice([1, 3, 7, 32, 100])
        twin = by_autograd(network)
        members, _, targets = network.output.weight.shape
        for _ in range(2):  # the second time into the buffers of the first, and added to its gradients
            x = torch.randn(members, rows, features, dtype=torch.float64)
            slopes = torch.randn(members, rows * network.heads, targets, dtype=torch.float64)
            (output, found), (expected, theirs) = (gradients(each, x, slopes) for each in (network, twin))
            torch.testing.assert_close(output, expected, rtol=1e-12, atol=1e-12)
            largest = max(each.abs().max().item() for each in theirs)
            for mine, yours in zip(found, theirs, strict=True):
                assert (mine - yours).abs().max().item() <= 1e-10 * largest, network
        for name, buffer in network.named_buffers():
            torch.testing.assert_close(buffer, twin.get_buffer(name), rtol=1e-12, atol=1e-12)
        if network.heads > 1:
            continue
        first = x
        with torch.no_grad():
            inputs, traced = network.eval().trace(x, lambda z, slopes=slopes: z * slopes)
            for layer in network.first:
                first = layer(first)
        torch.testing.assert_close(inputs, first, rtol=1e-12, atol=1e-12)
        for passed, (z, slope) in zip(traced, trace_by_autograd(twin.eval(), x, slopes), strict=True):
            torch.testing.assert_close(passed.z, z, rtol=1e-10, atol=1e-10)
            assert (passed.delta - slope).abs().max().item() <= 1e-10 * slope.abs().max().item(), network


def test_a_pass_in_between_has_buffers_of_its_own() -> None:
    network = mlp()
    twin = by_autograd(network)
    first, second = torch.randn(2, 2, 5, 3)
    for each in (network, twin):
        one, two = each(first), each(second)
        before = one.detach().clone()
        (one.square().sum() - two.sum()).backward()
        assert torch.equal(one, before)
    for mine, yours in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, yours.grad)


def test_gradients_are_added_in_place_or_left_out() -> None:
    network, x = mlp(), torch.randn(2, 5, 3)
    parameters = list(network.parameters())
    with torch.inference_mode():
        network(x.clone())  # whose buffers can be used outside
    network(x).sum().backward()
    first = [each.grad.clone() for each in parameters if each.grad is not None]
    parameters[0].requires_grad_(False)
    parameters[0].grad = torch.zeros_like(parameters[0])  # a view of an optimizer's rows, say
    places = [torch.ones_like(each) for each in parameters[1:]]
    for each, place in zip(parameters[1:], places, strict=True):
        each.grad = place
    output = network(x)
    parameters[-1].grad = None  # as by `zero_grad` between the passes
    output.sum().backward()
    for each, gradient, place in zip(parameters[1:-1], first[1:-1], places, strict=False):
        assert each.grad is place
        assert torch.equal(place, 1 + gradient)
    assert torch.equal(parameters[-1].grad, first[-1])
    assert not parameters[0].grad.any()


def test_what_a_pass_cannot_give_is_refused() -> None:
    network, x = mlp(), torch.randn(2, 5, 3)
    output = network(x).sum()
    output.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="a second backward pass needs a second forward pass"):
        output.backward()
    with pytest.raises(RuntimeError, match="set written_out = False on the network"):
        torch.autograd.grad(network(x.requires_grad_()).sum(), x, create_graph=True)
    network.written_out = False
    (slope,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
    assert slope.requires_grad


def test_evaluation_goes_block_by_block_and_keeps_few_buffers() -> None:
    network = mlp().eval()
    x = torch.randn(2, CACHED_ROWS + 64, 3)
    with torch.no_grad():
        whole = network(x)
        assert torch.equal(whole[:, CACHED_ROWS // 2 :], network(x[:, CACHED_ROWS // 2 :]))
        torch.testing.assert_close(whole, by_autograd(network)(x))
        for fewer in range(64, CACHED_ROWS, 64):
            network(x[:, :fewer])
    held = sum(used.operations[0][0].output.flat.shape[1] for used in network._free.values())
    assert held <= 4 * CACHED_ROWS // 2 * 8


@pytest.mark.parametrize(
    ("dropout", "norm", "heads"), [(0.0, "layer", 1), (0.5, "none", 1), (0.0, "none", 3), (0.5, "layer", 3)]
)
def test_what_is_not_finite_ends_with_its_batch(dropout: float, norm: str, heads: int) -> None:
    shared: dict[str, object] = {"dropout": [dropout] * 2, "norm": norm, "heads": heads}
    for network in (
        mlp(hidden=[3, 3], activation="relu", **shared),
        mlp(1, hidden=[3, 5, 3], activation="gelu", **shared),
        mlp(activation="mish", parametric_activation=True, input_scale=True, **shared),
        mlp(5, hidden=[1, 3], activation="selu", parametric_activation=True, **shared),
    ):
        x = torch.randn(2, 5, network.hidden[0].linear.weight.shape[1])
        for bad in (torch.inf, torch.nan):
            network(torch.full_like(x, bad)).sum().backward()
            (network(x) * bad).sum().backward()
            network.zero_grad()
            output = network(x)
            output.sum().backward()
            finite = [output, *(each.grad for each in network.parameters())]
            assert all(each is not None and each.isfinite().all() for each in finite)


def test_weights_and_modes_are_those_of_the_layers() -> None:
    network, x = mlp(dropout=[0.5, 0.5]).eval(), torch.randn(2, 50, 3)
    twin = by_autograd(network)
    before = network(x)
    assert network(x).equal(before)
    network.hidden[0].dropout.train()  # as for the uncertainty of predictions
    assert not network(x).equal(before)
    network.hidden[0].dropout.eval()
    assert network(x).equal(before)
    zeros = {name: torch.zeros_like(each) for name, each in network.named_parameters()}
    assert not torch.func.functional_call(network, zeros, (x,)).any()
    assert network(x).equal(before)
    network.load_state_dict(zeros, assign=True)
    assert not network(x).any()
    prune.l1_unstructured(twin.output, "weight", amount=0.5)
    recorded = twin(x)
    twin.written_out = True
    twin(x).sum().backward()
    assert twin(x).equal(recorded)


def test_copies_have_no_buffers_in_common() -> None:
    network, embedded = mlp(), torch.randn(2, 5, 3, requires_grad=True)
    network(embedded * 2).sum().backward()
    copied = pickle.loads(pickle.dumps(deepcopy(network)))
    assert copied(embedded).equal(network(embedded))
    exported = torch.export.export(copied, (embedded.detach(),)).module()
    torch.testing.assert_close(exported(embedded.detach()), network(embedded))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_passes_on_a_gpu_give_the_same_gradients_without_waiting_for_it(norm: str) -> None:
    network, x = mlp(norm=norm, hidden=[7, 7], residual=True).double(), torch.randn(2, 9, 3).double()
    on_gpu, there, dropping = deepcopy(network).cuda(), x.cuda(), mlp(dropout=[0.1, 0.5]).cuda()
    dropping(there.float()).sum().backward()  # allocates
    torch.cuda.set_sync_debug_mode("error")
    try:
        for each, batch in ((on_gpu, there), (dropping, there.float())):
            each(batch).square().sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    network(x).square().sum().backward()
    for mine, yours in zip(network.parameters(), on_gpu.parameters(), strict=True):
        torch.testing.assert_close(yours.grad.cpu(), mine.grad, rtol=1e-9, atol=1e-9)


def trace_by_autograd(network: MLP, x: Tensor, slopes: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The outputs of all linear layers, and the derivatives of half the sum of squares times slopes."""
    outputs = list[Tensor]()

    def note(_: object, __: object, output: Tensor) -> None:
        output.retain_grad()
        outputs.append(output)

    for layer in (*(hidden.linear for hidden in network.hidden), network.output):
        layer.register_forward_hook(note)
    (network.forward_by_autograd(x).square() * slopes / 2).sum().backward()
    return [(each.detach(), each.grad) for each in outputs if each.grad is not None]
