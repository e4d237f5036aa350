import io
import math

import pytest
import torch
from contracts import assert_member_independent
from torch import Tensor

from mlplab import config
from mlplab.models import FeatureLayout, Linear, Network, NetworkPlan, Preprocessing

NAN = math.nan
LAYOUT = FeatureLayout((0, 3, 0, 5, 2), (True, True, False, False, False))
NUMBERS = FeatureLayout((0, 0, 0), (False, False, False))
NAMES = ("standard", "robust_clip", "quantile", "none")
SEEDS = [3, 4]


def section(name: str = "standard", **changes: object) -> config.Preprocessing:
    settings = {"name": name, "target": "standard", "one_hot_max_categories": 4, "embedding_dim": 2}
    settings |= {"clip_predictions": False}
    return config.Preprocessing.model_validate(settings | changes)


def row(*members: list[float]) -> Tensor:
    return torch.tensor(members, dtype=torch.float64).unsqueeze(1)


def numbers(*columns: list[float]) -> dict[str, Tensor]:
    """Statistics of columns of numbers, for one member."""
    values = torch.tensor(columns, dtype=torch.float64).T.unsqueeze(0)
    std = values.std(1, correction=0, keepdim=True)
    return {
        "mean": values.mean(1, keepdim=True),
        "std": torch.where(std > 0, std, 1),
        "median": values.median(1, keepdim=True).values,
        "q25": values.quantile(0.25, 1, keepdim=True),
        "q75": values.quantile(0.75, 1, keepdim=True),
        "minimum": values.amin(1, keepdim=True),
        "maximum": values.amax(1, keepdim=True),
        "quantiles": values.sort(1).values,
        "quantile_count": torch.full((1, 1, len(columns)), values.shape[1], dtype=torch.float64),
        "mode": torch.zeros(1, 1, len(columns), dtype=torch.float64),
        "present": torch.zeros(1, 1, 0, dtype=torch.bool),
        "y_mean": row([2]),
        "y_std": row([4]),
    }


def mixed() -> dict[str, Tensor]:
    """Statistics of two members for `LAYOUT`."""
    return {
        "mean": row([1, 0, -1, 0, 0], [2, 0, 0, 0, 0]),
        "std": row([2, 1, 4, 1, 1], [1, 1, 3, 1, 1]),
        "median": row([0.5, 0, -2, 0, 0], [3, 0, 0, 0, 0]),
        "q25": row([0, 0, -3, 0, 0], [2, 0, 1, 0, 0]),
        "q75": row([2, 0, -1, 0, 0], [4, 0, 1, 0, 0]),
        "minimum": row([-9, 0, -9, 0, 0], [0, 0, 0, 0, 0]),
        "maximum": row([9, 0, 9, 0, 0], [5, 0, 9, 0, 0]),
        "quantiles": torch.linspace(-9, 9, 10).double().view(1, -1, 1).repeat(2, 1, 5),
        "quantile_count": row([10] * 5, [10] * 5),
        "mode": row([0, 2, 0, 4, 0], [0, 0, 0, 1, 1]),
        # of feature 1, of 3, of 4
        "present": torch.tensor(
            [[[1, 0, 1, *(0, 1, 0, 1, 1), 1, 1]], [[1, 1, 1, *(0, 1, 0, 0, 0), 0, 1]]], dtype=torch.bool
        ),
        "y_mean": row([1], [2]),
        "y_std": row([3], [4]),
    }


def plan(
    preprocessing: config.Preprocessing,
    layout: FeatureLayout,
    seeds: list[int],
    dtype: torch.dtype,
    statistics: dict[str, Tensor] | None = None,
) -> NetworkPlan:
    models = [config.Linear(name="linear", preprocessing=preprocessing)] * len(seeds)
    return NetworkPlan(models, seeds, layout, dtype, statistics)


def build(
    name: str = "standard",
    statistics: dict[str, Tensor] | None = None,
    dtype: torch.dtype = torch.float32,
    **changes: object,
) -> Preprocessing:
    return Preprocessing(plan(section(name, **changes), LAYOUT, SEEDS, dtype, statistics or mixed()))


