from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss
from support import config
from threadpoolctl import threadpool_info, threadpool_limits

from mlplab.data.cache import DataCache
from mlplab.data.schema import Column, Schema
from mlplab.data.splits.split import Split
from mlplab.data.splits.splitters import random_split
from mlplab.data.table import Table
from mlplab.runs.baselines import fit_baselines as module
from mlplab.runs.baselines import models
from mlplab.runs.baselines.fit_baselines import MODELS, Baselines, fit_baselines
from mlplab.runs.baselines.models import Chosen, Constant, TrainingData, fit_constant
from mlplab.training.scoring.scores import Scores

NAMES = ("constant", "linear", "boosting")

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(60, 3)) * [1, 10, 0] + [5, 0, 2]
Y = (X @ [1.0, -2.0, 0.0] + 4 + GENERATOR.normal(size=60))[:, None]
ROWS = np.arange(60)
SPLIT = Split(ROWS[:40], ROWS[40:50], ROWS[50:])

# a number, a number with gaps, two categories with gaps, the second of many
CATEGORIES = (0, 0, 3, 100)
MIXED = np.column_stack([X[:, :2], *(GENERATOR.integers(0, most, 60) for most in (3, 4))]).astype(np.float32)
MIXED[::7, 1:] = np.nan
TWO = np.column_stack([Y[:, 0], GENERATOR.normal(size=60)])
CLASS = np.digitize(Y, np.quantile(Y, [1 / 3, 2 / 3])).astype(np.float64)

TASKS = pytest.mark.parametrize(("y", "classes"), [(TWO, 0), (CLASS, 3)])


