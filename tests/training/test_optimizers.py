import math
from collections.abc import Callable

import pytest
import torch
from contracts import assert_member_independent
from support import resolved
from torch import nn

from mlplab.training.optimizers import MemberOptimizer, clip_by_member
from mlplab.training.schedules import AVERAGE_EXPONENT as ETA

MEMBERS = 3
Make = Callable[[list[nn.Parameter], float, float], torch.optim.Optimizer]
KINDS: dict[str, tuple[list[str], Make]] = {
    "adam": (["optimizer=adam"], lambda p, lr, wd: torch.optim.Adam(p, lr=lr, weight_decay=wd)),
    "adamw": (
        ["optimizer=adamw"],
        lambda p, lr, wd: torch.optim.AdamW(p, lr=lr, weight_decay=wd, betas=(0.9, 0.95)),
    ),
    "sgd": (["optimizer=sgd"], lambda p, lr, wd: torch.optim.SGD(p, lr=lr, weight_decay=wd, momentum=0.9)),
    "plain sgd": (
        ["optimizer=sgd", "optimizer.momentum=0"],
        lambda p, lr, wd: torch.optim.SGD(p, lr=lr, weight_decay=wd),
    ),
    "nesterov": (
        ["optimizer=sgd", "optimizer.nesterov=true"],
        lambda p, lr, wd: torch.optim.SGD(p, lr=lr, weight_decay=wd, momentum=0.9, nesterov=True),
    ),
}


def gradients(parameters: list[nn.Parameter], generator: torch.Generator) -> None:
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


@pytest.mark.parametrize(("kind", "decay"), [*((kind, 0.1) for kind in KINDS), ("adamw", 0.0)])
def test_every_step_of_every_member_is_torchs(kind: str, decay: float) -> None:
    overrides, make = KINDS[kind]
    rates = [0.1, 0.01, 0.003]
    shared = (*overrides, f"optimizer.weight_decay={decay}", "optimizer.weight_averaging=false")
    settings = [resolved(*shared, f"optimizer.lr={lr}").optimizer for lr in rates]
    generator = torch.Generator().manual_seed(0)
    shapes = ((MEMBERS, 4, 2), (MEMBERS, 1, 2))
    ours = [nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in shapes]
    theirs = [[nn.Parameter(p.detach()[k].clone()) for p in ours] for k in range(MEMBERS)]
    optimizer = MemberOptimizer(ours, settings)
    references = [make(p, lr, decay) for p, lr in zip(theirs, rates, strict=True)]
    for step in range(20):
        gradients(ours, generator)
        factor = 0.9**step
        optimizer.set_lr(torch.full((1, MEMBERS), factor, dtype=torch.float64))
        optimizer.step()
        for k, (reference, lr) in enumerate(zip(references, rates, strict=True)):
            reference.param_groups[0]["lr"] = lr * factor
            for mine, yours in zip(ours, theirs[k], strict=True):
                assert mine.grad is not None
                yours.grad = mine.grad[k].clone()
            reference.step()
            for mine, yours in zip(ours, theirs[k], strict=True):
                torch.testing.assert_close(mine[k], yours, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_does_not_depend_on_the_others(kind: str) -> None:
    overrides, _ = KINDS[kind]
    shared = (*overrides, "optimizer.weight_decay=0.2", "optimizer.weight_averaging=true")
    settings = [resolved(*shared, f"optimizer.lr={lr}").optimizer for lr in (0.1, 0.01, 0.1)]
    source = torch.Generator().manual_seed(0)
    weights, slopes = torch.randn(2, MEMBERS, 5, 7, generator=source)

    def compute(members: list[int]) -> dict[str, torch.Tensor]:
        parameter = nn.Parameter(weights[members].clone())
        optimizer = MemberOptimizer([parameter], [settings[member] for member in members])
        optimizer.set_lr(torch.ones(9, len(members), dtype=torch.float64))
        for _ in range(9):
            parameter.grad = slopes[members] * parameter.detach()
            optimizer.step()
        with optimizer.averaged():
            return {"average": parameter.detach().clone(), **optimizer.member_state()}

    assert_member_independent(compute, MEMBERS)


def test_the_average_is_weighted_by_a_power_of_the_step() -> None:
    overrides = ("optimizer=sgd", "optimizer.lr=1", "optimizer.momentum=0", "optimizer.weight_averaging=true")
    parameter = nn.Parameter(torch.zeros(1, 1, 1, dtype=torch.float64))
    optimizer = MemberOptimizer([parameter], [resolved(*overrides).optimizer])
    optimizer.set_lr(torch.ones(30, 1, dtype=torch.float64))
    steps, weights = 20, []
    for step in range(steps):
        parameter.grad = torch.full((1, 1, 1), 1.0 / (step + 1), dtype=torch.float64)
        optimizer.step()
        weights.append(parameter.item())
    # Each weight's share rises as (t + η − 1)! / (t − 1)!, a polynomial of degree η of its step t.
    shares = torch.tensor([math.perm(t + ETA - 1, ETA) for t in range(1, steps + 1)]).double()
    expected = (torch.tensor(weights, dtype=torch.float64) * shares).sum() / shares.sum()
    last = weights[-1]
    with optimizer.averaged():
        assert parameter.item() == pytest.approx(expected.item(), rel=1e-12)
        state, average = optimizer.member_state(), parameter.detach().clone()
    assert parameter.item() == state["weights"][0, 0].item() == last

    resumed = MemberOptimizer([nn.Parameter(average)], [resolved(*overrides).optimizer])
    resumed.load_member_state(state, steps)
    for each in (optimizer, resumed):
        each.set_lr(torch.ones(1, 1, dtype=torch.float64))
        each.parameters[0].grad = torch.ones(1, 1, 1, dtype=torch.float64)
        each.step()
    assert all(torch.equal(optimizer.rows[name], resumed.rows[name]) for name in ("weights", "average"))


def test_clipping_is_torchs_member_by_member() -> None:
    stacked = [nn.Parameter(torch.zeros(2, 3, 3)), nn.Parameter(torch.zeros(2, 1, 3))]
    gradients(stacked, torch.Generator().manual_seed(0))
    alone = [
        [nn.Parameter(parameter.detach()[member].clone()) for parameter in stacked] for member in range(2)
    ]
    for member, scale in enumerate((1, 0.01)):  # the second member's norm stays below the bound
        for mine, yours in zip(stacked, alone[member], strict=True):
            assert mine.grad is not None
            mine.grad[member] *= scale
            yours.grad = mine.grad[member].clone()
        nn.utils.clip_grad_norm_(alone[member], 0.5)
    clip_by_member([parameter.grad for parameter in stacked if parameter.grad is not None], 0.5)
    for member in range(2):
        for mine, yours in zip(stacked, alone[member], strict=True):
            assert mine.grad is not None
            torch.testing.assert_close(mine.grad[member], yours.grad, rtol=1e-5, atol=0)


def test_gradients_are_views_unless_replaced() -> None:
    parameter = nn.Parameter(torch.ones(1, 2, 3))
    optimizer = MemberOptimizer(
        [parameter], [resolved("optimizer=sgd", "optimizer.lr=1", "optimizer.momentum=0").optimizer]
    )
    optimizer.set_lr(torch.ones(3, 1, dtype=torch.float64))
    view = parameter.grad
    for gradient, expected in ((torch.full((1, 2, 3), 0.5), 0.5), (None, 0.5)):
        parameter.grad = gradient
        optimizer.step()
        assert parameter.tolist() == [[[expected] * 3] * 2]
        optimizer.zero_grad()
        assert parameter.grad is view
        assert not view.any()
