import pytest
import torch
from torch import nn

from mlplab.models import MLP

X = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))


def mlp(**changes: object) -> MLP:
    settings = {
        "hidden": [8, 8],
        "activation": "relu",
        "dropout": [0.0, 0.0],
        "norm": "none",
        "residual": False,
        "seeds": [0, 1],
    }
    return MLP(3, 1, **(settings | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("activation", ["relu", "mish", "tanh"])
@pytest.mark.parametrize("hidden", [[], [4], [8, 5, 8]])
def test_a_member_is_a_network_of_torchs_layers(hidden: list[int], activation: str) -> None:
    stack = mlp(hidden=hidden, activation=activation)
    linears = [layer.linear for layer in stack.hidden] + [stack.output]
    for member in range(2):
        x = X[member]
        for index, layer in enumerate(linears):
            x = nn.functional.linear(x, layer.weight[member].T, layer.bias[member, 0])
            x = getattr(nn.functional, activation)(x) if index < len(hidden) else x
        torch.testing.assert_close(stack(X)[member], x)


def test_periodic_features_are_cosines_of_the_numeric_columns() -> None:
    stack = mlp(numbers=2, periodic_features=3)
    layer = stack.periodic
    assert layer is not None
    expected = [X]
    for number in range(2):
        for count in range(3):
            turns = X[..., number] * layer.weight[:, number, count, None] + layer.bias[:, number, count, None]
            expected.append((2 / 3) ** 0.5 * torch.cos(2 * torch.pi * turns).unsqueeze(2))
    torch.testing.assert_close(layer(X), torch.cat(expected, 2))
    assert stack.hidden[0].linear.weight.shape == (2, 3 + 6, 8)
    for without in ({"periodic_features": 3}, {"numbers": 2}):
        assert mlp(**without).periodic is None


def test_residual_adds_the_input_between_equal_widths() -> None:
    stack = mlp(hidden=[8, 8, 4], residual=True)
    assert [layer.residual for layer in stack.hidden] == [False, True, False]
    layer = stack.hidden[1]
    x = torch.randn(2, 5, 8)
    torch.testing.assert_close(layer(x), x + torch.relu(layer.linear(x)))


def test_no_gradient_crosses_members() -> None:
    stack = mlp(norm="batch")
    stack(X)[0].sum().backward()
    for parameter in stack.parameters():
        assert parameter.grad is not None
        assert not parameter.grad[1].any()
    assert stack.output.weight.grad is not None
    assert stack.output.weight.grad[0].any()
