"""The peers of `quality`: scikit-learn, boosting by three libraries, RealMLP and TabM, and a constant.

They take a pandas frame of numbers and categories, on one thread. Each gets categories and missing numbers as
it takes them best: as such, or one-hot encoded and imputed. Their settings are the libraries' defaults, but
for the penalty of linear models, chosen by cross-validation: no single one is right for a linear target and
for one that is mostly noise. Those of intervals are around scikit-learn's gradient boosting.
"""
# mypy: disable-error-code="import-untyped"

import logging
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from benchmarks.quality_tables import BenchmarkTable

PACKAGES = {  # what each peer needs, by what is predicted
    "predictions": {
        **dict.fromkeys(("constant", "mlp", "linear", "boosting"), "sklearn"),
        **{"xgboost": "xgboost", "lightgbm": "lightgbm", "catboost": "catboost"},
        **dict.fromkeys(("realmlp", "tabm"), "pytabkit"),
    },
    "intervals": {"mapie": "mapie", "crepes": "crepes"},
}

BASE = {"predictions": "mlp", "intervals": "mapie"}  # the peer that all are compared with
SLOW = ("tabm",)  # only fitted if it is asked for: it takes minutes
SEEDED = ("mlp", "realmlp", "tabm")  # networks, whose errors depend on the seed; the others are fitted once
RIDGE_PENALTIES = np.logspace(-9, 4, 27)
"""Of standardised inputs; the smallest is exact where the target is linear."""

INVERSE_PENALTIES = np.logspace(-3, 2, 11)  # of logistic regression, as scikit-learn's `C`
MOST_CATEGORIES = 255  # categories of a column that scikit-learn's boosting takes at most
LEVELS = (0.8, 0.9)  # of intervals
FOLDS = 10  # of MAPIE's CV+, whose intervals are the better the more there are
CALIBRATION, NEIGHBOURS = 0.2, 25
"""The share of the rows that crepes calibrates with; of one, those whose residuals are its difficulty."""

Predictor = Callable[[pd.DataFrame], np.ndarray]


def fit_peer(
    peer: str, table: BenchmarkTable, test: np.ndarray, seed: int
) -> tuple[np.ndarray, float, float]:
    """Numbers, probabilities, or limits `[row, level, limit]`; the seconds of the fit and the prediction."""
    train, y = table.x[~test], table.y[~test]
    seen = np.unique(y)  # XGBoost wants classes without a gap
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = np.searchsorted(seen, y) if table.classes else y
        intervals = {"mapie": _cross_conformal, "crepes": _normalised}.get(peer)
        model: Any = None if intervals else _model_of(peer, train, y, seed, classes=bool(table.classes))
        start = perf_counter()
        if intervals:
            predict = intervals(train, y, seed)
        else:
            model.fit(train, y)
            predict = model.predict_proba if table.classes else model.predict
        fitted = perf_counter()
        predicted = predict(table.x[test])
        ended = perf_counter()
    if table.classes:  # those that the model has not seen have the probability 0
        of_seen, predicted = predicted, np.zeros((len(predicted), len(table.classes)))
        predicted[:, seen] = of_seen
    return np.asarray(predicted, np.float64), fitted - start, ended - fitted


