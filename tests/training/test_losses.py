import pytest
import torch
from contracts import (
    assert_equal_weights_are_none,
    assert_member_independent,
    assert_weight_equals_repetition,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from support import config
from torch import nn

from mlplab.training.losses import LOSSES, Loss, build_loss


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("mse", nn.MSELoss()), ("mae", nn.L1Loss()), ("huber", nn.HuberLoss(delta=0.7))],
)
def test_each_members_loss_is_torchs(name: str, theirs: nn.Module) -> None:
    section = config(f"loss={name}", *(["loss.delta=0.7"] if name == "huber" else [])).loss
    loss = build_loss([section, section])
    predicted, target = torch.randn(2, 3, 9, 1).unbind()
    predicted, target = predicted[:2], target[:2]
    expected = torch.stack([theirs(p, t) for p, t in zip(predicted, target, strict=True)])
    torch.testing.assert_close(loss(predicted, target), expected)
    # `degree` is the power of the target's unit in a loss; in Huber's, only if delta is scaled, too.
    if name != "huber":
        torch.testing.assert_close(loss(10 * predicted, 10 * target), expected * 10**loss.degree)


def test_members_have_their_own_delta() -> None:
    loss = build_loss([config("loss=huber", f"loss.delta={delta}").loss for delta in (0.5, 2)])
    error = torch.full((2, 1, 1), 3.0)
    assert loss(error, torch.zeros_like(error)).tolist() == [0.5 * (3 - 0.25), 2 * (3 - 1)]


def losses(name: str, members: list[int]) -> Loss:
    return build_loss(
        [
            config(f"loss={name}", *([f"loss.delta={each + 0.5}"] if name == "huber" else [])).loss
            for each in members
        ]
    )


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weighted", [True, False])
def test_a_member_does_not_depend_on_the_others(name: str, weighted: bool) -> None:
    source = torch.Generator().manual_seed(0)
    predictions, target = torch.randn(2, 3, 37, 2, generator=source)
    weight = torch.rand(3, 37, 1, generator=source)

    def compute(members: list[int]) -> dict[str, torch.Tensor]:
        predicted = predictions[members].requires_grad_()
        values = losses(name, members)(predicted, target[members], weight[members] if weighted else None)
        values.sum().backward()  # type: ignore[no-untyped-call]
        assert predicted.grad is not None
        return {"loss": values, "gradient": predicted.grad}

    assert_member_independent(compute, 3)


@pytest.mark.parametrize("name", LOSSES)
def test_rows_without_weight_do_not_count(name: str) -> None:
    loss = build_loss([config(f"loss={name}").loss] * 2)
    predicted, target = torch.randn(2, 2, 7, 1).unbind()
    weight = torch.tensor([[1.0] * 4 + [0] * 3, [1.0] * 7]).unsqueeze(2)
    values = loss(predicted, target, weight)
    assert values[0] == loss(predicted[:, :4], target[:, :4])[0]
    assert values[1] == loss(predicted, target)[1]


@pytest.mark.parametrize("loss", [losses(name, [0]) for name in LOSSES])
@settings(max_examples=40)
@given(weights=st.lists(st.integers(0, 4), min_size=1, max_size=20).filter(any))
def test_weight_equals_repetition(loss: Loss, weights: list[int]) -> None:
    source = torch.Generator().manual_seed(len(weights))
    predicted, target = torch.randn(2, 1, len(weights), 2, dtype=torch.float64, generator=source).unbind()

    def compute(rows: torch.Tensor, weight: torch.Tensor | None) -> dict[str, torch.Tensor]:
        reshaped = None if weight is None else weight.reshape(1, -1, 1)
        return {"loss": loss(predicted[:, rows], target[:, rows], reshaped)}

    assert_weight_equals_repetition(compute, weights)
    assert_equal_weights_are_none(compute, len(weights))


def test_a_batch_of_weight_0_changes_nothing() -> None:
    loss = build_loss([config().loss])
    predicted = torch.randn(1, 4, 1, requires_grad=True)
    value = loss(predicted, torch.zeros(1, 4, 1), torch.zeros(1, 4, 1))
    value.sum().backward()  # type: ignore[no-untyped-call]
    assert value.item() == 0
    assert predicted.grad is not None
    assert not predicted.grad.any()


def test_only_a_single_target_has_a_unit() -> None:
    loss = build_loss([config("loss=mse").loss])
    losses, std = torch.tensor([2.0]), torch.tensor([[[3.0, 5.0]]], dtype=torch.float64)
    assert loss.in_target_units(losses, std[..., :1]).item() == 18
    assert loss.in_target_units(losses, std).item() == 2


def test_shapes_that_would_broadcast_are_refused() -> None:
    loss = build_loss([config().loss])
    with pytest.raises(TypeError):
        loss(torch.zeros(1, 4, 1), torch.zeros(1, 4))


def test_weights_are_relative_to_all_rows_and_not_to_those_of_a_batch() -> None:
    # The mean over batches of one row is the weighted mean; divided by its own sum, each weight would cancel.
    loss = build_loss([config("loss=mse").loss])
    z, y = torch.zeros(1, 1, 1), torch.tensor([1.0, 3.0])
    weight = torch.tensor([1.0, 7.0])
    total = weight.double().mean().reshape(1)
    each = [loss(z, y[row].reshape(1, 1, 1), weight[row].reshape(1, 1, 1), total) for row in range(2)]
    assert torch.stack(each).mean().item() == pytest.approx((1 * 1 + 7 * 9) / 8)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weighted", [True, False])
def test_derivatives_are_those_of_autograd(name: str, weighted: bool) -> None:
    loss = losses(name, [0, 1])
    predicted, target = torch.randn(2, 2, 9, 2, dtype=torch.float64).unbind()
    predicted = (2 * predicted).requires_grad_()
    weight = torch.rand(2, 9, 1, dtype=torch.float64) if weighted else None
    slopes = torch.tensor([1.0, 3.0], dtype=torch.float64)
    shares = torch.ones(2, 9, 1) if weight is None else weight
    formula = (loss.function(predicted - target) * shares / shares.sum(1, keepdim=True)).sum((1, 2)) / 2
    (expected,) = torch.autograd.grad((formula * slopes).sum(), predicted, create_graph=True)
    (found,) = torch.autograd.grad(
        (loss(predicted, target, weight) * slopes).sum(), predicted, create_graph=True
    )
    torch.testing.assert_close(found, expected)
    if name != "mae":  # whose second derivative is 0
        second = [torch.autograd.grad(each.sum(), predicted)[0] for each in (found, expected)]
        torch.testing.assert_close(*second)
