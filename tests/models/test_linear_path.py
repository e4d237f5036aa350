import numpy as np
import pytest
import torch
from sklearn import linear_model
from torch import Tensor

from mlplab.models.linear_models import PENALTIES, Embedded, Ridge, Solution, logistic, mixed
from mlplab.models.linear_path import LinearPath
from mlplab.models.preprocessing import Inputs


def ridge(x: Tensor, y: Tensor, weight: Tensor) -> Solution:
    return Ridge(x, weight).fit(y)


def drawn(rows: int = 60, noise: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    source = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 3, generator=source).double() * torch.tensor([1.0, 100, 0.01]) + 5
    y = x @ torch.tensor([[1.0, -1], [0.02, 0], [-100, 3]]).double()
    y += noise * torch.randn(rows, 2, generator=source)
    return x, y, torch.randint(1, 4, (rows, 1), generator=source).double()


def inputs(x: Tensor, members: int = 2) -> Inputs:
    columns = x[None].expand(members, -1, -1)
    none = torch.empty(members, len(x), 0, dtype=torch.int64)
    return Inputs(columns, columns, [], none, none.bool())


def predicted(x: Tensor, solution: Solution) -> Tensor:
    """Also with all columns and the linear model shifted."""
    path, shifted = (LinearPath(3, len(solution.bias), 2) for _ in range(2))
    for each in (path, shifted):
        each.set(1, solution)
    offset = torch.tensor([3.0, -2, 1]).double()
    shifted.shift(1, offset)
    torch.testing.assert_close(shifted(inputs(x + offset)), path(inputs(x)))
    return path(inputs(x))[1]


def test_ridge_has_the_penalty_with_the_lowest_generalised_cross_validation_score() -> None:
    x, y, weight = drawn()
    rows = x.repeat_interleave(weight[:, 0].long(), 0)  # a weight of 2 equals two rows, but counts as one
    z = ((x - rows.mean(0)) / rows.std(0, correction=0)).numpy()
    sizes, wanted = (weight / weight.mean())[:, 0].numpy(), []
    root = np.sqrt(sizes / len(x))[:, None] * z
    for target in y.T.numpy():
        scores, fits = [], []
        for penalty in PENALTIES.tolist():
            fits.append(linear_model.Ridge(alpha=penalty * len(x)).fit(z, target, sizes).predict(z))
            kept = np.trace(root @ np.linalg.solve(root.T @ root + penalty * np.eye(3), root.T))
            left_over = 1 - (1 + kept) / (len(x) / (sizes**2).mean())
            scores.append((sizes * (target - fits[-1]) ** 2).sum() / left_over**2)
        wanted.append(fits[int(np.argmin(scores))])
    solution = ridge(x, y, weight)
    torch.testing.assert_close(predicted(x, solution), torch.from_numpy(np.stack(wanted, 1)))
    lowest, highest = y.amin(0), y.amax(0)
    outliers = predicted(torch.cat([x, -x]) * 1e6, solution)
    torch.testing.assert_close(outliers.amax(0), highest + (highest - lowest))
    torch.testing.assert_close(outliers.amin(0), lowest - (highest - lowest))


def test_ridge_is_exact_where_the_target_is() -> None:
    x, y, weight = drawn(noise=0)
    constant = torch.full((60, 1), 0.1, dtype=torch.float64)
    x = torch.cat([x, x[:, :1], constant], 1)  # a copy and a constant change nothing
    solution = ridge(x, y, weight)
    torch.testing.assert_close(x @ solution.weight + solution.bias, y, rtol=1e-9, atol=1e-9)
    assert solution.weight[4].tolist() == [0, 0]


def test_ridge_of_more_columns_than_rows_is_not_exact() -> None:
    source = torch.Generator().manual_seed(0)
    x, y = torch.randn(50, 100, generator=source).double(), torch.randn(50, 1, generator=source).double()
    solution = ridge(x, y, torch.ones(50, 1).double())
    assert solution.residual.item() == 0
    assert (x @ solution.weight + solution.bias - y).std() > 0.3 * y.std()


