from collections.abc import Callable, Sequence
from functools import partial

import contracts
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss
from support import class_probabilities, config
from torch import Tensor, nn

from mlplab.config import Linear
from mlplab.data.batches.loader import Batch
from mlplab.models import FeatureLayout, NetworkPlan
from mlplab.models.targets import TargetScaling
from mlplab.training.scoring.losses import LOSSES, Loss, batch_losses, build_loss

CLASSES = 3
NAMES = [name for name in LOSSES if name != "custom"]

UNSCALED = Linear(name="linear", preprocessing=config("model.preprocessing.target=none").model.preprocessing)


def mean_loss(
    loss: Loss, z: Tensor, y: Tensor, weight: Tensor | None = None, total: Tensor | None = None
) -> Tensor:
    """The loss of each member, whose targets are on the scale of the loss."""
    statistics = dict.fromkeys(("y_mean", "y_std"), torch.ones(len(y), 1, y.shape[2], dtype=torch.float64))
    plan = NetworkPlan([UNSCALED], range(len(y)), FeatureLayout((), ()), z.dtype, statistics)
    return batch_losses(loss, z, Batch(z, y.double(), weight, total), TargetScaling(plan))


def quantiles_by_scikit_learn(z: Tensor, y: Tensor) -> Tensor:
    levels = enumerate(config("loss=quantile").quantiles)
    return torch.tensor(np.mean([mean_pinball_loss(y, z[:, k], alpha=level) for k, level in levels]))


