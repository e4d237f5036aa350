"""The estimators: what they learn from, and what they are good for in scikit-learn."""

import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import StackingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support import CONCRETE, ROOT, train_into

import mlplab
from mlplab.data.frames import to_polars
from mlplab.data.splits.splitters import random_split
from mlplab.sklearn import TableClassifier, TableRegressor, estimators, training_set

pytestmark = pytest.mark.usefixtures("full_speed")

SMALL: dict[str, Any] = {"hidden": (8,), "max_epochs": 3, "ensemble": 1}
RANDOM = np.random.default_rng(0)
ROWS = 80
FRAME = pd.DataFrame(
    {
        "size": RANDOM.normal(size=ROWS),
        "kind": RANDOM.choice(["a", "b", None], ROWS),
        "day": pd.date_range("2024-01-01", periods=ROWS),
        "old": RANDOM.random(ROWS) < 0.5,
    },
    index=RANDOM.permutation(ROWS),
)
PRICE = pd.Series(3 * FRAME["size"] + FRAME["old"], name="price")
KIND = np.where(FRAME["size"] > 0, "large", "small")
regressor, classifier = partial(TableRegressor, **SMALL), partial(TableClassifier, **SMALL)


@pytest.fixture(scope="module")
def fitted() -> TableRegressor:
    return regressor().fit(FRAME, PRICE)


def test_it_predicts_as_the_command_with_the_same_rows(tmp_path: Path) -> None:
    frame = pl.read_csv(CONCRETE)
    split = random_split(np.arange(len(frame)), val=0.15, test=0.0, seed=4)
    words = np.array(["train"] * len(frame))
    words[split.val] = "val"
    (tmp_path / "parts").write_text("\n".join(words))
    table = ("data=csv", f"data.path={CONCRETE}", "data.target=target")
    given = ("data/split=file", f"data.split.path={tmp_path}/parts", "data.split.seed=4", "seed=4")
    train_into(tmp_path, (*table, *given, "trainer.max_epochs=2", "ensemble=2"))
    expected = mlplab.load(tmp_path / "0").predict(frame)
    X, y = frame.drop("target"), frame["target"]  # noqa: N806
    found = TableRegressor(max_epochs=2, ensemble=2, random_state=4).fit(X, y)
    np.testing.assert_array_equal(found.predict(X), expected)


@pytest.mark.parametrize("labels", [["nan", "NA"], [False, True], [7, -1]])
def test_classes_are_those_of_the_target(labels: list[Any]) -> None:
    y = np.array(labels)[(FRAME["size"] > 0).astype(int)]
    fitted = classifier(max_epochs=12, lr=0.1, dropout=0.0).fit(FRAME, y)
    assert fitted.classes_.tolist() == sorted(labels)
    predicted, probabilities = fitted.predict(FRAME), fitted.predict_proba(FRAME)
    assert predicted.dtype == y.dtype
    np.testing.assert_array_equal(predicted, fitted.classes_[probabilities.argmax(1)])
    assert fitted.score(FRAME, y, sample_weight=np.ones(ROWS)) > 0.9


def test_rows_of_weight_0_are_left_out() -> None:
    weight = np.where(np.arange(ROWS) < 60, 2.0, 0.0)
    fitted = classifier().fit(FRAME, np.where(weight > 0, KIND, "none"), sample_weight=weight)
    first = classifier().fit(FRAME[:60], KIND[:60], sample_weight=2.0)
    np.testing.assert_array_equal(fitted.predict_proba(FRAME), first.predict_proba(FRAME))
    assert fitted.classes_.tolist() == ["large", "small"]


def test_frames_of_all_libraries_give_the_same_predictions(fitted: TableRegressor) -> None:
    columns = to_polars(FRAME)

    class Arrow:
        shape = columns.shape

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return columns.__arrow_c_stream__(requested_schema)

    frames: list[Any] = [columns, Arrow()]
    for frame in frames:
        found = regressor().fit(frame, PRICE.to_numpy())
        assert found.feature_names_in_.tolist() == columns.columns
        np.testing.assert_array_equal(found.predict(frame), fitted.predict(FRAME))
    cells = FRAME[["size", "kind"]].astype(object).where(FRAME.notna(), pd.NA)
    of_array, of_frame = (classifier().fit(each, pd.Categorical(KIND)) for each in (cells.to_numpy(), cells))
    np.testing.assert_array_equal(of_array.predict_proba(cells.to_numpy()), of_frame.predict_proba(cells))


def test_arguments_are_keys() -> None:
    keys: dict[str, Any] = {"lr": np.float64(0.02), "dropout": 0.1, "batch_size": None, "patience": 2}
    keys |= {"hidden": np.array([8]), "val": 0.2, "random_state": np.random.RandomState(1)}
    further = ("model.activation=gelu", "data.class_weights=none")
    (config,) = regressor(**keys, overrides=further).fit(FRAME, PRICE).ensemble_.config
    assert (config.optimizer.lr, config.model.dropout) == (0.02, 0.1)
    assert (config.model.hidden, config.model.activation) == ([8], "gelu")
    assert (config.data.batch_size, config.data.split.val) == (None, 0.2)
    assert config.callbacks.early_stopping.patience == 2
    assert config.seed == config.data.split.seed > 0
    fast = TableRegressor(quality="fast", hidden=(8,), max_epochs=1).fit(FRAME, PRICE).ensemble_
    assert [config.ensemble for config in fast.config] == [1]


