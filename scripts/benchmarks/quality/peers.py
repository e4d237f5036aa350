"""The peers: scikit-learn, gradient boosting of three libraries, and RealMLP, all with their own defaults.

They take a pandas frame of numbers and categories, on one thread. Each gets categories and missing numbers as
it takes them best: as such, or one-hot encoded and imputed.
"""

import warnings
from collections.abc import Sequence
from time import perf_counter
from typing import Any, Literal

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from jaxtyping import Float64
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from benchmarks.quality.scores import Outcome
from benchmarks.quality.tables import BenchmarkTable, Split
from mlplab.training.trainer import lightning_quiet

Peer = Literal["mlp", "linear", "boosting", "xgboost", "lightgbm", "catboost", "realmlp"]

MOST_CATEGORIES = 255
"""Categories of a column that scikit-learn's boosting takes at most."""


def outcome(peer: Peer, table: BenchmarkTable, split: Split, seed: int) -> Outcome:
    """Fits a peer to all rows that are not for testing, and predicts those that are."""
    train, test = table.x[~split.test], table.x[split.test]
    y = table.y[~split.test]
    known = np.unique(y)  # XGBoost wants classes without a gap
    with warnings.catch_warnings(), lightning_quiet():
        warnings.simplefilter("ignore")
        model = _model(peer, train, seed, classes=bool(table.classes))
        start = perf_counter()
        model.fit(train, np.searchsorted(known, y) if table.classes else y)
        fit_seconds = perf_counter() - start
        start = perf_counter()
        predicted = model.predict_proba(test) if table.classes else model.predict(test)
        predict_seconds = perf_counter() - start
    if table.classes:
        predicted = _of_all_classes(predicted, known, len(table.classes))
    return Outcome(np.asarray(predicted, np.float64), fit_seconds, predict_seconds)


def _model(peer: Peer, x: pd.DataFrame, seed: int, *, classes: bool) -> Any:
    """A model of classes or of numbers for such rows, with scikit-learn's methods."""
    categories = [str(name) for name in x.select_dtypes("category")]
    match peer:
        case "mlp":
            mlp = MLPClassifier(random_state=seed) if classes else MLPRegressor(random_state=seed)
            network = make_pipeline(_standardised(categories), mlp)
            return network if classes else TransformedTargetRegressor(network, transformer=StandardScaler())
        case "linear":
            linear = LogisticRegression(max_iter=1000) if classes else Ridge()
            return make_pipeline(_standardised(categories), linear)
        case "boosting":
            boosting = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
            many = [name for name in categories if len(x[name].cat.categories) > MOST_CATEGORIES]
            return make_pipeline(_coded(many), boosting(random_state=seed))
        case "xgboost":
            import xgboost

            kind = xgboost.XGBClassifier if classes else xgboost.XGBRegressor
            return kind(n_jobs=1, enable_categorical=True)
        case "lightgbm":
            import lightgbm

            kind = lightgbm.LGBMClassifier if classes else lightgbm.LGBMRegressor
            return kind(n_jobs=1, verbose=-1)
        case "catboost":
            import catboost

            kind = catboost.CatBoostClassifier if classes else catboost.CatBoostRegressor
            settings: dict[str, Any] = {"thread_count": 1, "verbose": False, "allow_writing_files": False}
            return make_pipeline(_coded(categories), kind(cat_features=categories, **settings))
        case "realmlp":
            import pytabkit

            settings = {"device": "cpu", "n_threads": 1, "random_state": seed}
            kind = pytabkit.RealMLP_TD_Classifier if classes else pytabkit.RealMLP_TD_Regressor
            return make_pipeline(_imputed(categories), kind(**settings))


def _standardised(categories: Sequence[str]) -> ColumnTransformer:
    numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer([("categories", one_hot, list(categories))], remainder=numbers)


def _imputed(categories: Sequence[str]) -> ColumnTransformer:
    numbers = SimpleImputer(strategy="median", keep_empty_features=True)
    columns = ColumnTransformer([("categories", "passthrough", list(categories))], remainder=numbers)
    return columns.set_output(transform="pandas")


def _coded(names: Sequence[str]) -> FunctionTransformer:
    """Whole numbers instead of the categories of these columns."""
    return FunctionTransformer(lambda x: x.assign(**{name: x[name].cat.codes for name in names}))


def _of_all_classes(predicted: Any, known: np.ndarray, classes: int) -> Float64[np.ndarray, "row class"]:
    """Probabilities of all classes: 0 for those that the model has not seen."""
    every = np.zeros((len(predicted), classes))
    every[:, known] = predicted
    return every
