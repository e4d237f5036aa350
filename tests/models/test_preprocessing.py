import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from contracts import assert_member_independent
from torch import Tensor

from mlplab import config
from mlplab.models import FeatureLayout, Linear, Network, NetworkPlan, Preprocessing
from mlplab.models.network import build_network
from mlplab.onnx.preprocessing import encoded_codes

NAN = math.nan
LAYOUT = FeatureLayout((0, 3, 0, 5, 2), (True, True, False, False, False))
NUMBERS = FeatureLayout((0, 0, 0), (False, False, False))
NAMES = ("standard", "robust_clip", "quantile", "none")
SEEDS = [3, 4]


def section(name: str = "standard", **changes: object) -> config.Preprocessing:
    settings = {"name": name, "target": "standard", "one_hot_max_categories": 4, "embedding_dim": 2}
    return config.Preprocessing.model_validate(settings | {"clip_predictions": False} | changes)


def row(*members: list[float]) -> Tensor:
    return torch.tensor(members, dtype=torch.float64).unsqueeze(1)


def numbers(*columns: list[float]) -> dict[str, Tensor]:
    """Statistics of columns of numbers, for one member."""
    values = torch.tensor(columns, dtype=torch.float64).T.unsqueeze(0)
    std = values.std(1, correction=0, keepdim=True)
    shares = {"minimum": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "maximum": 1.0}
    return {name: values.quantile(share, 1, keepdim=True) for name, share in shares.items()} | {
        "mean": values.mean(1, keepdim=True),
        "std": torch.where(std > 0, std, 1),
        "quantiles": values.sort(1).values,
        "quantile_count": torch.full((1, 1, len(columns)), values.shape[1], dtype=torch.float64),
        "mode": torch.zeros(1, 1, len(columns), dtype=torch.float64),
        "present": torch.zeros(1, 1, 0, dtype=torch.bool),
        "y_mean": row([2]),
        "y_std": row([4]),
    }


def mixed() -> dict[str, Tensor]:
    """Statistics of two members for `LAYOUT`."""
    # of feature 1, of 3, of 4
    present = [1, 0, 1, *(0, 1, 0, 1, 1), 1, 1], [1, 1, 1, *(0, 1, 0, 0, 0), 0, 1]
    others = {name: torch.cat([one, 2 * one]) for name, one in numbers(*[[*range(-9, 11, 2)]] * 5).items()}
    return others | {
        "mean": row([1, 0, -1, 0, 0], [2, 0, 0, 0, 0]),
        "std": row([2, 1, 4, 1, 1], [1, 1, 3, 1, 1]),
        "median": row([0.5, 0, -2, 0, 0], [3, 0, 0, 0, 0]),
        "mode": row([0, 2, 0, 4, 0], [0, 0, 0, 1, 1]),
        "quantile_count": row([10] * 5, [9] * 5),
        "present": torch.tensor(present, dtype=torch.bool).unsqueeze(1),
    }


def build(name: str = "standard", dtype: torch.dtype = torch.float32) -> Preprocessing:
    return made(section(name), mixed(), dtype, LAYOUT, SEEDS)


def rows() -> Tensor:
    source, sizes = torch.Generator().manual_seed(0), torch.tensor(LAYOUT.category_counts)
    codes = (torch.rand(2, 37, 5, generator=source) * sizes).floor()
    x = torch.where(sizes > 0, codes, 3 * torch.randn(2, 37, 5, generator=source))
    x[..., :2][torch.rand(2, 37, 2, generator=source) < 0.3] = NAN
    return x


def columns_of(preprocessing: Preprocessing, x: Tensor) -> Tensor:
    return preprocessing.with_embeddings(preprocessing(x))


@pytest.mark.parametrize("feature", [feature for feature, size in enumerate(LAYOUT.category_counts) if size])
def test_a_table_of_codes_has_the_columns_of_its_feature_alone(feature: int) -> None:
    preprocessing, size = build(), LAYOUT.category_counts[feature]
    table, _, known = encoded_codes(preprocessing, preprocessing.category_encoder, feature)
    x = torch.zeros(2, size + 1, 5)
    x[..., feature] = torch.tensor([*range(size), NAN])
    own = [place for place, source in enumerate(preprocessing.columns) if source == feature]
    assert torch.equal(table, columns_of(preprocessing, preprocessing.impute(x))[..., own])
    assert not known[:, -1].any()


def test_a_network_that_is_to_be_loaded_draws_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "uniform_", None)
    model = config.Linear(name="linear", preprocessing=section())
    plan = NetworkPlan([model], [0], NUMBERS, torch.float64, None)
    assert build_network(plan).state_dict()
    with pytest.raises(TypeError):
        build_network(replace(plan, statistics=numbers([1, 2], [3, 4], [5, 6])))


