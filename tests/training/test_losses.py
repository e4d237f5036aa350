import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import config
from torch import nn

from mlplab.training.losses import Loss, build_loss


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
    # In another unit of the target: that is what `degree` says of a loss (of Huber's if delta goes along).
    if name != "huber":
        torch.testing.assert_close(loss(10 * predicted, 10 * target), expected * 10**loss.degree)


def test_members_have_their_own_delta() -> None:
    loss = build_loss([config("loss=huber", f"loss.delta={delta}").loss for delta in (0.5, 2)])
    error = torch.full((2, 1, 1), 3.0)
    assert loss(error, torch.zeros_like(error)).tolist() == [0.5 * (3 - 0.25), 2 * (3 - 1)]


@pytest.mark.parametrize("name", ["mse", "mae", "huber"])
def test_rows_without_weight_do_not_count(name: str) -> None:
    loss = build_loss([config(f"loss={name}").loss] * 2)
    predicted, target = torch.randn(2, 2, 7, 1).unbind()
    weight = torch.tensor([[1.0] * 4 + [0] * 3, [1.0] * 7]).unsqueeze(2)
    values = loss(predicted, target, weight)
    assert values[0] == loss(predicted[:, :4], target[:, :4])[0]
    assert values[1] == loss(predicted, target)[1]


@pytest.mark.parametrize(
    "loss", [build_loss([config(f"loss={name}").loss]) for name in ("mse", "mae", "huber")]
)
@given(weights=st.lists(st.integers(0, 4), min_size=1, max_size=20).filter(any))
def test_a_weight_is_a_row_so_many_times(loss: Loss, weights: list[int]) -> None:
    source = torch.Generator().manual_seed(len(weights))
    predicted, target = torch.randn(2, 1, len(weights), 2, dtype=torch.float64, generator=source).unbind()
    weight = torch.tensor(weights, dtype=torch.float64).reshape(1, -1, 1)
    times = torch.tensor(weights)
    repeated = loss(predicted.repeat_interleave(times, 1), target.repeat_interleave(times, 1))
    torch.testing.assert_close(loss(predicted, target, weight), repeated)
    torch.testing.assert_close(loss(predicted, target, 7.5 * weight), repeated)


def test_a_batch_whose_rows_have_no_weight_changes_nothing() -> None:
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


def test_weights_count_against_all_rows_and_not_against_those_of_a_batch() -> None:
    # The sum over batches of one row each is the weighted mean, which each row's own weight would cancel.
    loss = build_loss([config("loss=mse").loss])
    z, y = torch.zeros(1, 1, 1), torch.tensor([1.0, 3.0])
    weight = torch.tensor([1.0, 7.0])
    total = weight.double().mean().reshape(1)
    each = [loss(z, y[row].reshape(1, 1, 1), weight[row].reshape(1, 1, 1), total) for row in range(2)]
    assert torch.stack(each).mean().item() == pytest.approx((1 * 1 + 7 * 9) / 8)