def cross_entropy(z: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
    return nn.functional.cross_entropy(z, y[:, 0].long(), label_smoothing=smoothing)


# Of two members, with the settings of `losses`.
REFERENCES: dict[str, Sequence[Callable[[Tensor, Tensor], Tensor]]] = {
    "mse": [nn.MSELoss()] * 2,
    "mae": [nn.L1Loss()] * 2,
    "huber": [nn.HuberLoss(delta=0.5), nn.HuberLoss(delta=1.5)],
    "quantile": [quantiles_by_scikit_learn] * 2,
    "cross_entropy": [cross_entropy, partial(cross_entropy, smoothing=0.25)],
}


@pytest.mark.parametrize("name", NAMES)
def test_each_members_loss_is_that_of_torch_or_scikit_learn(name: str) -> None:
    loss, (z, y) = losses(name, [0, 1]), drawn(name, 2, 9, 1, torch.float64)
    expected = torch.stack([theirs(*each) for theirs, *each in zip(REFERENCES[name], z, y, strict=True)])
    torch.testing.assert_close(mean_loss(loss, z, y), expected)
    # `degree` is the power of the target's unit in a loss; in Huber's, only if delta is scaled, too.
    if name in ("mse", "mae", "quantile"):
        torch.testing.assert_close(mean_loss(loss, 10 * z, 10 * y), expected * 10**loss.degree)


@pytest.mark.parametrize("weighted", [True, False])
def test_class_weights_are_torchs_up_to_the_divisor(weighted: bool) -> None:
    """torch divides by the sum of the weights; here their mean over the training rows is 1."""
    class_weights = torch.tensor([[[0.5, 2, 0]], [[1, 0.25, 3]]], dtype=torch.float64)
    y = torch.randint(3, (2, 9, 1), generator=torch.Generator().manual_seed(0)).double()
    logits = torch.randn(2, 9, 3, dtype=torch.float64)
    weight = torch.rand(2, 9, 1, dtype=torch.float64) if weighted else None
    transform = class_probabilities(3, 2, torch.float64, class_weights)
    loss = build_loss([config("loss=cross_entropy", "loss.label_smoothing=0").loss] * 2)
    found = batch_losses(loss, logits, Batch(torch.zeros(2, 9, 1), y, weight), transform)
    for member in range(2):
        theirs = nn.CrossEntropyLoss(class_weights[member, 0], reduction="none")
        of_rows = theirs(logits[member], y[member, :, 0].long())
        expected = of_rows.mean() if weight is None else (of_rows * weight[member, :, 0]).sum()
        divisor = 1 if weight is None else weight[member].sum()
        torch.testing.assert_close(found[member], expected / divisor)


def losses(name: str, members: list[int]) -> Loss:
    """The loss of members that differ where they can."""

    def own(member: int) -> list[str]:
        smoothing, delta = f"loss.label_smoothing={member / 4}", f"loss.delta={member + 0.5}"
        return {"huber": [delta], "cross_entropy": [smoothing]}.get(name, [])

    return build_loss([config(f"loss={name}", *own(each)).loss for each in members])


def drawn(
    name: str, members: int, rows: int, targets: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Outputs and targets; of cross-entropy logits and a class, of quantiles with one target."""
    source = torch.Generator().manual_seed(rows)
    if name == "cross_entropy":
        targets = CLASSES
        target = torch.randint(CLASSES, (members, rows, 1), generator=source).to(dtype)
    else:
        several = 1 if name == "quantile" else targets
        target = torch.randn(members, rows, several, dtype=dtype, generator=source)
    width = len(config("loss=quantile").quantiles) if name == "quantile" else targets
    return torch.randn(members, rows, width, dtype=dtype, generator=source), target


SINGLE = {name: losses(name, [0]) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_member_does_not_depend_on_the_others(name: str) -> None:
    predictions, target = drawn(name, 3, 37, 2)
    weight = torch.rand(3, 37, 1, generator=torch.Generator().manual_seed(0))

    def compute(members: list[int]) -> dict[str, torch.Tensor]:
        predicted = predictions[members].requires_grad_()
        values = mean_loss(losses(name, members), predicted, target[members], weight[members])
        values.sum().backward()  # type: ignore[no-untyped-call]
        return {"loss": values, "gradient": predicted.grad}

    contracts.assert_member_independent(compute, 3)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=12)
@given(weights=st.lists(st.integers(0, 4), min_size=1, max_size=20).filter(any))
def test_weight_equals_repetition(name: str, weights: list[int]) -> None:
    predicted, target = drawn(name, 1, len(weights), 2, torch.float64)

    def compute(rows: torch.Tensor, weight: torch.Tensor | None) -> dict[str, torch.Tensor]:
        reshaped = None if weight is None else weight.reshape(1, -1, 1)
        return {"loss": mean_loss(SINGLE[name], predicted[:, rows], target[:, rows], reshaped)}

    contracts.assert_weight_equals_repetition(compute, weights)
    contracts.assert_equal_weights_are_none(compute, len(weights))


def test_weights_are_relative_to_all_rows_and_not_to_those_of_a_batch() -> None:
    # The mean over batches of one row is the weighted mean; divided by its own sum, each weight would cancel.
    loss = SINGLE["mse"]
    z, y = torch.zeros(1, 1, 1), torch.tensor([1.0, 3.0])
    weight = torch.tensor([1.0, 7.0])
    total = weight.double().mean().reshape(1)
    y, weight = y.reshape(2, 1, 1, 1), weight.reshape(2, 1, 1, 1)
    each = [mean_loss(loss, z, y[row], weight[row], total) for row in range(2)]
    assert torch.stack(each).mean().item() == pytest.approx((1 * 1 + 7 * 9) / 8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weighted", [True, False])
def test_derivatives_are_those_of_autograd(name: str, weighted: bool) -> None:
    loss, (predicted, target) = losses(name, [0, 1]), drawn(name, 2, 9, 2, torch.float64)
    predicted = (2 * predicted).requires_grad_()
    weight = torch.rand(2, 9, 1, dtype=torch.float64) if weighted else None
    slopes = torch.tensor([1.0, 3.0], dtype=torch.float64)
    shares = torch.ones(2, 9, 1) if weight is None else weight
    formula = (loss.by_row(predicted, target) * shares / shares.sum(1, keepdim=True)).sum((1, 2))
    (expected,) = torch.autograd.grad((formula / target.shape[2] * slopes).sum(), predicted)
    (found,) = torch.autograd.grad((mean_loss(loss, predicted, target, weight) * slopes).sum(), predicted)
    torch.testing.assert_close(found, expected)
    if weighted:  # a batch of weight 0 changes nothing
        nothing = mean_loss(loss, predicted, target, torch.zeros(2, 9, 1))
        assert not nothing.any()
        assert not torch.autograd.grad(nothing.sum(), predicted)[0].any()
