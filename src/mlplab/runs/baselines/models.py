"""The models of the baselines: constants, and scikit-learn's linear models and gradient boosting.

Of quantiles, they predict those of the training rows; those of the residuals around ridge regression; and
what boosting learns with a model for each.
"""

import warnings
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from mlplab.conformal.intervals import Levels
from mlplab.data.splits.split import Rows
from mlplab.data.table import Table
from mlplab.files import Plain

# Candidate penalties of ridge regression, for standardized numbers and weights with mean 1.
PENALTIES = tuple(10.0**exponent for exponent in range(-3, 6))

# Candidates for scikit-learn's `C` of logistic regression. With larger values, classes that a few validation
# rows do not tell apart get probabilities so close to 0 and 1 that a single error ruins the log loss.
INVERSE_PENALTIES = tuple(10.0**exponent for exponent in range(-4, 3))

MAX_CATEGORIES = 500
"""Number of most frequent categories of a feature that get their own column; the others share a column."""

# Settings of gradient boosting: smaller leaves than scikit-learn's for small tables, and a penalty and
# random features against overfitting.
BOOSTING = {
    "learning_rate": 0.1,
    "max_iter": 500,
    "n_iter_no_change": 20,
    "min_samples_leaf": 10,
    "l2_regularization": 1.0,
    "max_features": 0.5,
}


X = Float[np.ndarray, "row feature"]
Output = Float64[np.ndarray, "row output"]
Weights = Float64[np.ndarray, " row"] | None
Chosen = (
    Sequence[Any] | None
)  # the hyperparameters that validation rows have chosen; None: they are to choose


@dataclass(frozen=True)
class TrainingData:
    """Rows of a table that baselines are fitted to, and rows by which hyperparameters are chosen.

    Attributes:
        quantiles: the levels of the quantiles that are predicted; none: the targets, or classes.
    """

    table: Table
    train: Rows
    val: Rows
    quantiles: Levels = ()

    @property
    def classes(self) -> int:
        """The number of classes; 0 for regression."""
        return len(self.table.schema.classes)

    @property
    def joined(self) -> "TrainingData":
        """All rows of train and val to train on, and none to choose by."""
        return replace(self, train=np.sort(np.concatenate([self.train, self.val])), val=self.val[:0])

    def part(self, rows: Rows) -> tuple[X, Output, Weights]:
        """The features, targets (or numbers of classes) and weights of some rows.

        The mean weight is 1, so that penalties do not depend on the unit of weights.
        """
        table, weights = self.table, None
        if table.weight is not None:
            weights = table.weight[rows].astype(np.float64)
            weights /= weights.mean()
        return table.x[rows], table.y[rows], weights

    def features(self, *, coded: bool) -> list[int]:
        """The features that are categories, or those that are numbers."""
        sizes = self.table.schema.category_counts
        return [feature for feature, size in enumerate(sizes) if bool(size) == coded]


@dataclass(frozen=True)
class Constant:
    """The mean of the targets, the shares of the classes, or the quantiles of the target."""

    output: Float64[np.ndarray, " output"]
    chosen: None = None

    def predict(self, x: X) -> Output:
        """One output for all rows."""
        return np.tile(self.output, (len(x), 1))


def fit_constant(data: TrainingData, chosen: Chosen = None) -> Constant:
    """The constant baseline, which has nothing to be chosen."""
    table, rows = data.table, data.train
    y, weights = table.y[rows], None if table.weight is None else table.weight[rows]
    if data.classes:
        counts = np.bincount(y[:, 0].astype(np.int64), weights, data.classes)
        return Constant(counts / counts.sum())
    if data.quantiles:
        return Constant(_quantiles(y[:, 0], weights, data.quantiles))
    return Constant(np.average(y, 0, weights))


@dataclass(frozen=True)
class LinearBaseline:
    """Ridge regression, or logistic regression with an l2 penalty.

    Attributes:
        columns: makes numbers of features.
        model: that of scikit-learn.
        classes: the number of classes; 0: targets are numbers.
        added: to each prediction: of quantiles, those of the residuals.
        chosen: scikit-learn's `C` of logistic regression.
    """

    columns: Any
    model: Any
    classes: int
    added: Float64[np.ndarray, " output"]
    chosen: Chosen

    def predict(self, x: X) -> Output:
        """The targets, or the probabilities of the classes."""
        columns = self.columns.transform(x)
        if self.classes:
            return _of_all_classes(self.model, self.model.predict_proba(columns), self.classes)
        return self.model.predict(columns).reshape(len(x), -1).astype(np.float64) + self.added


def fit_linear(data: TrainingData, chosen: Chosen = None) -> LinearBaseline:
    """The linear baseline.

    Missing numbers are imputed by the median, with an indicator column. Numbers are standardized, categories
    are one-hot encoded. The penalty of ridge regression is chosen for each target by leave-one-out
    cross-validation, that of logistic regression by the log loss of the validation rows.

    Args:
        chosen: scikit-learn's `C` of logistic regression; None: it is chosen.
    """
    from sklearn.compose import make_column_transformer  # imported here since it takes a second
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES)
    columns = make_column_transformer(
        (make_pipeline(imputer, StandardScaler()), data.features(coded=False)),
        (one_hot, data.features(coded=True)),
        sparse_threshold=1.0,
    )
    x, y, weights = data.part(data.train)
    numbers, added = columns.fit_transform(x), np.zeros(1)
    if data.classes:
        model = _logistic(data, columns, numbers, chosen)
        return LinearBaseline(columns, model, data.classes, added, [model.C])
    model = RidgeCV(PENALTIES, alpha_per_target=True).fit(numbers, y, weights)
    if data.quantiles:
        residuals = y - model.predict(numbers).reshape(y.shape)
        added = _quantiles(residuals[:, 0], weights, data.quantiles)
    return LinearBaseline(columns, model, data.classes, added, chosen)


