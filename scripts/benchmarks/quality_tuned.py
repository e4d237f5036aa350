"""CatBoost and LightGBM whose settings are the best of 20 random ones, with scikit-learn's methods.

Each trial is fitted to four fifths of the rows, and stops when the loss of the others has not fallen for 50
trees. The best is fitted again, to all rows and with its number of trees.
"""
# mypy: disable-error-code="import-untyped"

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split

TRIALS, MOST_TREES, PATIENCE = 20, 3000, 50


def _logarithmic(drawn: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(drawn.uniform(np.log(low), np.log(high))))


def _catboost_settings(drawn: np.random.Generator) -> dict[str, Any]:
    return {
        "learning_rate": _logarithmic(drawn, 0.01, 0.3),
        "depth": int(drawn.integers(3, 9)),
        "l2_leaf_reg": _logarithmic(drawn, 0.5, 30),
        "random_strength": _logarithmic(drawn, 0.1, 10),
        "bootstrap_type": "Bayesian",
        "bagging_temperature": float(drawn.uniform()),
    }


def _lightgbm_settings(drawn: np.random.Generator) -> dict[str, Any]:
    return {
        "learning_rate": _logarithmic(drawn, 0.01, 0.3),
        "num_leaves": int(_logarithmic(drawn, 4, 128)),
        "min_child_samples": int(_logarithmic(drawn, 2, 100)),
        "subsample": float(drawn.uniform(0.5, 1)),
        "subsample_freq": 1,
        "colsample_bytree": float(drawn.uniform(0.5, 1)),
        "reg_lambda": _logarithmic(drawn, 1e-3, 30),
    }


class Tuned(BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """A model of a library, with searched settings; the last step of a pipeline.

    Args:
        make: the model with its default settings, given others.
    """

    def __init__(self, library: Literal["catboost", "lightgbm"], make: Callable[..., Any]) -> None:
        self.library, self.make = library, make

    def fit(self, x: pd.DataFrame, y: np.ndarray) -> None:
        """Searches, and fits the best to all rows."""
        classes, counts = np.unique(y, return_counts=True)
        stratify = y if len(classes) < len(y) / 2 and counts.min() > 1 else None
        train, val = train_test_split(np.arange(len(x)), test_size=0.2, stratify=stratify, random_state=0)
        drawn, lowest = np.random.default_rng(0), math.inf
        for _ in range(TRIALS):
            if self.library == "catboost":
                settings = _catboost_settings(drawn)
                model = self.make(**settings, iterations=MOST_TREES, early_stopping_rounds=PATIENCE)
                model.fit(x.iloc[train], y[train], eval_set=(x.iloc[val], y[val]))
                loss, trees = next(iter(model.best_score_["validation"].values())), model.tree_count_
            else:
                import lightgbm

                settings = _lightgbm_settings(drawn)
                model = self.make(**settings, n_estimators=MOST_TREES)
                stop = lightgbm.early_stopping(PATIENCE, verbose=False)
                model.fit(x.iloc[train], y[train], eval_set=[(x.iloc[val], y[val])], callbacks=[stop])
                loss, trees = next(iter(model.best_score_["valid_0"].values())), model.best_iteration_
            if loss < lowest:
                lowest, best = loss, settings | {"n_estimators": max(trees, 1)}
        self.model_ = self.make(**best)
        self.model_.fit(x, y)

    def predict(self, x: pd.DataFrame) -> np.ndarray:
        """Numbers."""
        return self.model_.predict(x)

    def predict_proba(self, x: pd.DataFrame) -> np.ndarray:
        """The probability of each class."""
        return self.model_.predict_proba(x)
