"""The temperatures of a stack, chosen on each member's validation rows."""

from collections.abc import Sequence

import pytest
import torch
from contracts import assert_member_independent
from support import config

from mlplab.data.loader import Loader
from mlplab.models import FeatureLayout, Linear, Network, build_preprocessing
from mlplab.training.calibration import fit_temperature, temperatures

CLASSES = 3
COUNTS = (150, 19, 90)
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(200, 2, generator=GENERATOR)
ROWS = [torch.randperm(200, generator=GENERATOR)[:count] for count in COUNTS]
WEIGHT = torch.rand(200, 1, generator=GENERATOR)


def network(members: Sequence[int]) -> Network:
    """Members that are too sure of themselves."""
    section = config("model/preprocessing=none").model.preprocessing
    layout = FeatureLayout((0, 0), (False, False))
    preprocessing = build_preprocessing(section, layout, 1, members, torch.float32, None, CLASSES)
    body = Linear(2, CLASSES, seeds=members)
    with torch.no_grad():
        body.weight.mul_(20)
    return Network(preprocessing, body)


def targets() -> torch.Tensor:
    """Drawn from the first member's probabilities at temperature 5."""
    with torch.no_grad():
        logits = network([0]).forward_scaled(X.unsqueeze(0))[0]
    drawn = torch.multinomial(torch.softmax(logits / 5, 1), 1, generator=torch.Generator().manual_seed(0))
    return drawn.double()


Y = targets()


def chosen(
    members: Sequence[int],
    weight: torch.Tensor | None,
    batch: int = 4096,
    runs: Sequence[Sequence[int]] | None = None,
) -> torch.Tensor:
    loader = Loader(X, Y, [ROWS[member] for member in members], batch, multiple=64, weight=weight)
    rows = [ROWS[member] for member in members]
    return temperatures(network(members), loader, rows, runs or [[place] for place in range(len(members))])


@pytest.mark.parametrize("batch", [4096, 50])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_each_members_temperature_is_that_of_its_own_rows(weight: torch.Tensor | None, batch: int) -> None:
    found = chosen(range(3), weight, batch)
    assert (found.shape, found.dtype) == ((3,), torch.float64)
    for member, rows in enumerate(ROWS):
        with torch.no_grad():
            logits = network([member]).forward_scaled(X[rows].unsqueeze(0))[0]
        own = None if weight is None else weight[rows, 0]
        assert found[member].item() == pytest.approx(
            fit_temperature(logits, Y[rows, 0].long(), own), rel=1e-5
        )
    assert found[0].item() == pytest.approx(5, rel=0.3)


def test_the_members_of_a_run_share_a_temperature_of_all_their_rows() -> None:
    with torch.no_grad():
        logits = [network([member]).forward_scaled(X[ROWS[member]].unsqueeze(0))[0] for member in (0, 2)]
    y = torch.cat([Y[ROWS[member], 0] for member in (0, 2)]).long()
    rows = torch.cat([ROWS[0], ROWS[2]])  # some in both
    expected = fit_temperature(torch.cat(logits), y, None, rows)
    assert expected != pytest.approx(fit_temperature(torch.cat(logits), y, None), rel=1e-4)
    found = chosen(range(3), None, runs=[[0, 2], [1]])
    assert found[0].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_a_member_does_not_depend_on_the_others(weight: torch.Tensor | None) -> None:
    assert_member_independent(lambda members: {"temperature": chosen(members, weight)}, 3)
