import pytest
import torch
from contracts import assert_member_independent
from hypothesis import given, settings
from hypothesis import strategies as st
from support import class_probabilities, config

from mlplab.config import Linear
from mlplab.models import FeatureLayout, NetworkPlan
from mlplab.models.targets import ClassProbabilities, TargetScaling

LOGITS = 3 * torch.randn(3, 7, 4, generator=torch.Generator().manual_seed(0))
Y = (torch.arange(21) % 4).reshape(3, 7, 1).double()
WEIGHT = torch.rand(3, 7, 1, generator=torch.Generator().manual_seed(1))
CLASS_WEIGHTS = torch.rand(3, 1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
TEMPERATURES = torch.tensor([1, 0.5, 3], dtype=torch.float64).reshape(3, 1, 1)
LIMITS = torch.tensor([[[[1.0]], [[2]], [[3]]], [[[3]], [[1e300]], [[4]]]], dtype=torch.float64)
MEAN, STD = torch.tensor([[[[1.0]], [[2]], [[3]]], [[[3]], [[4]], [[5]]]], dtype=torch.float64)


def probabilities(members: list[int], *, weighted: bool = True) -> ClassProbabilities:
    class_weights = CLASS_WEIGHTS[members] if weighted else None
    transform = class_probabilities(4, len(members), class_weight=class_weights)
    assert transform.temperature.tolist() == [[[1.0]]] * len(members)
    transform.temperature.copy_(TEMPERATURES[members])
    return transform


def target_scaling(name: str, members: list[int], dtype: torch.dtype, *, clip: bool = False) -> TargetScaling:
    keys = f"model.preprocessing.target={name}", f"model.preprocessing.clip_predictions={str(clip).lower()}"
    values = {"y_mean": MEAN, "y_std": STD, "y_minimum": LIMITS[0], "y_maximum": LIMITS[1]}
    statistics = {key: value[members] for key, value in values.items()}
    model = Linear(name="linear", preprocessing=config(*keys).model.preprocessing)
    return TargetScaling(NetworkPlan([model], members, FeatureLayout((), ()), dtype, statistics))


def test_probabilities_are_the_softmax_at_each_members_temperature() -> None:
    transform = probabilities([0, 1, 2])
    found = transform.inverse_transform(LOGITS)
    for member, temperature in enumerate((1, 0.5, 3)):
        torch.testing.assert_close(found[member], torch.softmax(LOGITS[member].double() / temperature, 1))
    torch.testing.assert_close(transform.scored(LOGITS).exp(), found)
    far = torch.tensor([[[0.0, 1e4]]])
    transform = class_probabilities(2, 1)
    assert transform.inverse_transform(far).tolist() == [[[0, 1]]]
    assert transform.scored(far).tolist() == [[[-1e4, 0]]]


def test_rows_have_the_weight_of_their_class_times_their_own() -> None:
    expected = torch.stack([CLASS_WEIGHTS[member, 0, Y[member, :, 0].long()] for member in range(3)])
    weighted, plain = probabilities([0, 1, 2]), probabilities([0, 1, 2], weighted=False)
    assert torch.equal(weighted.loss_weight(Y, None), expected.unsqueeze(2))
    assert torch.equal(weighted.loss_weight(Y, WEIGHT), WEIGHT * expected.unsqueeze(2))
    assert plain.loss_weight(Y, WEIGHT) is WEIGHT
    assert plain.loss_weight(Y, None) is None
    assert weighted.transform(Y).dtype == torch.float32


@pytest.mark.parametrize("name", ["standard", "log", "none"])
@settings(max_examples=10)
@given(values=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=9))
def test_the_inverse_undoes_the_scaling_of_targets(name: str, values: list[float]) -> None:
    scaling = target_scaling(name, [0, 1], torch.float64)
    y = torch.tensor(values, dtype=torch.float64).view(1, -1, 1).repeat(2, 1, 1)
    z = scaling.transform(y)
    expected = {"standard": (y[0] - 1) / 3, "log": (y[0].log() - 1) / 3, "none": y[0]}[name]
    torch.testing.assert_close(z[0], expected)
    torch.testing.assert_close(scaling.inverse_transform(z), y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["standard", "log", "none"])
def test_predictions_stay_within_the_limits_of_their_member_and_the_loss_sees_all(name: str) -> None:
    limited, free = (target_scaling(name, [0, 1], torch.float64, clip=clip) for clip in (True, False))
    lowest, highest = LIMITS[:, :2]
    z = torch.linspace(-50, 50, 99, dtype=torch.float64).view(1, -1, 1).repeat(2, 1, 1)
    found, expected = limited.inverse_transform(z), free.inverse_transform(z)
    assert torch.equal(found, torch.maximum(torch.minimum(expected, highest), lowest))
    assert torch.equal(limited.scored(z), found)
    assert found.amin(1).flatten().tolist() == [1, 2]
    y = torch.full_like(z, 1e3)
    assert torch.equal(limited.transform(y), free.transform(y))
    assert free.state_dict().keys() == {"mean", "std"}  # as in checkpoints of runs without the key


def test_a_member_does_not_depend_on_the_others() -> None:
    def compute(members: list[int]) -> dict[str, torch.Tensor]:
        transform = probabilities(members)
        scaling = target_scaling("log", members, torch.float32)
        weight = transform.loss_weight(Y[members], WEIGHT[members])
        assert weight is not None
        return {
            "probabilities": transform.inverse_transform(LOGITS[members]),
            "logarithms": transform.scored(LOGITS[members]),
            "weights": weight,
            "targets": scaling.transform(Y[members] + 0.1),
            "predictions": scaling.inverse_transform(LOGITS[members, :, :1]),
        }

    assert_member_independent(compute, 3)
