"""The peers of `quality`: scikit-learn, boosting by three libraries, RealMLP and TabM, and a constant.

They take a pandas frame of numbers and categories, on one thread. Each gets categories and missing numbers as
it takes them best: as such, or one-hot encoded and imputed. Their settings are the libraries' defaults, but
for `-tuned` ones, and for the penalty of linear models: it is chosen by cross-validation, since no single one
is right for a target that is linear and for one that is mostly noise.
"""
# mypy: disable-error-code="import-untyped"

import logging
import warnings
from collections.abc import Sequence
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from benchmarks.quality_tables import BenchmarkTable
from benchmarks.quality_tuned import Tuned

PACKAGES = {
    **{"constant": "sklearn", "mlp": "sklearn", "linear": "sklearn", "boosting": "sklearn"},
    **{"xgboost": "xgboost", "lightgbm": "lightgbm", "catboost": "catboost", "realmlp": "pytabkit"},
    **{"tabm": "tabm", "lightgbm-tuned": "lightgbm", "catboost-tuned": "catboost"},
}
"""What each peer needs."""

BASE = "mlp"
"""The peer that all are compared with."""

SLOW = ("tabm", "lightgbm-tuned", "catboost-tuned")
"""Those that are only fitted if they are asked for: they take minutes."""

SEEDED = ("mlp", "realmlp", "tabm")
"""Networks, whose errors depend on the seed; the others are fitted once."""

RIDGE_PENALTIES = np.logspace(-9, 4, 27)
"""Of standardised inputs; the smallest is exact where the target is linear."""

INVERSE_PENALTIES = np.logspace(-3, 2, 11)
"""Of logistic regression, as scikit-learn's `C`."""

MOST_CATEGORIES = 255
"""Categories of a column that scikit-learn's boosting takes at most."""


def fit_peer(
    peer: str, table: BenchmarkTable, test: np.ndarray, seed: int
) -> tuple[np.ndarray, float, float]:
    """Fits a peer to all rows that are not for testing, and predicts those that are.

    Returns:
        Numbers, or the probability of each class; the seconds of the fit, and of the prediction.
    """
    train, y = table.x[~test], table.y[~test]
    seen = np.unique(y)  # XGBoost wants classes without a gap
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = np.searchsorted(seen, y) if table.classes else y
        model = model_of(peer, train, y, seed, classes=bool(table.classes))
        start = perf_counter()
        model.fit(train, y)
        fitted = perf_counter()
        predicted = model.predict_proba(table.x[test]) if table.classes else model.predict(table.x[test])
        ended = perf_counter()
    if table.classes:  # those that the model has not seen have the probability 0
        of_seen, predicted = predicted, np.zeros((len(predicted), len(table.classes)))
        predicted[:, seen] = of_seen
    return np.asarray(predicted, np.float64), fitted - start, ended - fitted


def model_of(peer: str, x: pd.DataFrame, y: np.ndarray, seed: int, *, classes: bool) -> Any:
    """A model of classes or of numbers for such rows, with scikit-learn's methods."""
    categories = _categories(x)
    match peer:
        case "mlp" if classes:
            return make_pipeline(standardised(x), MLPClassifier(random_state=seed))
        case "mlp":
            network = make_pipeline(standardised(x), MLPRegressor(random_state=seed))
            return TransformedTargetRegressor(network, transformer=StandardScaler())
        case "constant":
            return DummyClassifier(strategy="prior") if classes else DummyRegressor()
        case "linear" if classes:
            folds = max(2, min(5, np.bincount(y).min()))  # a class in each
            search = {"Cs": INVERSE_PENALTIES, "cv": folds, "scoring": "neg_log_loss", "max_iter": 1000}
            return make_pipeline(standardised(x), LogisticRegressionCV(**search))
        case "linear":
            return make_pipeline(standardised(x), RidgeCV(RIDGE_PENALTIES))
        case "boosting":
            boosting = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
            many = [name for name in categories if len(x[name].cat.categories) > MOST_CATEGORIES]
            return make_pipeline(_coded(many), boosting(random_state=seed))
        case "xgboost":
            import xgboost

            kind = xgboost.XGBClassifier if classes else xgboost.XGBRegressor
            return kind(n_jobs=1, enable_categorical=True)
        case "lightgbm" | "lightgbm-tuned":
            import lightgbm

            kind = lightgbm.LGBMClassifier if classes else lightgbm.LGBMRegressor
            make = partial(kind, n_jobs=1, verbose=-1)
            return Tuned("lightgbm", make) if peer == "lightgbm-tuned" else make()
        case "catboost" | "catboost-tuned":
            import catboost

            kind = catboost.CatBoostClassifier if classes else catboost.CatBoostRegressor
            quiet = {"verbose": False, "allow_writing_files": False, "thread_count": 1}
            make = partial(kind, cat_features=categories, **quiet)
            return make_pipeline(
                _coded(categories), Tuned("catboost", make) if peer == "catboost-tuned" else make()
            )
        case "tabm":
            from benchmarks.quality_tabm import TabM

            return TabM(seed, classes=classes)
        case "realmlp":
            import pytabkit

            kind = pytabkit.RealMLP_TD_Classifier if classes else pytabkit.RealMLP_TD_Regressor
            network = kind(device="cpu", n_threads=1, random_state=seed)
            return make_pipeline(_by_kind(categories, "passthrough", _median(), pandas=True), network)


def standardised(x: pd.DataFrame) -> ColumnTransformer:
    """Imputed and standardised numbers, and categories as one-hot codes."""
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return _by_kind(_categories(x), one_hot, make_pipeline(_median(), StandardScaler()))


def _categories(x: pd.DataFrame) -> list[str]:
    return [str(name) for name in x.select_dtypes("category")]


def _median() -> SimpleImputer:
    return SimpleImputer(strategy="median", keep_empty_features=True)


def _by_kind(
    categories: Sequence[str], of_categories: Any, of_numbers: Any, *, pandas: bool = False
) -> ColumnTransformer:
    columns = ColumnTransformer([("categories", of_categories, list(categories))], remainder=of_numbers)
    return columns.set_output(transform="pandas" if pandas else "default")


def _coded(names: Sequence[str]) -> FunctionTransformer:
    """Whole numbers instead of the categories of these columns."""
    return FunctionTransformer(lambda x: x.assign(**{name: x[name].cat.codes for name in names}))