@pytest.fixture(autouse=True)
def _quick_fits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Few trees where the test is not about them; and waiting threads take seconds from other tests."""
    if "boosting" not in request.node.name:
        monkeypatch.setitem(models.BOOSTING, "max_iter", 30)
    with threadpool_limits(1):
        yield


def data_of(
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None = None,
    split: Split = SPLIT,
    categories: Sequence[int] = CATEGORIES,
    classes: int = 0,
) -> TrainingData:
    columns = tuple(
        Column(f"x{place}", "categorical" if size else "numeric", categories=tuple(map(str, range(size))))
        for place, size in enumerate(categories)
    )
    targets = tuple(f"y{place}" for place in range(y.shape[1]))
    schema = Schema(columns, targets, tuple("abcdefgh"[:classes]))
    table = Table("t", schema, x, y, weight, {}, np.arange(len(x)))
    return TrainingData(table, split.train, split.val)


def fitted(*data: Any, names: Sequence[str] = NAMES, split: Split = SPLIT, **more: Any) -> dict[str, Scores]:
    training = data_of(*data, split=split, **more)
    table = training.table
    return Baselines(training, names, 1).scores(table.x, table.y, table.weight, split.test)


def assert_finite(found: Mapping[str, Mapping[str, float]]) -> None:
    assert list(found) == ["boosting", "linear", "constant"]
    for each in found.values():
        assert np.isfinite([value for name, value in each.items() if name not in ("r2", "auroc")]).all()


def test_ridge_is_the_closed_form_on_standardised_columns() -> None:
    everything = data_of(X, TWO, split=Split(ROWS, ROWS, ROWS), categories=[0, 0, 0])
    linear = Baselines(everything, ["linear"], 1).models["linear"]
    mean, std = X.mean(0), np.where(X.std(0) > 0, X.std(0), 1)
    standard = (X - mean) / std
    predicted = linear.predict(X)
    for target, penalty in enumerate(linear.model.alpha_):
        y = TWO[:, target]
        slopes = np.linalg.solve(standard.T @ standard + penalty * np.eye(3), standard.T @ (y - y.mean()))
        np.testing.assert_allclose(predicted[:, target], standard @ slopes + y.mean(), rtol=1e-8, atol=1e-8)
    assert len(set(linear.model.alpha_)) == 2  # one target is noise


@pytest.mark.parametrize("classes", [2, 3])
def test_the_gradient_of_logistic_regression_is_zero(classes: int) -> None:
    """That of C Σ loss + ½‖slopes‖², on standardised columns; the best C is known by the validation rows."""
    y = np.minimum(CLASS, classes - 1)
    data = data_of(X, y, categories=[0, 0, 0], classes=classes)
    linear = Baselines(data, ["linear"], 1).models["linear"]
    columns = linear.columns.transform(X[data.train])
    errors = linear.predict(X[data.train]) - np.eye(classes)[y[data.train, 0].astype(int)]
    gradient = linear.model.C * errors.T @ columns
    slopes = linear.model.coef_ if classes > 2 else np.vstack([-linear.model.coef_, linear.model.coef_])
    np.testing.assert_allclose(gradient, -slopes, atol=2e-3 * linear.model.C * len(data.train))
    losses = []
    for inverse in models.INVERSE_PENALTIES:
        model = type(linear.model)(C=inverse, max_iter=1000).fit(columns, y[data.train, 0])
        predicted = model.predict_proba(linear.columns.transform(X[data.val]))
        losses.append(log_loss(y[data.val], predicted, labels=model.classes_))
    assert models.INVERSE_PENALTIES[int(np.argmin(losses))] == linear.model.C


@TASKS
def test_the_unit_of_the_weights_does_not_matter(y: np.ndarray, classes: int) -> None:
    weight = GENERATOR.uniform(0.5, 2, 60)
    one, other = (fitted(MIXED, y, weight * unit, classes=classes) for unit in (1, 1e4))
    for name, unweighted in fitted(MIXED, y, classes=classes).items():
        assert one[name] == pytest.approx(other[name])
        assert one[name] != unweighted


@TASKS
def test_missing_numbers_and_unseen_categories_are_predicted(y: np.ndarray, classes: int) -> None:
    x = MIXED.copy()
    x[50:, 1], x[50:, 2], x[50:, 3] = np.nan, 2, 50  # no such category in training
    x[:40, 2] = np.where(x[:40, 2] == 2, 1, x[:40, 2])
    assert_finite(fitted(x, y, classes=classes))
    x[:50, 1:] = np.nan  # all missing in training
    assert_finite(fitted(x, y, classes=classes))


@pytest.mark.parametrize("classes", [0, 2])
def test_boosting_tells_254_categories_apart(classes: int) -> None:
    """Those with many rows; others share a code. Of 300 categories, every second one has a high target."""
    codes = np.concatenate([np.repeat(np.arange(254.0), 30), np.arange(254.0, 300)])
    x = np.column_stack([codes, np.where(codes % 3, codes, np.nan)])
    split = random_split(np.arange(len(x)), val=0.2, test=0.2, seed=0)
    more: dict[str, Any] = {"categories": [300, 300], "classes": classes, "names": ["boosting"]}
    found = fitted(x, (codes % 2)[:, None], split=split, **more)["boosting"]
    assert found.get("r2", found.get("accuracy")) > 0.97


@TASKS
def test_many_rows_are_sampled(monkeypatch: pytest.MonkeyPatch, y: np.ndarray, classes: int) -> None:
    monkeypatch.setattr(module, "FITTED_ROWS", (20, 20))
    monkeypatch.setattr(module, "BOOSTED_VALUES", 0)
    monkeypatch.setattr(module, "FEWEST_BOOSTED", 7)
    monkeypatch.setattr(module, "BLOCK_ROWS", 3)
    for each in refit_and_first(data_of(X, y, categories=[0, 0, 0], classes=classes)):
        assert each.models["linear"].columns.named_transformers_["pipeline"][1].n_samples_seen_ == 20
        assert_finite(each.scores(X, y, None, ROWS))
    losses = each.models["boosting"].models[0].validation_score_
    assert np.ptp(losses) < 1e-9  # 7 rows are too few for a tree


@TASKS
def test_rows_without_weight_and_test_rows_teach_nothing(y: np.ndarray, classes: int) -> None:
    weight, x, other = np.ones(60), MIXED.copy(), y.copy()
    weight[:5] = weight[40:43] = 0
    x[weight == 0, :2], x[weight == 0, 2:] = 1e6, 1
    other[weight == 0] = 1 if classes else 1e6
    expected = fitted(MIXED, y, weight, classes=classes)
    assert fitted(x, other, weight, classes=classes) == expected
    alone = Split(ROWS[5:40], ROWS[43:50], ROWS[50:])
    assert fitted(MIXED, y, np.ones(60), split=alone, classes=classes) == expected
    (x := MIXED.copy())[50:] = np.nan
    before, after = (Baselines(data_of(each, y, classes=classes), NAMES, 1).models for each in (MIXED, x))
    for name in NAMES:
        np.testing.assert_array_equal(before[name].predict(MIXED), after[name].predict(MIXED))


def refit_and_first(data: TrainingData) -> tuple[Baselines, Baselines]:
    return Baselines(data, NAMES, 1, refit=True), Baselines(data, NAMES, 1)


def nonlinear(rows: int, classes: int) -> tuple[np.ndarray, np.ndarray, Split]:
    """The product of two numbers with noise, or its class; and a third number without use."""
    x = np.random.default_rng(1).normal(size=(rows, 3)).astype(np.float32)
    y = x[:, 0] * x[:, 1] + 0.1 * np.random.default_rng(2).normal(size=rows)
    if classes:
        y = np.digitize(y, np.quantile(y, np.arange(1, classes) / classes)).astype(np.float64)
    return x, y[:, None], random_split(np.arange(rows), val=0.2, test=0.2, seed=0)


def test_boosting_stops_and_predicts_with_the_best_number_of_trees() -> None:
    x, y, split = nonlinear(400, 2)
    boosting = Baselines(data_of(x, y, None, split, [0, 0, 0], 2), ["boosting"], 1).models["boosting"]
    [model] = boosting.models
    assert model.n_iter_ < model.max_iter
    predicted = boosting.predict(x[split.val])
    assert log_loss(y[split.val], predicted) == pytest.approx(-model.validation_score_.max())


@pytest.mark.parametrize("classes", [0, 3])
def test_models_are_fitted_again_to_train_and_val_with_what_val_has_chosen(classes: int) -> None:
    x, y, split = nonlinear(200, classes)
    weight = np.random.default_rng(4).uniform(0.5, 2, 200)
    weight[::9] = 0
    data = data_of(x, y, weight, split, [0, 0, 0], classes)
    refit, first = refit_and_first(data)
    for name in NAMES:
        again = MODELS[name](module._usable(data.joined, 200), first.models[name].chosen)
        predicted = refit.models[name].predict(x)
        np.testing.assert_array_equal(predicted, again.predict(x))
        assert not np.array_equal(predicted, first.models[name].predict(x))
    both = np.union1d(split.train, split.val)
    one_hot = np.eye(3)[y[both, 0].astype(int)] if classes else y[both]
    np.testing.assert_allclose(refit.models["constant"].predict(x)[0], np.average(one_hot, 0, weight[both]))


def test_classes_of_validation_rows_only_are_learned_when_fitting_again() -> None:
    y = CLASS.copy()
    y[:40][y[:40] == 1] = 2
    refit, first = refit_and_first(data_of(MIXED, y, classes=4))
    for name in NAMES:
        assert not first.models[name].predict(MIXED)[:, [1, 3]].any()
        predicted = refit.models[name].predict(MIXED)
        assert predicted[:, 1].all()
        assert not predicted[:, 3].any()
    y[:40] = 2  # nothing to choose by
    for rows, baselines in zip((50, 40), refit_and_first(data_of(MIXED, y, classes=4)), strict=True):
        for model in baselines.models.values():
            np.testing.assert_allclose(model.output, np.bincount(y[:rows, 0].astype(int), minlength=4) / rows)


def test_threads_are_limited_while_baselines_are_fitted_and_predict(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Counting(Constant):
        def predict(self, x: np.ndarray) -> np.ndarray:
            seen.append({each["num_threads"] for each in threadpool_info()})
            return super().predict(x)

    def fit(data: TrainingData, _: Chosen) -> Constant:
        model = Counting(fit_constant(data).output)
        model.predict(MIXED)
        return model

    monkeypatch.setitem(MODELS, "constant", fit)
    before = threadpool_info()
    for threads in (1, 2):
        Baselines(data_of(MIXED, TWO), ["constant"], threads).scores(MIXED, TWO, None, ROWS)
    assert seen == [{1}, {1}, {2}, {2}]
    assert threadpool_info() == before


def test_baselines_are_fitted_and_scored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    data = DataCache().data(run := config("data=synthetic", "data.rows=60"))
    found = fit_baselines(data, run).test_scores(data)
    assert_finite(found)
    monkeypatch.setattr(module, "scores", None)
    assert fit_baselines(data, run).test_scores(data) is found
    constant = run.model_copy(update={"baselines": ["constant"]})
    assert [*fit_baselines(data, constant).models] == ["constant"]


def test_beside_an_ensemble_baselines_learn_from_validation_rows_too() -> None:
    cache = DataCache()
    for members in (1, 2):
        run = config("data=synthetic", "data.rows=60", f"ensemble={members}", "baselines=[constant]")
        data = cache.data(run)
        rows = data.split.train if members == 1 else np.concatenate([data.split.train, data.split.val])
        [constant] = fit_baselines(data, run).models.values()
        np.testing.assert_allclose(constant.output, data.table.y[rows].mean(0))