def test_no_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fitted: TableRegressor) -> None:
    path = tmp_path / "conf/optimizer/adamw.yaml"
    path.parent.mkdir(parents=True)
    path.write_text((ROOT / "conf/optimizer/adamw.yaml").read_text().replace("lr: ", "lr: 1.0 # "))
    (tmp_path / "conf/mlplab.yaml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training_set, "CONFIGS", {})
    np.testing.assert_array_equal(regressor().fit(FRAME, PRICE).predict(FRAME), fitted.predict(FRAME))


def test_a_fitted_estimator_is_bytes_and_nothing_after_a_failed_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    of_classes = classifier().fit(FRAME, KIND)
    content = pickle.dumps(of_classes)
    copy = pickle.loads(content)
    np.testing.assert_array_equal(copy.predict_proba(FRAME), of_classes.predict_proba(FRAME))
    assert not hasattr(clone(copy), "ensemble_")
    with pytest.raises(mlplab.UserError, match=r"optimizer\.lr"):
        copy.set_params(lr=-1).fit(FRAME, np.char.add(KIND, "r"))
    with pytest.raises(NotFittedError):
        copy.predict(FRAME)
    monkeypatch.setattr(estimators, "VERSION", "9.9")
    with pytest.raises(mlplab.UserError, match=r"TableClassifier: was fitted by mlplab 1.*\n  fit it again"):
        pickle.loads(content)
    pickle.loads(pickle.dumps(classifier()))


def test_it_works_inside_scikit_learn() -> None:
    """Several targets are columns."""
    numbers, y = FRAME[["size", "old"]].astype(float), PRICE
    scaled = make_column_transformer((StandardScaler(), ["size"]), remainder="passthrough")
    pipeline = make_pipeline(scaled.set_output(transform="pandas"), regressor())
    fitted = pipeline.fit(FRAME, np.column_stack([y, -y]))
    assert "standardscaler__size" in fitted[-1].feature_names_in_
    assert fitted.predict(FRAME).shape == (ROWS, 2)
    stacked = StackingRegressor([("table", regressor()), ("ridge", Ridge())], cv=2).fit(numbers, y)
    assert stacked.predict(numbers).shape == (ROWS,)
    importance = permutation_importance(stacked, numbers, y, n_repeats=2)
    assert importance.importances_mean.argmax() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.full(ROWS, np.nan)}, "contains NaN"),
        ({"y": PRICE[:-1]}, "inconsistent numbers of samples"),
        ({"sample_weight": np.full(ROWS, np.inf)}, "sample_weight contains infinity"),
        ({"sample_weight": np.ones(9)}, r"sample_weight: .* \(found 9 weights, expected 80"),
        ({"X": FRAME[:1], "y": PRICE[:1]}, "X: has too few rows"),
        ({"X": FRAME.rename(columns={"old": "size"})}, "unique column names"),
        ({"overrides": ("optimizer.momentun=3",)}, "optimizer.momentun"),
        ({"overrides": "data/split=file"}, r"data/split: is set by the estimator(.|\n)* leave it out"),
        ({"overrides": ("seed=3",)}, "random_state"),
    ],
)
def test_wrong_input_has_a_short_message(change: dict[str, Any], message: str) -> None:
    of_fit = {"X": FRAME, "y": PRICE, "sample_weight": None}
    given = {key: change.pop(key, value) for key, value in of_fit.items()}
    with pytest.raises(ValueError, match=message):
        regressor(**change).fit(**given)


@pytest.mark.filterwarnings("ignore:The number of unique classes")
def test_predicting_needs_the_columns_of_fit_and_classes_need_few_values(fitted: TableRegressor) -> None:
    with pytest.raises(ValueError, match=r"feature names should match(.|\n)*- old"):
        fitted.predict(FRAME.drop(columns="old"))
    wrong: dict[str, Any] = {"'x'": ["x"] * ROWS, r"80 different (.|\n)*TableReg": np.arange(ROWS)}
    for message, y in wrong.items():
        with pytest.raises(mlplab.UserError, match=f"y: .*{message}"):
            classifier().fit(FRAME, y)


CHECK_ALL = """
from sklearn.utils.estimator_checks import check_estimator
from mlplab.sklearn import TableClassifier, TableRegressor

repeated = "of two equal rows, one may train and one choose the epoch; a row of weight 2 does one of both"
expected = {"check_sample_weight_equivalence_on_dense_data": repeated}
few = {"max_epochs": 20, "ensemble": 1}
for estimator in (TableRegressor(**few, lr=0.01), TableClassifier(**few)):
    checks = check_estimator(estimator, expected_failed_checks=expected, on_fail=None, on_skip=None)
    results = {result["check_name"]: result["status"] for result in checks}
    print(*(name for name, status in results.items() if status == "failed"))
    assert len(results) > 50
"""


@pytest.mark.slow
def test_the_whole_contract_is_kept() -> None:
    """In a process that checks no types: some checks give arguments of wrong ones."""
    done = subprocess.run([sys.executable, "-c", CHECK_ALL], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
