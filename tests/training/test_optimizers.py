import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from contracts import assert_member_independent
from support import mlp_of, resolved
from torch import Tensor, nn

from mlplab.models import MLP
from mlplab.training.optimization.optimizers import MemberOptimizer, clip_by_member
from mlplab.training.optimization.schedules import AVERAGE_EXPONENT as ETA

pytestmark = pytest.mark.usefixtures("full_speed")

MEMBERS = 3
PLAIN = "optimizer=sgd", "optimizer.lr=1", "optimizer.momentum=0"
SGD = torch.optim.SGD
KINDS: dict[str, tuple[list[str], Callable[..., torch.optim.Optimizer]]] = {
    "adam": (["optimizer=adam"], torch.optim.Adam),
    "adamw": (["optimizer=adamw"], partial(torch.optim.AdamW, betas=(0.9, 0.95))),
    "sgd": (["optimizer=sgd"], partial(SGD, momentum=0.9)),
    "plain sgd": (["optimizer=sgd", "optimizer.momentum=0"], SGD),
    "nesterov": (["optimizer=sgd", "optimizer.nesterov=true"], partial(SGD, momentum=0.9, nesterov=True)),
}


# By the learning rate of each member.
FACTORS: dict[float, dict[str, float]] = {
    0.1: {},
    0.01: {"lr_factors.biases": 0.1, "lr_factors.numeric_embeddings": 6, "weight_decay_factors.biases": 0},
    0.003: {"lr_factors.weights": 0, "weight_decay_factors.weights": 2},
}


def gradients(parameters: list[nn.Parameter], generator: torch.Generator) -> None:
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