def test_the_output_is_a_mixture_of_the_body_and_the_linear_model() -> None:
    for noise, residual in ((0.0, 1), (1e3, 0)):
        x, y, weight = drawn(noise=noise)
        path = LinearPath(3, 2, 1)
        path.set(0, solution := ridge(x, y, weight))
        assert solution.residual.tolist() == [residual] * 2
        z, given = torch.randn(1, 60, 2).double(), inputs(x, 1)
        u = path(given)
        torch.testing.assert_close(path.output(z, given), z + residual * u)
        assert (path.offset(given) is None) == (residual == 0)
        path.share.fill_(0.3)
        torch.testing.assert_close(path.output(z, given), 0.7 * z + max(0.3, residual) * u)


def test_logistic_regression_is_scikit_learns() -> None:
    x, y, weight = drawn()
    limits = y[:, 0].quantile(torch.tensor([0.3, 0.6]).double())
    classes, sizes = torch.bucketize(y[:, :1].contiguous(), limits), (weight / weight.mean())[:, 0].numpy()
    z = x.numpy() - np.average(x, 0, sizes)
    z /= np.sqrt(np.average(z**2, 0, sizes))
    model = linear_model.LogisticRegression(tol=1e-8, max_iter=1000).fit(z, classes[:, 0].numpy(), sizes)
    none = torch.empty(len(x), 0, dtype=torch.int64)
    logits = predicted(x, logistic(3, x, Embedded(none, none.bool(), []), classes.double(), weight))
    probabilities = torch.from_numpy(model.predict_proba(z))
    torch.testing.assert_close(logits.softmax(1), probabilities, rtol=1e-3, atol=1e-4)


def rated(noise: float = 0.5) -> tuple[Embedded, Tensor, Tensor, Tensor]:
    """Ratings of 40 items by 60 users, and the items' effects: generous users rate bad items."""
    source = torch.Generator().manual_seed(0)
    of_user, of_item = (torch.randn(count, 1, generator=source).double() for count in (60, 40))
    user = torch.randint(60, (3000,), generator=source)
    bad_first = of_item[:, 0].argsort()
    place = torch.randint(40, (3000,), generator=source)
    of_group = place // 2 + 20 * (of_user[user, 0] < 0)
    place = torch.where(torch.rand(3000, generator=source) < 0.8, of_group, place)
    numbers = torch.stack([user, 60 + bad_first[place]], 1)
    x = torch.randn(3000, 1, generator=source).double()
    y = 2 * of_user[user] + of_item[numbers[:, 1] - 60] + 3 * x
    y += noise * torch.randn(3000, 1, generator=source)
    return Embedded(numbers, torch.ones_like(numbers).bool(), [60, 40]), of_item, x, y


def test_the_effect_of_an_item_does_not_depend_on_who_rated_it() -> None:
    embedded, of_item, x, y = rated()
    solution = mixed(x, embedded, y, torch.ones_like(y))
    means = torch.stack([y[embedded.numbers[:, 1] == 60 + item].mean(0) for item in range(40)])
    assert torch.corrcoef(torch.cat([solution.weight[61:], of_item], 1).mT)[0, 1] > 0.99
    assert torch.corrcoef(torch.cat([means, of_item], 1).mT)[0, 1] < 0.5
    assert abs(solution.weight[0].item() - 3) < 0.05


