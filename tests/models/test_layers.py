import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mlplab.models import BatchNorm, Dropout, LayerNorm, Linear


def test_linear_is_xw_plus_b_for_each_member() -> None:
    for outputs in (1, 4):
        layer = Linear(3, outputs, seeds=[0, 1])
        x = torch.randn(2, 5, 3)
        expected = np.einsum("kbi,kio->kbo", x.numpy(), layer.weight.detach().numpy())
        np.testing.assert_allclose(
            layer(x).detach(), expected + layer.bias.detach().numpy(), rtol=1e-5, atol=1e-6
        )


def test_linear_starts_with_the_law_of_torchs() -> None:
    torch.manual_seed(0)
    ours, theirs = Linear(25, 4000, seeds=[0]), nn.Linear(25, 4000)
    for mine, yours in ((ours.weight, theirs.weight), (ours.bias, theirs.bias)):
        for q in (0.0, 0.1, 0.5, 0.9, 1.0):
            assert mine.quantile(q).item() == pytest.approx(yours.quantile(q).item(), abs=0.015)


def test_a_members_weights_are_a_function_of_its_seed_and_place() -> None:
    stack, alone, deeper = Linear(3, 2, [7, 8]), Linear(3, 2, [8]), Linear(3, 2, [8], index=1)
    assert torch.equal(stack.weight[1:], alone.weight)
    assert torch.equal(stack.bias[1:], alone.bias)
    assert not torch.equal(alone.weight, deeper.weight)


def test_dropout_drops_each_members_share_and_keeps_the_mean() -> None:
    layer = Dropout([0.0, 0.25, 0.8], seeds=[0, 1, 2])
    x = torch.ones(3, 200, 100)
    dropped = layer(x)
    assert (dropped == 0).float().mean((1, 2)).tolist() == pytest.approx([0, 0.25, 0.8], abs=0.01)
    assert dropped.mean((1, 2)).tolist() == pytest.approx([1, 1, 1], abs=0.03)
    assert dropped[2].unique().tolist() == pytest.approx([0, 5], rel=2e-5)  # rates are rounded to 2⁻¹⁶
    assert torch.equal(layer.eval()(x), x)


def test_a_members_masks_are_its_own() -> None:
    stack, alone = Dropout([0.3, 0.5], [1, 2]), Dropout([0.5], [2])
    for _ in range(3):
        x = torch.randn(2, 6, 4)
        assert torch.equal(stack(x)[1:], alone(x[1:]))


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
