import torch
from contracts import assert_member_independent

from mlplab.models.class_probabilities import ClassProbabilities

LOGITS = 3 * torch.randn(3, 7, 4, generator=torch.Generator().manual_seed(0))
Y = (torch.arange(21) % 4).reshape(3, 7, 1).double()
WEIGHT = torch.rand(3, 7, 1, generator=torch.Generator().manual_seed(1))
OF_CLASSES = torch.rand(3, 1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
TEMPERATURES = torch.tensor([1, 0.5, 3], dtype=torch.float64).reshape(3, 1, 1)


def built(members: list[int], *, weighted: bool = True) -> ClassProbabilities:
    of_classes = OF_CLASSES[members] if weighted else None
    transform = ClassProbabilities(4, len(members), torch.float32, of_classes)
    transform.temperature.copy_(TEMPERATURES[members])
    return transform


def test_probabilities_are_the_softmax_at_each_members_temperature() -> None:
    transform = built([0, 1, 2])
    found = transform.inverse_transform(LOGITS)
    for member, temperature in enumerate((1, 0.5, 3)):
        expected = torch.softmax(LOGITS[member].double() / temperature, 1)
        torch.testing.assert_close(found[member], expected)
    torch.testing.assert_close(transform.log_probabilities(LOGITS).exp(), found)
    assert found.argmax(2).equal(LOGITS.argmax(2))


def test_a_new_one_has_temperature_1_and_outputs_for_each_class() -> None:
    transform = ClassProbabilities(4, 2, torch.float32, None)
    assert (transform.outputs, transform.temperature.tolist()) == (4, [[[1.0]], [[1.0]]])


def test_improbable_classes_keep_their_logarithm() -> None:
    far = torch.tensor([[[0.0, 1e4]]])
    transform = ClassProbabilities(2, 1, torch.float32, None)
    assert transform.inverse_transform(far).tolist() == [[[0, 1]]]
    assert transform.log_probabilities(far).tolist() == [[[-1e4, 0]]]


def test_rows_have_the_weight_of_their_class_times_their_own() -> None:
    expected = torch.stack([OF_CLASSES[member, 0, Y[member, :, 0].long()] for member in range(3)])
    weighted, plain = built([0, 1, 2]), built([0, 1, 2], weighted=False)
    assert torch.equal(weighted.loss_weight(Y, None), expected.unsqueeze(2))
    assert torch.equal(weighted.loss_weight(Y, WEIGHT), WEIGHT * expected.unsqueeze(2))
    assert plain.loss_weight(Y, WEIGHT) is WEIGHT
    assert plain.loss_weight(Y, None) is None
    assert weighted.transform(Y).dtype == torch.float32


def test_a_member_does_not_depend_on_the_others() -> None:
    def compute(members: list[int]) -> dict[str, torch.Tensor]:
        transform = built(members)
        weight = transform.loss_weight(Y[members], WEIGHT[members])
        assert weight is not None
        return {
            "probabilities": transform.inverse_transform(LOGITS[members]),
            "logarithms": transform.log_probabilities(LOGITS[members]),
            "weights": weight,
        }

    assert_member_independent(compute, 3)