def rows(members: int = 2, count: int = 37) -> Tensor:
    source = torch.Generator().manual_seed(0)
    columns = [
        torch.randint(size, (members, count), generator=source).float()
        if size
        else 3 * torch.randn(members, count, generator=source)
        for size in LAYOUT.category_counts
    ]
    x = torch.stack(columns, 2)
    x[..., :2][torch.rand(members, count, 2, generator=source) < 0.3] = NAN
    return x


def of_numbers(name: str, *columns: list[float], dtype: torch.dtype = torch.float64) -> Preprocessing:
    return Preprocessing(plan(section(name), NUMBERS, [0], dtype, numbers(*columns)))


def columns_of(preprocessing: Preprocessing, x: Tensor) -> Tensor:
    return preprocessing.with_embeddings(preprocessing(x))


def test_standard_subtracts_the_mean_and_divides_by_the_standard_deviation() -> None:
    columns, x = ([1, 2, 6], [4, 4, 4], [0, 5, -1]), torch.randn(1, 7, 3).double()
    statistics = numbers(*columns)
    expected = (x - statistics["mean"]) / statistics["std"]
    assert torch.equal(columns_of(of_numbers("standard", *columns), x), expected)
    raw = Preprocessing(plan(section("none", target="none"), NUMBERS, [0], torch.float64, statistics))
    assert columns_of(raw, x) is x
    assert raw.target_transform.inverse_transform(x[..., :1]).equal(x[..., :1])


def test_robust_clip_scales_by_quartiles_and_clips_outliers() -> None:
    columns = [0.0, 1, 2, 3, 4], [0.0, 0, 0, 0, 8], [7.0] * 5
    preprocessing = of_numbers("robust_clip", *columns, dtype=torch.float32)
    found = columns_of(preprocessing, torch.tensor([[[4.0, 8, 7], [2, 0, 9], [1e30, -1e30, 0]]]))
    z1, z2 = (4 - 2) / 2, 2 * 8 / 8
    expected = [[z1 / (1 + (z1 / 3) ** 2) ** 0.5, z2 / (1 + (z2 / 3) ** 2) ** 0.5, 0], [0, 0, 0], [3, -3, 0]]
    torch.testing.assert_close(found[0], torch.tensor(expected))


def test_quantile_makes_numbers_normal_by_their_rank() -> None:
    columns = [0.0, 1, 2, 3, 4], [0.0, 0, 0, 1, 9], [7.0] * 5
    preprocessing = of_numbers("quantile", *columns)
    found = columns_of(
        preprocessing, torch.tensor([[[1.0, 0, 7], [2.5, 5, 7], [-3, 10, 7], [4, -1, 9]]]).double()
    )
    normal = torch.distributions.Normal(0, 1)
    shares = torch.tensor([[0.25, 0.25], [0.625, 0.875]]).double()  # of three equal ones, the middle
    torch.testing.assert_close(found[0, :2, :2], normal.icdf(shares))
    assert found[0, 2:, :2].tolist() == [[-5.2, 5.2], [5.2, -5.2]]
    assert found[0, :3, 2].tolist() == [0, 0, 0]


def test_missing_and_unseen_values_are_imputed_and_indicated() -> None:
    preprocessing = build()
    assert preprocessing.width == 2 + 2 + 5 + 2
    member = [[3.0, 2, 3, 4, 0], [NAN, NAN, -1, 0, 1], [1, 1, -1, 2, 1]]
    x = torch.tensor([member, member])
    found = columns_of(preprocessing, x)
    assert found[0, :, :9].tolist() == [
        # numbers, indicators, category of feature 1, of feature 4
        [1, 1, 0, 0, 0, 0, 1, 1, 0],
        [-0.25, 0, 1, 1, 0, 0, 1, 0, 1],  # the median 0.5; the mode 2
        [0, 0, 0, 1, 0, 0, 1, 0, 1],  # 1 does not occur in training: as if it were missing
    ]
    assert found[1, :, 2:9].tolist() == [
        [0, 0, 0, 0, 1, 0, 1],  # of feature 4 only 1 occurs in training
        [1, 1, 1, 0, 0, 0, 1],
        [0, 0, 0, 1, 0, 0, 1],
    ]
    assert preprocessing.category_encoder is not None
    weight = preprocessing.category_encoder.weight
    assert weight is not None
    assert weight.shape == (2, 5, 2)
    assert torch.equal(found[0, :, 9:], weight[0, 4].expand(3, 2))  # 0 and 2 do not occur in training
    assert torch.equal(found[1, :, 9:], weight[1, 1].expand(3, 2))