def _model_of(peer: str, x: pd.DataFrame, y: np.ndarray, seed: int, *, classes: bool) -> Any:
    """A model of classes or of numbers for such rows, with scikit-learn's methods."""
    categories = [str(name) for name in x.select_dtypes("category")]

    def library(package: str, name: str, **settings: Any) -> Any:
        return getattr(import_module(package), name + ("Classifier" if classes else "Regressor"))(**settings)

    seeded, one_thread = {"random_state": seed}, {"n_jobs": 1}
    match peer:
        case "constant":
            return DummyClassifier(strategy="prior") if classes else DummyRegressor()
        case "mlp":
            network = make_pipeline(_standardised(x), library("sklearn.neural_network", "MLP", **seeded))
            return network if classes else TransformedTargetRegressor(network, transformer=StandardScaler())
        case "linear" if classes:
            folds = max(2, min(5, np.bincount(y).min()))  # a class in each
            search = {"Cs": INVERSE_PENALTIES, "cv": folds, "scoring": "neg_log_loss", "max_iter": 1000}
            return make_pipeline(_standardised(x), LogisticRegressionCV(**search))
        case "linear":
            return make_pipeline(_standardised(x), RidgeCV(RIDGE_PENALTIES))
        case "boosting":
            many = [name for name in categories if len(x[name].cat.categories) > MOST_CATEGORIES]
            return make_pipeline(_coded(many), library("sklearn.ensemble", "HistGradientBoosting", **seeded))
        case "xgboost":
            return library("xgboost", "XGB", enable_categorical=True, **one_thread)
        case "lightgbm":
            return library("lightgbm", "LGBM", verbose=-1, **one_thread)
        case "catboost":
            quiet = {"verbose": False, "allow_writing_files": False, "thread_count": 1}
            boosting = library("catboost", "CatBoost", cat_features=categories, **quiet)
            return make_pipeline(_coded(categories), boosting)
        case _:
            of_tabm = {"num_emb_type": "pwl", "weight_decay": 3e-4, "gradient_clipping_norm": 1.0}
            name, settings = ("TabM_D_", of_tabm) if peer == "tabm" else ("RealMLP_TD_", {})
            network = library("pytabkit", name, device="cpu", n_threads=1, **seeded, **settings)
            imputed = ColumnTransformer([("categories", "passthrough", categories)], remainder=_imputer())
            return make_pipeline(imputed.set_output(transform="pandas"), network)


def _imputer() -> SimpleImputer:
    return SimpleImputer(strategy="median", keep_empty_features=True)


def _standardised(x: pd.DataFrame) -> ColumnTransformer:
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    numbers = make_pipeline(_imputer(), StandardScaler())
    categories = [str(name) for name in x.select_dtypes("category")]
    return ColumnTransformer([("categories", one_hot, categories)], remainder=numbers)


def _coded(names: Sequence[str]) -> FunctionTransformer:
    """Whole numbers instead of the categories of these columns."""
    return FunctionTransformer(lambda x: x.assign(**{name: x[name].cat.codes for name in names}))


def _cross_conformal(x: pd.DataFrame, y: np.ndarray, seed: int) -> Predictor:
    """MAPIE's CV+ (Barber et al. 2021)."""
    from mapie.regression import CrossConformalRegressor

    boosting = _model_of("boosting", x, y, seed, classes=False)
    model = CrossConformalRegressor(boosting, confidence_level=LEVELS, method="plus", cv=FOLDS)
    model.fit_conformalize(x, y)
    return lambda new: model.predict_interval(new)[1].transpose(0, 2, 1)


def _normalised(x: pd.DataFrame, y: np.ndarray, seed: int) -> Predictor:
    """Split conformal prediction by crepes, wider where the residuals of similar rows are large."""
    from crepes import WrapRegressor
    from crepes.extras import DifficultyEstimator

    boosting = _model_of("boosting", x, y, seed, classes=False)
    train, held_out = train_test_split(np.arange(len(x)), test_size=CALIBRATION, random_state=seed)
    x_train, y_train = x.iloc[train], y[train]
    residuals = np.abs(y_train - cross_val_predict(boosting, x_train, y_train))
    neighbours = make_pipeline(_standardised(x), KNeighborsRegressor(min(NEIGHBOURS, len(train))))
    neighbours.fit(x_train, residuals)
    model = WrapRegressor(boosting)
    model.fit(x_train, y_train)
    difficulty = DifficultyEstimator().fit(f=neighbours.predict)
    model.calibrate(x.iloc[held_out], y[held_out], de=difficulty)
    return lambda new: np.stack([model.predict_int(new, confidence=level) for level in LEVELS], 1)
