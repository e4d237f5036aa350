import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import class_probabilities, config

from mlplab.config import Linear
from mlplab.models import FeatureLayout, NetworkPlan
from mlplab.models.targets import TargetScaling

LIMITS = torch.tensor([[1.0, 2], [3, 1e300]], dtype=torch.float64).view(2, 2, 1, 1)


def target_scaling(name: str, *, clip: bool = False) -> TargetScaling:
    """Of two members with the means 1 and 2, and the standard deviations 3 and 4."""
    keys = f"model.preprocessing.target={name}", f"model.preprocessing.clip_predictions={str(clip).lower()}"
    mean, std = torch.tensor([[1.0, 2], [3, 4]], dtype=torch.float64).view(2, 2, 1, 1)
    statistics = {"y_mean": mean, "y_std": std, "y_minimum": LIMITS[0], "y_maximum": LIMITS[1]}
    model = Linear(name="linear", preprocessing=config(*keys).model.preprocessing)
    return TargetScaling(NetworkPlan([model], [0, 1], FeatureLayout((), ()), torch.float64, statistics))


def test_probabilities_are_the_softmax_at_each_members_temperature() -> None:
    transform, logits = class_probabilities(4, 3), 3 * torch.randn(3, 7, 4)
    for member, temperature in enumerate((1, 0.5, 3)):
        transform.temperature[member] *= temperature
        found, expected = transform.inverse_transform(logits), torch.softmax(logits.double() / temperature, 2)
        torch.testing.assert_close(found[member], expected[member])
    torch.testing.assert_close(transform.scored(logits).exp(), found)
    far, transform = torch.tensor([[[0.0, 1e4]]]), class_probabilities(2, 1)
    assert transform.inverse_transform(far).tolist() == [[[0, 1]]]
    assert transform.scored(far).tolist() == [[[-1e4, 0]]]


def test_rows_have_the_weight_of_their_class_times_their_own() -> None:
    class_weights, weight = torch.rand(3, 1, 4, dtype=torch.float64), torch.rand(3, 7, 1)
    y = (torch.arange(21) % 4).reshape(3, 7, 1).double()
    expected = class_weights.mT.gather(1, y.long())
    weighted, plain = class_probabilities(4, 3, class_weight=class_weights), class_probabilities(4, 3)
    assert torch.equal(weighted.loss_weight(y, None), expected)
    assert torch.equal(weighted.loss_weight(y, weight), weight * expected)
    assert plain.loss_weight(y, weight) is weight
    assert plain.loss_weight(y, None) is None


@pytest.mark.parametrize("name", ["standard", "log", "none"])
@settings(max_examples=10)
@given(values=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=9))
def test_the_inverse_undoes_the_scaling_of_targets(name: str, values: list[float]) -> None:
    scaling = target_scaling(name)
    y = torch.tensor(values, dtype=torch.float64).view(1, -1, 1).repeat(2, 1, 1)
    z = scaling.transform(y)
    expected = {"standard": (y[0] - 1) / 3, "log": (y[0].log() - 1) / 3, "none": y[0]}[name]
    torch.testing.assert_close(z[0], expected)
    torch.testing.assert_close(scaling.inverse_transform(z), y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["standard", "log", "none"])
def test_predictions_stay_within_the_limits_of_their_member_and_the_loss_sees_all(name: str) -> None:
    limited, free = (target_scaling(name, clip=clip) for clip in (True, False))
    z = torch.linspace(-50, 50, 99, dtype=torch.float64).view(1, -1, 1).repeat(2, 1, 1)
    found = limited.inverse_transform(z)
    assert torch.equal(found, free.inverse_transform(z).clamp(*LIMITS))
    assert torch.equal(limited.scored(z), found)
    y = torch.full_like(z, 1e3)
    assert torch.equal(limited.transform(y), free.transform(y))
    assert free.state_dict().keys() == {"mean", "std"}  # as in checkpoints of runs without the key