@pytest.mark.parametrize("name", NAMES)
def test_impute_handles_what_transform_does_not(name: str) -> None:
    preprocessing = build(name)
    x = torch.full((2, 1, 5), NAN)
    imputed = preprocessing.impute(x)
    assert imputed.isnan()[0, 0].tolist() == [True, True, False, False, False]
    assert imputed[:, 0, 2:].tolist() == [[-2, 4, 0], [0, 1, 1]]
    assert columns_of(preprocessing, imputed).isfinite().all()
    assert preprocessing.impute(imputed).isnan().equal(imputed.isnan())
    body = Linear(preprocessing.width, 1, SEEDS)
    assert Network(preprocessing, body)(x).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, 37])
def test_a_member_does_not_depend_on_the_others(name: str, count: int) -> None:
    x = rows(count=count)
    slopes = torch.randn(2, count, 11, generator=torch.Generator().manual_seed(1))

    def compute(members: list[int]) -> dict[str, Tensor]:
        statistics = {key: values[members] for key, values in mixed().items()}
        seeds = [SEEDS[member] for member in members]
        preprocessing = Preprocessing(plan(section(name), LAYOUT, seeds, torch.float32, statistics))
        transformed = columns_of(preprocessing, x[members])
        (transformed * slopes[members]).sum().backward()
        assert preprocessing.category_encoder is not None
        weight = preprocessing.category_encoder.weight
        assert weight is not None
        assert weight.grad is not None
        assert all(gradient.any() for gradient in weight.grad)
        return {
            "inputs": transformed,
            "imputed": preprocessing.impute(x[members]),
            "embeddings": weight,
            "gradient": weight.grad,
        }

    assert_member_independent(compute, 2)


@pytest.mark.parametrize("name", NAMES)
def test_a_members_part_of_the_state_is_a_preprocessing(name: str) -> None:
    stack, x = build(name, target="log"), rows()
    file = io.BytesIO()
    torch.save(stack.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert all(tensor.dim() == 3 and len(tensor) == 2 for tensor in state.values())
    for member in (0, 1):
        one = slice(member, member + 1)
        alone = Preprocessing(plan(section(name, target="log"), LAYOUT, [9], torch.float32))
        alone.load_state_dict({key: tensor[one] for key, tensor in state.items()})
        assert torch.equal(columns_of(alone, x[one]), columns_of(stack, x)[one])
        assert torch.equal(alone.impute(x[one]).nan_to_num(), stack.impute(x)[one].nan_to_num())
        z, transforms = torch.randn(2, 5, 1), (alone.target_transform, stack.target_transform)
        assert torch.equal(transforms[0].inverse_transform(z[one]), transforms[1].inverse_transform(z)[one])


@pytest.mark.parametrize("name", ["standard", "robust_clip", "quantile"])
def test_a_shifted_member_takes_columns_with_another_centre(name: str) -> None:
    preprocessing, x = build(name, dtype=torch.float64), rows().double()
    before = columns_of(preprocessing, x)
    offset = torch.tensor([5.0, 0, -3, 0, 0], dtype=torch.float64)
    preprocessing.shift(1, offset)
    after = columns_of(preprocessing, torch.stack([x[0], x[1] + offset]))
    torch.testing.assert_close(after, before)
