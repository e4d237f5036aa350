"""Folds and candidates that train in lockstep: the scores of scikit-learn, bit for bit."""

import re
import warnings
from pathlib import Path
from threading import active_count
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context, model_selection
from sklearn.model_selection import GroupKFold, KFold, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from support import ROOT

from mlplab.sklearn import TableClassifier, TableRegressor, cross_validate, grid_search, training_set
from mlplab.sklearn.model_selection import FIT
from mlplab.sklearn.training_set import TrainingSet

pytestmark = pytest.mark.usefixtures("full_speed")

RANDOM = np.random.default_rng(0)
ROWS = 90
FRAME = pd.DataFrame({"size": RANDOM.normal(1e6, 1, ROWS), "kind": RANDOM.choice(["a", "b"], ROWS)})
PRICE = FRAME["size"] - 1e6 + (FRAME["kind"] == "a") + RANDOM.normal(size=ROWS) / 10
CLASS = np.where(PRICE > 0.5, "high", "low")
WEIGHT = RANDOM.integers(1, 3, ROWS).astype(float)
GROUPS = np.arange(ROWS) % 7
SMALL: dict[str, Any] = {"hidden": (8,), "max_epochs": 2, "ensemble": 1}
REGRESSOR, CLASSIFIER = TableRegressor(**SMALL), TableClassifier(**SMALL)


def assert_same_scores(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, scores in expected.items():
        if "time" not in name and name not in ("estimator", "params"):
            np.testing.assert_array_equal(found[name], scores)


def assert_folds_as_in_scikit_learn(
    estimator: Any, y: Any, frame: pd.DataFrame = FRAME, *, alone: bool = False, **options: Any
) -> None:
    """The same scores by training in lockstep, without training any fold alone unless that is allowed."""
    np.random.seed(1)
    expected = model_selection.cross_validate(estimator, frame, y, **options)
    np.random.seed(1)
    with pytest.MonkeyPatch.context() as patch:
        if not alone:
            patch.delattr(TrainingSet, "train")
        assert_same_scores(cross_validate(estimator, frame, y, **options), expected)


def test_folds_have_the_scores_of_scikit_learn() -> None:
    options = {"scoring": ["r2", "neg_mean_squared_error"], "return_train_score": True}
    options |= {"cv": GroupKFold(2), "groups": GROUPS, "params": {"sample_weight": WEIGHT}}
    assert_folds_as_in_scikit_learn(TableRegressor(**SMALL | {"ensemble": 2}), PRICE, **options)


def test_pipelines_with_any_seed_and_folds_of_classes_train_in_lockstep() -> None:
    for seed in (None, np.random.RandomState(3)):
        pipeline = make_pipeline(FunctionTransformer(), TableRegressor(**SMALL, random_state=seed))
        weighted = {"tableregressor__sample_weight": WEIGHT}
        assert_folds_as_in_scikit_learn(pipeline, PRICE, cv=KFold(2, shuffle=True), params=weighted)
    assert_folds_as_in_scikit_learn(CLASSIFIER, CLASS, cv=2, scoring="neg_log_loss")
    frame = FRAME.assign(kind=["rare"] * 9 + [*FRAME["kind"][9:]])  # the first fold lacks a category
    assert_folds_as_in_scikit_learn(REGRESSOR, PRICE, frame, alone=True, cv=3)


def test_candidates_have_the_scores_of_scikit_learn_and_groups_are_routed_to_the_folds() -> None:
    values: list[dict[str, list[object]]] = [{"lr": [1e-2]}, {"hidden": [(8, 4)]}]
    options: dict[str, Any] = {"cv": GroupKFold(2), "params": {"groups": GROUPS}}
    with config_context(enable_metadata_routing=True):
        assert_folds_as_in_scikit_learn(REGRESSOR, PRICE, **options)
        found = grid_search(REGRESSOR, FRAME, PRICE, values, **options)
        expected = model_selection.GridSearchCV(REGRESSOR, values, cv=GroupKFold(2))
        expected.fit(FRAME, PRICE, groups=GROUPS)
    assert_same_scores(found.cv_results_, expected.cv_results_)
    assert found.best_params_ == expected.best_params_
    np.testing.assert_array_equal(found.predict(FRAME), expected.predict(FRAME))


def test_a_fold_that_cannot_train_fails_as_in_scikit_learn() -> None:
    constant = FRAME.assign(size=[*FRAME["size"][:30], *[1.0] * 60], kind="a")  # but for the first fold
    one_class, cv = ["high"] * 30 + ["low"] * 60, PredefinedSplit([0] * 30 + [1] * 30 + [-1] * 30)
    cases: list[Any] = [(REGRESSOR, constant, PRICE, 3), (CLASSIFIER, FRAME, one_class, cv)]
    for estimator, frame, y, folds in cases:
        with pytest.warns(match="1 fits failed out of a total of"):
            scores = cross_validate(estimator, frame, y, cv=folds)["test_score"]
        assert np.isnan(scores).tolist() == [True, *[False] * (len(scores) - 1)]
    with pytest.raises(ValueError, match=r"fit\(\) got an unexpected keyword argument 'weight'"):
        cross_validate(REGRESSOR, FRAME, PRICE, cv=2, params={"weight": WEIGHT})


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning", "ignore:One or more of the test")
def test_fits_that_end_before_their_training_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than wait for each other at most."""
    monkeypatch.setattr("mlplab.sklearn.model_selection.MOST_FITS", 8)
    grid = {"overrides": [*((f"seed={number}",) for number in range(8)), ()]}
    scores = grid_search(REGRESSOR, FRAME, PRICE, grid, cv=2, refit=False).cv_results_["mean_test_score"]
    assert np.isnan(scores).tolist() == [True] * 8 + [False]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("of torch")])
def test_nothing_is_left_of_fits_that_fail(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_set, "train_in_memory", Mock(side_effect=error))
    threads, filters = active_count(), [*warnings.filters]
    with pytest.raises(type(error)):
        cross_validate(REGRESSOR, FRAME, PRICE, error_score="raise")
    assert active_count() == threads
    assert [*warnings.filters] == filters
    assert FIT.get() is None


@pytest.mark.slow(ci=True)
def test_the_examples_of_the_page_run(here: Path) -> None:
    houses = {"size": PRICE, "rooms": 3, "kind": FRAME["kind"], "sold": "31.12.2020", "price": PRICE}
    pd.DataFrame(houses).to_csv(here / "houses.csv")
    page = (ROOT / "docs/scikit-learn.md").read_text()
    for source in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(re.sub(r"max_epochs=\d+", "max_epochs=2", source), {})
