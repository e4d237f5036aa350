"""Networks with heads: TabM by hand, and what a network with one head has in common with them."""

import math

import pytest
import torch
from support import class_probabilities, mlp_of
from torch import Tensor

from mlplab.data.batches.loader import Batch
from mlplab.models import MLP
from mlplab.models.layers.heads import mean_of_heads
from mlplab.training.scoring.losses import batch_losses, cross_entropy

HEADS, ROWS = 3, 5


def network() -> MLP:
    made = mlp_of(4, 2, seeds=[0, 1], hidden=[8, 5], heads=HEADS)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
    return made


def by_hand(made: MLP, x: Tensor) -> Tensor:
    """What each head of each member predicts: `[member, head, row, output]`."""
    a = x.unsqueeze(1)
    for layer in (each.linear for each in made.hidden):
        r, s, b = (values.unsqueeze(2) for values in (layer.r, layer.s, layer.bias))
        a = torch.relu(a * r @ layer.weight.unsqueeze(1) * s + b)
    return a @ made.output.weight.unflatten(1, (HEADS, -1)) + made.output.bias.unsqueeze(2)


def test_each_head_predicts_and_their_mean_is_that_of_targets_or_probabilities() -> None:
    made, x = network(), torch.randn(2, ROWS, 4)
    expected = by_hand(made, x)
    torch.testing.assert_close(made(x), expected.transpose(1, 2).flatten(1, 2))
    torch.testing.assert_close(mean_of_heads(made(x), HEADS, logits=False), expected.mean(1))
    torch.testing.assert_close(mean_of_heads(made(x), HEADS, logits=True).exp(), expected.softmax(3).mean(1))
    sure = mean_of_heads(torch.tensor([[[1000.0, 0.0], [900.0, 0.0]]]), 2, logits=True)
    assert sure.flatten().tolist() == pytest.approx([0, -900 - math.log(2)])
    for parameter in made.eval().parameters():  # weights may be shown from elsewhere, as averages of them
        parameter.data = torch.randn_like(parameter)
    with torch.no_grad():
        torch.testing.assert_close(made(x), by_hand(made, x).transpose(1, 2).flatten(1, 2))


def test_only_the_first_r_and_the_output_differ_between_heads_at_first() -> None:
    made = mlp_of(3, 1, seeds=[0], hidden=[4, 4], heads=50, columns=[0, 1, 1])
    plain = mlp_of(3, 1, seeds=[0], hidden=[4, 4])
    first, second = (layer.linear for layer in made.hidden)
    assert first.weight.equal(plain.hidden[0].linear.weight)
    assert second.bias.equal(plain.hidden[1].linear.bias.expand(1, 50, 4))
    assert first.r.abs().eq(1).all()
    assert first.r[..., 1].equal(first.r[..., 2])
    assert len(first.r.unique(dim=1)[0]) == 4
    assert all(values.eq(1).all() for values in (first.s, second.r, second.s))
    assert len(made.output.weight.unique()) == 4 * 50
    embedded = mlp_of(3, 1, seeds=[0, 1], hidden=[4], heads=50, numeric_features=2, periodic_features=2)
    r, other = embedded.hidden[0].linear.r
    assert r[:, [0, 1, 0]].equal(r[:, [3, 5, 4]])
    assert len({*r.flatten().tolist(), *other.flatten().tolist()}) == 2 * 3 * 50
    assert (r.mean().item(), r.std().item()) == pytest.approx((0, 1), abs=0.25)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_is_the_mean_of_the_losses_of_heads(weighted: bool) -> None:
    made = network()
    x, y = torch.randn(2, ROWS, 4), torch.randint(0, 2, (2, ROWS, 1)).double()
    weight = torch.rand(2, ROWS, 1) if weighted else None
    batch = Batch(x, y, weight, torch.tensor([2.0, 3.0]).double() if weighted else None)
    transform = class_probabilities(2, 2, class_weight=torch.tensor([[[1.0, 3.0]]] * 2).double())
    loss, z = cross_entropy([]), by_hand(made, x)
    heads = [batch_losses(loss, z[:, head], batch, transform) for head in range(HEADS)]
    together = batch_losses(loss, made(x), batch.repeated(HEADS), transform)
    torch.testing.assert_close(together, torch.stack(heads).mean(0))