def test_standard_subtracts_the_mean_and_divides_by_the_standard_deviation() -> None:
    x, statistics = torch.randn(1, 7, 3).double(), numbers([1, 2, 6], [4, 4, 4], [0, 5, -1])
    expected = (x - statistics["mean"]) / statistics["std"]
    assert torch.equal(columns_of(made(section(), statistics), x), expected)
    raw = made(section("none", target="none"), statistics)
    assert columns_of(raw, x) is x
    assert raw.target_transform.inverse_transform(x[..., :1]).equal(x[..., :1])


def test_robust_clip_scales_by_quartiles_and_clips_outliers() -> None:
    statistics = numbers([0.0, 1, 2, 3, 4], [0.0, 0, 0, 0, 8], [7.0] * 5)
    x = torch.tensor([[[4.0, 8, 7], [2, 0, 9], [1e30, -1e30, 0]]])
    found = columns_of(made(section("robust_clip"), statistics, torch.float32), x)
    first = [z / (1 + (z / 3) ** 2) ** 0.5 for z in ((4 - 2) / 2, 2 * 8 / 8, 0)]
    torch.testing.assert_close(found[0], torch.tensor([first, [0, 0, 0], [3, -3, 0]]))


def test_quantile_makes_numbers_normal_by_their_rank() -> None:
    x = torch.tensor([[[1.0, 0, 7], [2.5, 5, 7], [-3, 10, 7], [4, -1, 9]]]).double()
    found = columns_of(made(section("quantile"), numbers([0.0, 1, 2, 3, 4], [0.0, 0, 0, 1, 9], [7.0] * 5)), x)
    shares = torch.tensor([[0.25, 0.25], [0.625, 0.875]]).double()  # of three equal ones, the middle
    torch.testing.assert_close(found[0, :2, :2], torch.distributions.Normal(0, 1).icdf(shares))
    assert found[0, 2:, :2].tolist() == [[-5.2, 5.2], [5.2, -5.2]]
    assert found[0, :3, 2].tolist() == [0, 0, 0]


def test_missing_and_unseen_values_are_imputed_and_indicated() -> None:
    preprocessing = build()
    assert preprocessing.width == 2 + 2 + 5 + 2
    member = [[3.0, 2, 3, 4, 0], [NAN, NAN, -1, 0, 1], [1, 1, -1, 2, 1]]
    found = columns_of(preprocessing, torch.tensor([member, member]))
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
    weight = preprocessing.category_encoder.weight
    assert weight.shape == (2, 5, 2)
    assert torch.equal(found[0, :, 9:], weight[0, 4].expand(3, 2))  # 0 and 2 do not occur in training
    assert torch.equal(found[1, :, 9:], weight[1, 1].expand(3, 2))


@pytest.mark.parametrize("name", NAMES)
def test_impute_handles_what_transform_does_not(name: str) -> None:
    preprocessing = build(name)
    x = torch.full((2, 1, 5), NAN)
    imputed = preprocessing.impute(x)
    assert imputed.isnan()[0, 0].tolist() == [True, True, False, True, False]  # the fourth has embeddings
    assert imputed[:, 0, [2, 4]].tolist() == [[-2, 0], [0, 1]]
    assert columns_of(preprocessing, imputed).isfinite().all()
    assert preprocessing.impute(imputed).isnan().equal(imputed.isnan())
    assert Network(preprocessing, Linear(preprocessing.width, 1, SEEDS))(x).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_a_member_does_not_depend_on_the_others(name: str) -> None:
    x = rows()
    slopes = torch.randn(2, 37, 11, generator=torch.Generator().manual_seed(1))

    def compute(members: list[int]) -> dict[str, Tensor]:
        statistics = {key: values[members] for key, values in mixed().items()}
        seeds = [SEEDS[each] for each in members]
        preprocessing = made(section(name), statistics, torch.float32, LAYOUT, seeds)
        imputed, weight = preprocessing.impute(x[members]), preprocessing.category_encoder.weight
        transformed = columns_of(preprocessing, x[members])
        (transformed * slopes[members]).sum().backward()
        assert all(gradient.any() for gradient in weight.grad)
        return {"inputs": transformed, "embeddings": weight, "gradient": weight.grad, "imputed": imputed}

    assert_member_independent(compute, 2)


@pytest.mark.parametrize("name", ["standard", "robust_clip", "quantile"])
def test_a_shifted_member_takes_columns_with_another_centre(name: str) -> None:
    preprocessing, x = build(name, dtype=torch.float64), rows().double()
    before, offset = columns_of(preprocessing, x), torch.tensor([5.0, 0, -3, 0, 0]).double()
    preprocessing.shift(1, offset)
    torch.testing.assert_close(columns_of(preprocessing, torch.stack([x[0], x[1] + offset])), before)


def made(
    preprocessing: config.Preprocessing,
    statistics: dict[str, Tensor] | None,
    dtype: torch.dtype = torch.float64,
    layout: FeatureLayout = NUMBERS,
    seeds: Sequence[int] = (0,),
) -> Preprocessing:
    models = [config.Linear(name="linear", preprocessing=preprocessing)] * len(seeds)
    return Preprocessing(NetworkPlan(models, seeds, layout, dtype, statistics))