def test_effects_are_shrunk_by_noise_and_few_rows() -> None:
    source = torch.Generator().manual_seed(0)
    sizes = torch.tensor([1, 5, 50]).repeat(20)
    numbers = torch.arange(60).repeat_interleave(sizes)[:, None]
    embedded = Embedded(numbers, torch.ones_like(numbers).bool(), [61])
    effects = torch.randn(60, 1, generator=source).double()
    noise = torch.randn(len(numbers), 1, generator=source).double()
    y, x, ones = effects[numbers[:, 0]] + noise, noise.new_empty(len(noise), 0), torch.ones_like(noise)
    found = mixed(x, embedded, y, ones)
    means = torch.zeros(60, 1).double().index_add(0, numbers[:, 0], y - found.bias) / sizes[:, None]
    kept = (found.weight[:60] / means).view(20, 3).mean(0)
    torch.testing.assert_close(kept, torch.tensor([1 / 2, 5 / 6, 50 / 51]).double(), rtol=0.15, atol=0)
    assert found.weight[60] == 0  # of a category without rows
    assert mixed(x, embedded, noise, ones).weight.abs().max() < 0.2
    both = mixed(x, embedded, torch.cat([y, ones], 1), 7 * ones)  # also of a constant, in any unit of weights
    torch.testing.assert_close(both.weight[:, :1], found.weight)
    assert both.weight[:, 1].abs().max() < 1e-9


@pytest.mark.parametrize("rows", [50, 60])
def test_what_cannot_be_told_apart_has_no_effects(rows: int) -> None:
    """Categories of a row each; and cells that are known or not, where no category differs from another."""
    source = torch.Generator().manual_seed(0)
    y, x = torch.randn(rows, 1, generator=source).double(), torch.empty(rows, 0).double()
    single = Embedded(torch.arange(rows)[:, None], torch.ones(rows, 1).bool(), [rows])
    assert mixed(x, single, y, torch.ones_like(y)).weight.abs().max() < 0.01
    known = torch.arange(rows)[:, None] % 2 == 0
    several = Embedded(torch.randint(5, (rows, 1), generator=source), known, [5])
    assert mixed(x, several, 0.1 * y + 10 * ~known, torch.ones_like(y)).weight.std() < 0.1


def test_logistic_regression_of_categories_is_shrunk_as_a_mixed_model_is() -> None:
    embedded, _, x, y = rated(noise=3)
    embedded = Embedded(embedded.numbers[:, 1:] - 60, embedded.known[:, 1:], [40])
    labels, ones = (y > 1).double(), torch.ones_like(y)
    of_classes, of_numbers = logistic(2, x, embedded, labels, ones), mixed(x, embedded, labels, ones)
    p = labels.mean()
    found = (of_classes.weight[1:, 1] - of_classes.weight[1:, 0]) * p * (1 - p)
    ratio = found.std() / of_numbers.weight[1:, 0].std()
    assert 0.8 < ratio < 1.4
    noise = torch.randint(2, y.shape, generator=torch.Generator().manual_seed(1)).double()
    assert logistic(2, x, embedded, noise, ones).weight[1:].abs().max() < 0.1


def test_unknown_categories_have_no_effect_but_in_states_of_earlier_versions() -> None:
    path, x = LinearPath(1, 1, 2, 3), torch.zeros(2, 4, 1)
    numbers = torch.tensor([0, 1, 2, 2])[None, :, None].expand(2, -1, -1)
    known = torch.tensor([True, True, True, False])[None, :, None].expand(2, -1, -1)
    path.category_weight.copy_(torch.tensor([1.0, 2, 3])[:, None])
    path.lowest.fill_(-9)
    path.highest.fill_(9)
    given = Inputs(x, x, [], numbers, known)
    assert path(given)[0, :, 0].tolist() == [1, 2, 3, 0]
    state = path.state_dict()
    del state["mode_for_unknown"]
    old = LinearPath(1, 1, 2, 3)
    old.load_state_dict(dict(state))
    assert old(given)[0, :, 0].tolist() == [1, 2, 3, 3]
    without = LinearPath(1, 1, 2, 3)
    without.load_state_dict(state | {"category_weight": torch.empty(2, 0, 1)})  # as classes had in 1.0
    assert without(given)[0, :, 0].tolist() == [0, 0, 0, 0]