def network() -> MLP:
    shape = {"hidden": [5], "norm": "layer", "numeric_features": 2, "periodic_features": 3}
    return mlp_of(3, 2, seeds=range(MEMBERS), **shape).double()  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_of_every_member_is_torchs_with_parameter_groups(kind: str) -> None:
    (overrides, make), ours, decay = KINDS[kind], network(), 0.3
    settings, references = [], []
    for member, (lr, factors) in enumerate(FACTORS.items()):
        words = [f"optimizer.{key}={factor}" for key, factor in factors.items()]
        settings.append(resolved(*overrides, f"optimizer.weight_decay={decay}", f"optimizer.lr={lr}", *words))
        groups = []
        for name, parameter in ours.named_parameters():
            of_layer = "biases" if name.endswith("bias") else "weights"
            group = "numeric_embeddings" if name.startswith("periodic") else of_layer
            base = lr * factors.get(f"lr_factors.{group}", 1)
            scaled = {"base": base, "decay": decay * factors.get(f"weight_decay_factors.{group}", 1)}
            groups.append({"params": [nn.Parameter(parameter.detach()[member].clone())], **scaled})
        references.append(make(groups, lr=1))
    regularization = torch.linspace(1, 0, 9, dtype=torch.float64)[:, None].expand(-1, MEMBERS)
    both = torch.stack([1 - regularization / 2, regularization])
    optimizer, source = steps_of(ours, settings, 9, both), torch.Generator()
    for factor in regularization[:, 0].tolist():
        gradients(optimizer.parameters, source)
        drawn = [p.grad for p in optimizer.parameters if p.grad is not None]
        optimizer.step()
        for member, reference in enumerate(references):
            for own, gradient in zip(reference.param_groups, drawn, strict=True):
                own["lr"], own["weight_decay"] = own["base"] * (1 - factor / 2), own["decay"] * factor
                own["params"][0].grad = gradient[member].clone()
            reference.step()
            for mine, own in zip(ours.parameters(), reference.param_groups, strict=True):
                torch.testing.assert_close(mine[member], own["params"][0], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_learning_rates_by_fan_in_are_the_neural_tangent_parametrisation(kind: str) -> None:
    words = (f"optimizer={kind}", "optimizer.lr=0.1", "optimizer.weight_decay=0.2", "optimizer.eps=1e-20")
    ours, source = network(), torch.Generator().manual_seed(0)
    optimizer = steps_of(ours, [resolved(*words, "optimizer.lr_by_fan_in=true")] * MEMBERS, 20)
    linear = ("linear.weight", "output.weight")
    roots = [math.sqrt(p.shape[1]) if name.endswith(linear) else 1 for name, p in ours.named_parameters()]
    assert sorted(roots) == [1] * 6 + [math.sqrt(5), 3]  # 3 columns and 6 periodic features
    theirs = [nn.Parameter(p.detach() * root) for p, root in zip(ours.parameters(), roots, strict=True)]
    reference = KINDS[kind][1](theirs, lr=0.1, weight_decay=0.2, eps=1e-20)
    for _ in range(20):
        gradients(optimizer.parameters, source)
        for mine, yours, root in zip(ours.parameters(), theirs, roots, strict=True):
            yours.grad = mine.grad / root
        optimizer.step()
        reference.step()
    for mine, yours, root in zip(ours.parameters(), theirs, roots, strict=True):
        torch.testing.assert_close(mine * root, yours, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_does_not_depend_on_the_others(kind: str) -> None:
    shared = (*KINDS[kind][0], "optimizer.weight_decay=0.2", "optimizer.weight_averaging=true")
    settings = [resolved(*shared, f"optimizer.lr={lr}") for lr in (0.1, 0.01, 0.1)]
    weights, slopes = torch.randn(2, MEMBERS, 5, 7, generator=torch.Generator().manual_seed(0))

    def compute(members: list[int]) -> dict[str, torch.Tensor]:
        parameter = nn.Parameter(weights[members].clone())
        optimizer = steps_of(nn.ParameterList([parameter]), [settings[each] for each in members], 9)
        for _ in range(9):
            parameter.grad = slopes[members] * parameter.detach()
            optimizer.step()
        with optimizer.averaged():
            return {"average": parameter.detach().clone(), **optimizer.member_state()}

    assert_member_independent(compute, MEMBERS)


def test_the_average_is_weighted_by_a_power_of_the_step() -> None:
    settings, steps, weights = [resolved(*PLAIN, "optimizer.weight_averaging=true")], 20, []
    parameter = nn.Parameter(torch.zeros(1, 1, 1, dtype=torch.float64))
    optimizer = steps_of(nn.ParameterList([parameter]), settings, 30)
    for step in range(steps):
        parameter.grad = torch.full_like(parameter, 1.0 / (step + 1))
        optimizer.step()
        weights.append(parameter.item())
    # Each weight's share rises as (t + η − 1)! / (t − 1)!, a polynomial of degree η of its step t.
    shares = [math.perm(t + ETA - 1, ETA) for t in range(1, steps + 1)]
    with optimizer.averaged():
        assert parameter.item() == pytest.approx(np.average(weights, weights=shares), rel=1e-12)
        state, average = optimizer.member_state(), parameter.detach().clone()
    assert parameter.item() == state["weights"][0, 0].item() == weights[-1]

    resumed = steps_of(nn.ParameterList([nn.Parameter(average)]), settings, 30)
    resumed.load_member_state(state, steps)
    for each in (optimizer, resumed):
        each.set_factors(torch.ones(1, 1, 1, dtype=torch.float64))
        each.parameters[0].grad = torch.ones(1, 1, 1, dtype=torch.float64)
        each.step()
    for name in ("weights", "average"):
        assert torch.equal(optimizer.matrices[name], resumed.matrices[name])


def test_clipping_is_torchs_member_by_member() -> None:
    scale = torch.tensor([1, 0.01]).view(2, 1, 1)  # the second member's norm stays below the bound
    stacked = [scale * torch.randn(2, 3, 3), scale * torch.randn(2, 1, 3)]
    alone = [[nn.Parameter(each[member].clone()) for each in stacked] for member in range(2)]
    for parameters in alone:
        for parameter in parameters:
            parameter.grad = parameter.detach().clone()
        nn.utils.clip_grad_norm_(parameters, 0.5)
    clip_by_member(stacked, 0.5)
    for member, parameters in enumerate(alone):
        expected = [parameter.grad for parameter in parameters]
        torch.testing.assert_close([each[member] for each in stacked], expected, rtol=1e-5, atol=0)


def steps_of(
    parameters: nn.Module, settings: Sequence[Any], steps: int, factors: Tensor | None = None
) -> MemberOptimizer:
    """An optimizer with the factors of a schedule for so many steps; left out, these are 1."""
    optimizer = MemberOptimizer(parameters, [each.optimizer for each in settings])
    ones = torch.ones(1, steps, len(settings), dtype=torch.float64)
    optimizer.set_factors(ones if factors is None else factors)
    return optimizer
