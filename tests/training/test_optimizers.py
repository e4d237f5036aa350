"""Steps of each member are those of torch's optimizers with its own settings."""

import math
from collections.abc import Callable

import pytest
import torch
from contracts import assert_member_independent
from support import mlp_of, resolved
from torch import nn

from mlplab.models import MLP
from mlplab.training.optimization.optimizers import MemberOptimizer
from mlplab.training.optimization.schedules import AVERAGE_EXPONENT as ETA
from mlplab.training.optimization.updates import clip_by_member

pytestmark = pytest.mark.usefixtures("full_speed")

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


GROUPS = {
    "hidden.0.linear.weight": "weights",
    "hidden.0.linear.bias": "biases",
    "hidden.0.norm.weight": "weights",
    "hidden.0.norm.bias": "biases",
    "output.weight": "weights",
    "output.bias": "biases",
    "periodic.weight": "numeric_embeddings",
    "periodic.bias": "numeric_embeddings",
}


def network() -> MLP:
    shape = {"hidden": [5], "norm": "layer", "numeric_features": 2, "periodic_features": 3}
    return mlp_of(3, 2, seeds=range(MEMBERS), **shape).double()  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_of_every_member_is_torchs_with_parameter_groups(kind: str) -> None:
    """Also those of a schedule, of members with rates of their own."""
    (overrides, make), ours, decay, rates = KINDS[kind], network(), 0.3, (0.1, 0.01, 0.003)
    shared = (*overrides, f"optimizer.weight_decay={decay}")
    factors: list[dict[str, dict[str, float]]] = [
        {},
        {"lr_factors": {"biases": 0.1, "numeric_embeddings": 6}, "weight_decay_factors": {"biases": 0}},
        {"lr_factors": {"weights": 0}, "weight_decay_factors": {"weights": 2}},
    ]
    settings = [
        resolved(
            *(*shared, f"optimizer.lr={lr}"),
            *(f"optimizer.{key}.{group}={x}" for key in each for group, x in each[key].items()),
        )
        for each, lr in zip(factors, rates, strict=True)
    ]
    references = []
    for member, each in enumerate(factors):
        references.append(make([nn.Parameter(p.detach()[member].clone()) for p in ours.parameters()], 1, 1))
        (everything,) = references[-1].param_groups
        parameters = everything.pop("params")
        references[-1].param_groups[:] = [{**everything, "params": [p]} for p in parameters]
        for group, (name, _) in zip(references[-1].param_groups, ours.named_parameters(), strict=True):
            lr_factor, decay_factor = (
                each.get(key, {}).get(GROUPS[name], 1) for key in ("lr_factors", "weight_decay_factors")
            )
            group["base"], group["decay"] = rates[member] * lr_factor, decay * decay_factor
    optimizer, source = MemberOptimizer(ours, [each.optimizer for each in settings]), torch.Generator()
    regularization = torch.linspace(1, 0, 9, dtype=torch.float64)[:, None].expand(-1, MEMBERS)
    optimizer.set_factors(torch.stack([1 - regularization / 2, regularization]))
    for factor in regularization[:, 0].tolist():
        gradients(optimizer.parameters, source)
        drawn = [p.grad for p in optimizer.parameters if p.grad is not None]
        optimizer.step()
        for member, reference in enumerate(references):
            for group, gradient in zip(reference.param_groups, drawn, strict=True):
                group["lr"], group["weight_decay"] = group["base"] * (1 - factor / 2), group["decay"] * factor
                group["params"][0].grad = gradient[member].clone()
            reference.step()
            for mine, group in zip(ours.parameters(), reference.param_groups, strict=True):
                torch.testing.assert_close(mine[member], group["params"][0], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_learning_rates_by_fan_in_are_the_neural_tangent_parametrisation(name: str) -> None:
    _, make = KINDS[name]
    words = (f"optimizer={name}", "optimizer.lr=0.1", "optimizer.weight_decay=0.2", "optimizer.eps=1e-20")
    ours, source = network(), torch.Generator().manual_seed(0)
    optimizer = MemberOptimizer(ours, [resolved(*words, "optimizer.lr_by_fan_in=true").optimizer] * MEMBERS)
    optimizer.set_factors(torch.ones(1, 20, MEMBERS, dtype=torch.float64))
    roots = [
        math.sqrt(parameter.shape[1]) if path.endswith(("linear.weight", "output.weight")) else 1
        for path, parameter in ours.named_parameters()
    ]
    assert sorted(roots) == [1] * 6 + [math.sqrt(5), 3]  # 3 columns and 6 periodic features
    theirs = [nn.Parameter(p.detach() * root) for p, root in zip(ours.parameters(), roots, strict=True)]
    reference = make(theirs, 0.1, 0.2)
    reference.param_groups[0]["eps"] = 1e-20
    for _ in range(20):
        gradients(optimizer.parameters, source)
        for mine, yours, root in zip(ours.parameters(), theirs, roots, strict=True):
            assert mine.grad is not None
            yours.grad = mine.grad / root
        optimizer.step()
        reference.step()
    for mine, yours, root in zip(ours.parameters(), theirs, roots, strict=True):
        torch.testing.assert_close(mine * root, yours, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_does_not_depend_on_the_others(kind: str) -> None:
    overrides, _ = KINDS[kind]
    shared = (*overrides, "optimizer.weight_decay=0.2", "optimizer.weight_averaging=true")
    settings = [resolved(*shared, f"optimizer.lr={lr}").optimizer for lr in (0.1, 0.01, 0.1)]
    source = torch.Generator().manual_seed(0)
    weights, slopes = torch.randn(2, MEMBERS, 5, 7, generator=source)

    def compute(members: list[int]) -> dict[str, torch.Tensor]:
        parameter = nn.Parameter(weights[members].clone())
        optimizer = MemberOptimizer(nn.ParameterList([parameter]), [settings[member] for member in members])
        optimizer.set_factors(torch.ones(1, 9, len(members), dtype=torch.float64))
        for _ in range(9):
            parameter.grad = slopes[members] * parameter.detach()
            optimizer.step()
        with optimizer.averaged():
            return {"average": parameter.detach().clone(), **optimizer.member_state()}

    assert_member_independent(compute, MEMBERS)


def test_the_average_is_weighted_by_a_power_of_the_step() -> None:
    overrides = ("optimizer=sgd", "optimizer.lr=1", "optimizer.momentum=0", "optimizer.weight_averaging=true")
    parameter = nn.Parameter(torch.zeros(1, 1, 1, dtype=torch.float64))
    optimizer = MemberOptimizer(nn.ParameterList([parameter]), [resolved(*overrides).optimizer])
    optimizer.set_factors(torch.ones(1, 30, 1, dtype=torch.float64))
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

    resumed = MemberOptimizer(nn.ParameterList([nn.Parameter(average)]), [resolved(*overrides).optimizer])
    resumed.load_member_state(state, steps)
    for each in (optimizer, resumed):
        each.set_factors(torch.ones(1, 1, 1, dtype=torch.float64))
        each.parameters[0].grad = torch.ones(1, 1, 1, dtype=torch.float64)
        each.step()
    assert all(
        torch.equal(optimizer.matrices[name], resumed.matrices[name]) for name in ("weights", "average")
    )


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
        nn.ParameterList([parameter]),
        [resolved("optimizer=sgd", "optimizer.lr=1", "optimizer.momentum=0").optimizer],
    )
    optimizer.set_factors(torch.ones(1, 3, 1, dtype=torch.float64))
    view = parameter.grad
    for gradient, expected in ((torch.full((1, 2, 3), 0.5), 0.5), (None, 0.5)):
        parameter.grad = gradient
        optimizer.step()
        assert parameter.tolist() == [[[expected] * 3] * 2]
        optimizer.zero_grad()
        assert parameter.grad is view
        assert not view.any()
