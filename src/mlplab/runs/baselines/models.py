"""The models of the baselines: constants, and scikit-learn's linear models and gradient boosting."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from mlplab.data.splits.split import Rows, sample_rows

PENALTIES = tuple(10.0**exponent for exponent in range(-3, 6))
"""Candidate penalties of ridge regression, for standardized numbers and weights with mean 1."""

INVERSE_PENALTIES = tuple(10.0**exponent for exponent in range(-4, 3))
"""Candidates for scikit-learn's `C` of logistic regression. With larger values, classes that a few validation
rows do not tell apart get probabilities so close to 0 and 1 that a single error ruins the log loss."""

FITTED_ROWS = (2000, 100_000)
"""Smallest and largest number of training rows for linear models. In between, their work (rows × columns² for
ridge, 100 × rows × columns × classes for logistic regression) stays below `FITTED_WORK`, which takes a second
or two. If there are more rows, a random sample is used."""

FITTED_WORK = 5e9

BOOSTED_VALUES = 5 * 10**7
"""Largest number of training rows × features for gradient boosting, whose copies take up to two gigabytes. If
there are more, a random sample of the rows is used."""

MAX_CATEGORIES = 500
"""Number of most frequent categories of a feature that get their own column; the others share a column."""

MAX_COLUMNS = 2000
"""Largest number of columns for the categories of all features."""

MAX_CODES = 255
"""Largest number of codes of a feature that gradient boosting can use: of more categories, the 254 most
frequent keep their own, and the others share one."""

BOOSTING = {
    "learning_rate": 0.1,
    "max_iter": 500,
    "n_iter_no_change": 20,
    "min_samples_leaf": 10,
    "l2_regularization": 1.0,
    "max_features": 0.5,
}
"""Settings of gradient boosting: smaller leaves than scikit-learn's for small tables, and a penalty and
random features against overfitting."""

TOLERANCES = (1e-7, 1e-4)
"""Smallest decrease of the validation loss that counts for early stopping: half the squared error of targets
with standard deviation 1, and log loss."""

X = Float[np.ndarray, "row feature"]
Y = Float64[np.ndarray, "row target"]
Output = Float64[np.ndarray, "row output"]
Weight = Float[np.ndarray, " row"]


@dataclass(frozen=True)
class TrainingData:
    """What baselines are fitted to.

    Attributes:
        x: numbers, and codes of categories; NaN is a missing value.
        y: the targets, or the number of each row's class.
        weight: the weight of each row; None: all equal.
        train: the training rows.
        val: the validation rows, by which hyperparameters are chosen and training is stopped.
        categories: the number of categories of each feature; 0 for numbers.
        classes: the number of classes; 0 if the targets are numbers.
        refit: whether models are fitted again to train and val, with what val has chosen: like an ensemble,
            whose networks together learn from both.
    """

    x: X
    y: Y
    weight: Weight | None
    train: Rows
    val: Rows
    categories: Sequence[int]
    classes: int = 0
    refit: bool = False

    @property
    def joined(self) -> "TrainingData":
        """The same with the rows of train and val to train on, and none to choose by."""
        rows = np.sort(np.concatenate([self.train, self.val]))
        return replace(self, train=rows, val=rows[:0], refit=False)

    def usable(self, name: str) -> "TrainingData":
        """The rows for a baseline: a sample if there are too many, and none with weight 0.

        Validation rows of classes that no training row has are left out. If none is left, the training rows
        take their place.
        """
        train, val = (
            rows if self.weight is None else rows[self.weight[rows] > 0] for rows in (self.train, self.val)
        )
        train, val = (sample_rows(rows, self.most_rows(name)) for rows in (train, val))
        if self.classes:
            val = val[np.isin(self.y[val, 0], self.y[train, 0])]
        return replace(self, train=train, val=val if len(val) else train)

    def relative_weights(self, rows: Rows) -> Float64[np.ndarray, " _"] | None:
        """Weights with mean 1, so that penalties do not depend on their unit."""
        if self.weight is None:
            return None
        weights = self.weight[rows].astype(np.float64)
        return weights / weights.mean()

    def features(self, *, coded: bool) -> list[int]:
        """The features that are categories, or those that are numbers."""
        return [feature for feature, size in enumerate(self.categories) if bool(size) == coded]

    @property
    def most_categories(self) -> int:
        """The number of columns that the categories of a feature get at most."""
        return min(MAX_CATEGORIES, max(2, MAX_COLUMNS // max(1, len(self.features(coded=True)))))

    @property
    def columns(self) -> int:
        """The number of columns of linear models at most; a number may get an indicator column."""
        return sum(min(size, self.most_categories) if size else 2 for size in self.categories)

    def most_rows(self, name: str) -> int:
        """The number of rows that a baseline is fitted to at most."""
        if name == "linear":
            work = self.columns * (100 * self.classes or self.columns)
            return int(np.clip(FITTED_WORK / work, *FITTED_ROWS))
        return BOOSTED_VALUES // len(self.categories) if name == "boosting" else len(self.x)


class Constant:
    """The mean of the targets, or the shares of the classes."""

    def __init__(self, data: TrainingData) -> None:
        y, weights = data.y[data.train], data.relative_weights(data.train)
        if data.classes:
            counts = np.bincount(y[:, 0].astype(np.int64), weights, data.classes)
            self.output = counts / counts.sum()
        else:
            self.output = np.average(y, 0, weights)

    def refitted(self, data: TrainingData) -> "Constant":
        """The constant of other rows."""
        return Constant(data)

    def predict(self, x: X) -> Output:
        """The same output for all rows."""
        return np.tile(self.output, (len(x), 1))


class Linear:
    """Ridge regression, or logistic regression with an l2 penalty.

    Missing numbers are imputed by the median, with an indicator column. Numbers are standardized, categories
    are one-hot encoded. The penalty of ridge regression is chosen for each target by leave-one-out
    cross-validation, that of logistic regression by the log loss of the validation rows.

    Args:
        inverse_penalty: scikit-learn's `C` of logistic regression; None: it is chosen.
    """

    def __init__(self, data: TrainingData, inverse_penalty: float | None = None) -> None:
        from sklearn.compose import ColumnTransformer  # imported here since it takes a second
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=data.most_categories)
        self.columns = ColumnTransformer(
            [
                ("numbers", make_pipeline(imputer, StandardScaler()), data.features(coded=False)),
                ("categories", one_hot, data.features(coded=True)),
            ],
            sparse_threshold=1.0,
        )
        self.classes, columns = data.classes, self.columns.fit_transform(data.x[data.train])
        y, weights = data.y[data.train], data.relative_weights(data.train)
        if data.classes:
            models = _logistic_models(columns, y[:, 0], weights)
            given = (model for model in models if inverse_penalty == model.C)
            self.model = next(given) if inverse_penalty else self._best(data, models)
        else:
            self.model = RidgeCV(PENALTIES, alpha_per_target=True).fit(columns, y, weights)

    def _best(self, data: TrainingData, models: Iterable[Any]) -> Any:
        """The logistic regression with the lowest log loss of the validation rows."""
        from sklearn.metrics import log_loss

        y, weights = data.y[data.val, 0], data.relative_weights(data.val)
        columns = self.columns.transform(data.x[data.val])

        def loss(model: Any) -> float:
            predicted = model.predict_proba(columns)
            return float(log_loss(y, predicted, sample_weight=weights, labels=model.classes_))

        return min(models, key=loss)

    def refitted(self, data: TrainingData) -> "Linear":
        """Logistic regression of other rows with the same penalty, or ridge regression of these rows."""
        return Linear(data, self.model.C if self.classes else None)

    def predict(self, x: X) -> Output:
        """The targets, or the probabilities of the classes."""
        columns = self.columns.transform(x)
        if self.classes:
            return _of_all_classes(self.model, self.model.predict_proba(columns), self.classes)
        return self.model.predict(columns).reshape(len(x), -1).astype(np.float64)


class Boosting:
    """Gradient boosting of histogram-based trees: a model for each target, or one for all classes.

    Categories are split as categories, and missing values are a value of their own. Training stops when the
    loss of the validation rows no longer decreases, and the trees up to its minimum predict. Targets are
    standardized, since the tolerance of early stopping is absolute.

    Args:
        iterations: their number in the model of each target; None: it is chosen.
    """

    def __init__(self, data: TrainingData, iterations: Sequence[int] | None = None) -> None:
        from sklearn.compose import ColumnTransformer
        from sklearn.preprocessing import OrdinalEncoder

        coded = data.features(coded=True)
        encoder = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=np.nan,
            encoded_missing_value=np.nan,
            max_categories=MAX_CODES,
        )
        self.codes = ColumnTransformer([("categories", encoder, coded)], remainder="passthrough")
        x = self.codes.fit_transform(data.x[data.train])
        x[:, np.isnan(x).all(0)] = 0  # scikit-learn cannot bin a number that is always missing
        y, weights = data.y[data.train], data.relative_weights(data.train)
        self.classes, self.mean, self.std = data.classes, np.zeros(1), np.ones(1)
        if not data.classes:
            self.mean = np.average(y, 0, weights)
            std = np.sqrt(np.average(np.square(y - self.mean), 0, weights))
            self.std = np.where(std > 0, std, 1)
        of_codes = list(range(len(coded))) or None
        given: Sequence[int | None] = iterations or [None] * y.shape[1]
        self.models = [self._fit(data, x, target, of_codes, most) for target, most in enumerate(given)]
        self.iterations = iterations or [_best_iterations(model) for model in self.models]

    def _fit(self, data: TrainingData, x: X, target: int, coded: list[int] | None, most: int | None) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        kind = HistGradientBoostingClassifier if data.classes else HistGradientBoostingRegressor
        model = kind(
            **BOOSTING,
            tol=TOLERANCES[bool(data.classes)],
            categorical_features=coded,
            early_stopping=True,
            random_state=0,
        )
        y = (data.y[:, target] - self.mean[target]) / self.std[target]
        weights = data.relative_weights(data.train)
        if most:
            return model.set_params(max_iter=most, early_stopping=False).fit(x, y[data.train], weights)
        return model.fit(
            x,
            y[data.train],
            weights,
            X_val=self.codes.transform(data.x[data.val]),
            y_val=y[data.val],
            sample_weight_val=data.relative_weights(data.val),
        )

    def refitted(self, data: TrainingData) -> "Boosting":
        """The models of other rows with the same numbers of iterations."""
        return Boosting(data, self.iterations)

    def predict(self, x: X) -> Output:
        """The targets, or the probabilities of the classes."""
        codes = self.codes.transform(x)
        if self.classes:
            (model,), (last,) = self.models, self.iterations
            return _of_all_classes(model, _stage(model.staged_predict_proba(codes), last), self.classes)
        predicted = [
            _stage(model.staged_predict(codes), last)
            for model, last in zip(self.models, self.iterations, strict=True)
        ]
        return np.column_stack(predicted) * self.std + self.mean


Model = Constant | Linear | Boosting


def _logistic_models(
    columns: Any, y: Float64[np.ndarray, " row"], weights: Float64[np.ndarray, " row"] | None
) -> Iterator[Any]:
    """Logistic regression with each penalty, from the largest; each fit starts where the one before ended."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(tol=1e-3, warm_start=True)
    for inverse in INVERSE_PENALTIES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # at the weakest penalties
            model.set_params(C=inverse).fit(columns, y, weights)
        yield copy(model)


def _best_iterations(model: Any) -> int:
    """The iterations up to the lowest validation loss; the first of these losses is that of no tree."""
    return max(1, int(model.validation_score_.argmax()))


def _stage(stages: Iterable[Float64[np.ndarray, "..."]], iterations: int) -> Float64[np.ndarray, "..."]:
    """The prediction after some iterations."""
    return next(islice(stages, iterations - 1, None))


def _of_all_classes(model: Any, probabilities: Float[np.ndarray, "row known"], classes: int) -> Output:
    """Probabilities of all classes: 0 for those that the model has not seen."""
    every = np.zeros((len(probabilities), classes))
    every[:, model.classes_.astype(np.int64)] = probabilities
    return every
