from collections.abc import Callable

import numpy as np
import pytest
import torch
from contracts import assert_close, assert_member_independent
from torch import Tensor, nn

from mlplab.models import MLP, BatchNorm, Dropout, LayerNorm, Linear
from mlplab.models.periodic_features import PeriodicFeatures

RATES = [0.0, 0.3, 0.5]
SEEDS = [7, 8, 9]


def mlp(members: list[int], **changes: object) -> MLP:
    settings: dict[str, object] = {"hidden": [8, 5], "activation": "mish", "norm": "none", "residual": False}
    rates, seeds = [RATES[member] for member in members], [SEEDS[member] for member in members]
    return MLP(6, 2, **(settings | changes), dropout=rates, seeds=seeds)  # type: ignore[arg-type]


class Weighted(nn.Module):
    """Gives a layer the row weights of its members: those of the second are 0 but for one row."""

    def __init__(self, layer: nn.Module, members: list[int]) -> None:
        super().__init__()
        self.layer = layer
        weights = torch.rand(len(SEEDS), 64, 1, generator=torch.Generator().manual_seed(1))
        weights[1, 1:] = 0
        self.weights = weights[members]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x, self.weights[:, : x.shape[1]])
        return y


LAYERS: dict[str, Callable[[list[int]], nn.Module]] = {
    **{
        f"linear of {outputs}": lambda members, outputs=outputs: Linear(
            6, outputs, [SEEDS[member] for member in members], index=2
        )
        for outputs in (1, 4, 7)
    },
    "dropout": lambda members: Dropout([RATES[each] for each in members], [SEEDS[each] for each in members]),
    "layer norm": lambda members: LayerNorm(6, len(members)),
    "batch norm": lambda members: BatchNorm(6, len(members)),
    "batch norm of weighted rows": lambda members: Weighted(BatchNorm(6, len(members)), members),
    "mlp": mlp,
    "mlp without hidden layers": lambda members: mlp(members, hidden=[]),
    "mlp with layer norm": lambda members: mlp(members, norm="layer", hidden=[8, 8], residual=True),
    "mlp with batch norm": lambda members: mlp(members, norm="batch"),
    "mlp with batch norm of weighted rows": lambda members: Weighted(mlp(members, norm="batch"), members),
    "mlp with periodic features": lambda members: mlp(members, numbers=5, periodic_features=3),
    "periodic features": lambda members: PeriodicFeatures(5, 3, [SEEDS[member] for member in members]),
}


@pytest.mark.parametrize("rows", [1, 5, 64])
@pytest.mark.parametrize("name", LAYERS)
def test_a_member_does_not_depend_on_the_others(name: str, rows: int) -> None:
    source = torch.Generator().manual_seed(0)
    inputs, slopes = torch.randn(2, len(SEEDS), rows, 21, generator=source)

    def compute(members: list[int]) -> dict[str, Tensor]:
        layer = LAYERS[name](members)
        results = {f"initial {key}": value.clone() for key, value in layer.state_dict().items()}
        x = inputs[members, :, :6].requires_grad_()
        for step in range(2):
            y = layer(x)
            (y * slopes[members, :, : y.shape[2]]).sum().backward()
            results[f"output {step}"] = y
        assert x.grad is not None
        gradients = {f"gradient of {key}": each.grad for key, each in layer.named_parameters()}
        results |= {key: gradient for key, gradient in gradients.items() if gradient is not None}
        return results | layer.state_dict() | {"gradient": x.grad, "evaluated": layer.eval()(x)}

    assert_member_independent(compute, len(SEEDS))


def test_linear_is_xw_plus_b_for_each_member() -> None:
    for outputs in (1, 4):
        layer = Linear(3, outputs, seeds=[0, 1])
        x = torch.randn(2, 5, 3)
        expected = np.einsum("kbi,kio->kbo", x.numpy(), layer.weight.detach().numpy())
        np.testing.assert_allclose(
            layer(x).detach(), expected + layer.bias.detach().numpy(), rtol=1e-5, atol=1e-6
        )


def test_linear_is_initialised_as_torchs() -> None:
    torch.manual_seed(0)
    ours, theirs = Linear(25, 4000, seeds=[0]), nn.Linear(25, 4000)
    for mine, yours in ((ours.weight, theirs.weight), (ours.bias, theirs.bias)):
        for q in (0.0, 0.1, 0.5, 0.9, 1.0):
            assert mine.quantile(q).item() == pytest.approx(yours.quantile(q).item(), abs=0.015)
    assert ours.weight.abs().max().item() == pytest.approx(theirs.weight.abs().max().item(), rel=1e-3)