def _logistic(data: TrainingData, columns: Any, numbers: Any, chosen: Chosen) -> Any:
    """Logistic regression with the lowest log loss of the validation rows, or with the chosen penalty.

    The penalties decrease; each fit starts where the one before ended.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    (_, y, weights), (x_val, y_val, weights_val) = data.part(data.train), data.part(data.val)
    numbers_val = columns.transform(x_val)
    model, models, losses = LogisticRegression(tol=1e-3, warm_start=True), [], []
    for inverse_penalty in INVERSE_PENALTIES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # at the weakest penalties
            model.set_params(C=inverse_penalty).fit(numbers, y[:, 0], weights)
        if chosen == [inverse_penalty]:
            return model
        predicted = model.predict_proba(numbers_val)
        models.append(copy(model))
        losses.append(log_loss(y_val, predicted, sample_weight=weights_val, labels=model.classes_))
    return models[int(np.argmin(losses))]


@dataclass(frozen=True)
class Boosting:
    """Gradient boosting of histogram-based trees: a model of each target or quantile, or of all classes.

    Attributes:
        codes: makes numbers of features.
        models: those of scikit-learn.
        classes: the number of classes; 0: targets are numbers.
        quantiles: the levels that are predicted.
        mean, std: by which targets were standardized.
        chosen: the number of iterations that predict, for each model.
    """

    codes: Any
    models: Sequence[Any]
    classes: int
    quantiles: Levels
    mean: Float64[np.ndarray, " target"]
    std: Float64[np.ndarray, " target"]
    chosen: Sequence[Any]

    def predict(self, x: X) -> Output:
        """The targets, or the probabilities of the classes."""
        codes, outputs = self.codes.transform(x), []
        for model, iterations in zip(self.models, self.chosen, strict=True):
            stages = model.staged_predict_proba(codes) if self.classes else model.staged_predict(codes)
            outputs.append(next(islice(stages, iterations - 1, None)))
        if self.classes:
            return _of_all_classes(self.models[0], outputs[0], self.classes)
        predicted = np.column_stack(outputs) * self.std + self.mean
        return np.sort(predicted, 1) if self.quantiles else predicted


def fit_boosting(data: TrainingData, chosen: Chosen = None) -> Boosting:
    """The baseline of gradient boosting.

    Categories are split as categories, and missing values are a value of their own. Training stops when the
    loss of the validation rows no longer decreases, and the trees up to its minimum predict. Targets are
    standardized, since the tolerance of early stopping is absolute.

    Args:
        chosen: the number of iterations for each model; None: it is chosen.
    """
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.preprocessing import OrdinalEncoder

    coded = data.features(coded=True)
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        max_categories=255,  # the most that it can use: 254 keep their own code, the others share one
    )
    codes = make_column_transformer((encoder, coded), remainder="passthrough")
    x, y, weights = data.part(data.train)
    x = codes.fit_transform(x)
    x[:, np.isnan(x).all(0)] = 0  # scikit-learn cannot bin a number that is always missing
    mean, std = np.zeros(1), np.ones(1)
    if not data.classes:
        mean = np.average(y, 0, weights)
        std = np.sqrt(np.average(np.square(y - mean), 0, weights))
        std = np.where(std > 0, std, 1)
    x_val, y_val, weights_val = data.part(data.val)
    val = {"X_val": codes.transform(x_val), "sample_weight_val": weights_val}
    kind = HistGradientBoostingClassifier if data.classes else HistGradientBoostingRegressor
    y, y_val = ((target - mean) / std for target in (y, y_val))
    models, losses = [], [{"loss": "quantile", "quantile": level} for level in data.quantiles]
    for number, loss in enumerate(losses or [Plain()] * y.shape[1]):
        target = 0 if losses else number
        settings = BOOSTING | loss | ({"max_iter": chosen[number]} if chosen else {})
        model = kind(
            **settings,
            # the decrease that counts: of log loss, or half the squared error of targets with SD 1
            tol=1e-4 if data.classes else 1e-7,
            categorical_features=list(range(len(coded))) or None,
            early_stopping=not chosen,
            random_state=0,
        )
        stop_by = {} if chosen else val | {"y_val": y_val[:, target]}
        models.append(model.fit(x, y[:, target], weights, **stop_by))
    # the first loss of the validation rows is that without a tree
    iterations = chosen or [max(1, int(model.validation_score_.argmax())) for model in models]
    return Boosting(codes, models, data.classes, data.quantiles, mean, std, iterations)


Model = Constant | LinearBaseline | Boosting


def _quantiles(
    values: Float[np.ndarray, " row"], weights: Weights, levels: Levels
) -> Float[np.ndarray, " level"]:
    """The weighted quantiles of values: the smallest that reach the shares."""
    return np.quantile(values, levels, method="inverted_cdf", weights=weights)


def _of_all_classes(model: Any, probabilities: Float[np.ndarray, "row known"], classes: int) -> Output:
    """Probabilities of all classes: 0 for those that the model has not seen."""
    every = np.zeros((len(probabilities), classes))
    every[:, model.classes_.astype(np.int64)] = probabilities
    return every
