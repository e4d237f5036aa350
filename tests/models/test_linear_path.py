import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor

from mlplab.models.linear_path import PENALTIES, LinearPath, Solution, logistic, ridge
from mlplab.models.preprocessing import Inputs


def drawn(rows: int = 60, noise: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    source = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 3, generator=source).double() * torch.tensor([1.0, 100, 0.01]) + 5
    y = x @ torch.tensor([[1.0, -1], [0.02, 0], [-100, 3]]).double()
    y += noise * torch.randn(rows, 2, generator=source)
    return x, y, torch.randint(1, 4, (rows, 1), generator=source).double()


def inputs(x: Tensor, members: int = 2) -> Inputs:
    columns = x[None].expand(members, -1, -1)
    return Inputs(columns, columns, [], torch.empty(members, len(x), 0, dtype=torch.int64))


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
            fits.append(Ridge(alpha=penalty * len(x)).fit(z, target, sizes).predict(z))
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


def test_ridge_of_more_columns_than_rows_is_not_exact_and_rows_of_weight_0_do_not_count() -> None:
    source = torch.Generator().manual_seed(0)
    x, y = torch.randn(50, 100, generator=source).double(), torch.randn(50, 1, generator=source).double()
    ones = torch.ones(50, 1).double()
    solution = ridge(x, y, ones)
    assert solution.residual.item() == 0
    assert (x @ solution.weight + solution.bias - y).std() > 0.3 * y.std()
    more = ridge(torch.cat([x, 9 * x]), torch.cat([y, -y]), torch.cat([ones, 0 * ones]))
    for one, other in zip(solution, more, strict=True):
        torch.testing.assert_close(one, other)


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
    model = LogisticRegression(tol=1e-8, max_iter=1000).fit(z, classes[:, 0].numpy(), sizes)
    logits = predicted(x, logistic(3, x, classes.double(), weight))
    probabilities = torch.from_numpy(model.predict_proba(z))
    torch.testing.assert_close(logits.softmax(1), probabilities, rtol=1e-3, atol=1e-4)