def test_layers_of_a_member_have_different_weights() -> None:
    assert not torch.equal(Linear(3, 2, [8]).weight, Linear(3, 2, [8], index=1).weight)


def test_dropout_drops_each_members_share_and_keeps_the_mean() -> None:
    layer = Dropout([0.0, 0.25, 0.8], seeds=[0, 1, 2])
    x = torch.ones(3, 200, 100)
    dropped = layer(x)
    assert (dropped == 0).float().mean((1, 2)).tolist() == pytest.approx([0, 0.25, 0.8], abs=0.01)
    assert dropped.mean((1, 2)).tolist() == pytest.approx([1, 1, 1], abs=0.03)
    assert dropped[2].unique().tolist() == pytest.approx([0, 5], rel=2e-5)  # rates are rounded to 2⁻¹⁶
    assert torch.equal(layer.eval()(x), x)


def test_layer_norm_is_torchs() -> None:
    ours, theirs = LayerNorm(6, members=2), nn.LayerNorm(6)
    x = torch.randn(2, 5, 6)
    torch.testing.assert_close(ours(x), theirs(x))


def test_batch_norm_is_torchs_member_by_member() -> None:
    ours, theirs = BatchNorm(6, members=2), [nn.BatchNorm1d(6) for _ in range(2)]

    def each(x: Tensor) -> Tensor:
        return torch.stack([norm(rows) for norm, rows in zip(theirs, x, strict=True)])

    for _ in range(3):
        x = torch.randn(2, 5, 6) * 3 + 1
        torch.testing.assert_close(ours(x), each(x))
    ours.eval(), [norm.eval() for norm in theirs]
    torch.testing.assert_close(ours(x), each(x))


def weighted_step(x: Tensor, weight: Tensor | None, *, written_out: bool) -> dict[str, Tensor]:
    """The gradients and the statistics of a network with batch norm, for a weighted sum of losses."""
    network = mlp([0], norm="batch").double()
    network.written_out = written_out
    y = network(x[None], None if weight is None else weight[None, :, None])
    ((y**3).sum(2) * (1 if weight is None else weight)).sum().backward()
    gradients = {name: each.grad for name, each in network.named_parameters() if each.grad is not None}
    return gradients | dict(network.named_buffers())


@pytest.mark.parametrize("written_out", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 9])
def test_rows_of_weight_0_do_not_change_a_step_of_batch_norm(rows: int, *, written_out: bool) -> None:
    x, weight = torch.randn(20, 6).double(), torch.rand(20).double() + 0.1
    weight[rows:] = 0
    expected = weighted_step(x[:rows], weight[:rows], written_out=written_out)
    assert_close(weighted_step(x, weight, written_out=written_out), expected)


@pytest.mark.parametrize("written_out", [True, False])
def test_weights_of_batch_norm_count_rows(*, written_out: bool) -> None:
    x, times = torch.randn(6, 6).double(), torch.tensor([2.0, 1, 0, 3, 1, 1])
    weighted = weighted_step(x, times, written_out=written_out)
    repeated = weighted_step(x.repeat_interleave(times.long(), 0), None, written_out=written_out)
    effective = (times.sum() ** 2 / times.square().sum()).item()
    of_var = 7 / 8 * effective / (effective - 1)  # instead of 8/7
    for name in weighted:
        if "running_var" in name:
            repeated[name] = 0.9 + (repeated[name] - 0.9) * of_var
    assert_close(weighted, repeated)
    equal = weighted_step(x, torch.ones(6), written_out=written_out)
    assert_close(equal, weighted_step(x, None, written_out=written_out))
    norms = [BatchNorm(6, 1).double() for _ in range(2)]
    for norm, unit in zip(norms, (1, 1e-6), strict=True):
        norm(x[None], unit * times[None, :, None].double())
    assert_close(dict(norms[0].named_buffers()), dict(norms[1].named_buffers()))


@pytest.mark.parametrize("written_out", [True, False])
def test_a_member_whose_rows_all_have_weight_0_keeps_its_batch_norm(*, written_out: bool) -> None:
    found = weighted_step(torch.randn(8, 6).double(), torch.zeros(8), written_out=written_out)
    for name, value in found.items():
        expected = torch.ones_like(value) if "running_var" in name else torch.zeros_like(value)
        assert torch.equal(value, expected), name
