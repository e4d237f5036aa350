"""The models of the baselines: constants, and scikit-learn's linear models and gradient boosting."""

import warnings
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float64

from mlplab.data.splits.split import Rows, sample_rows
from mlplab.data.table import Table

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

BOOSTED_VALUES, FEWEST_BOOSTED = 10**7, 2000
"""Largest number of training rows × features × outputs for gradient boosting, which takes up to half a minute
of one core. If there are more, a random sample of the rows is used, but of no fewer than so many rows."""

MAX_CATEGORIES = 500
"""Number of most frequent categories of a feature that get their own column; the others share a column."""

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
Output = Float64[np.ndarray, "row output"]


class Sample(NamedTuple):
    """Features, targets (or numbers of classes), and weights with mean 1."""

    x: X
    y: Output
    weights: Float64[np.ndarray, " row"] | None


@dataclass(frozen=True)
class TrainingData:
    """Rows of a table that baselines are fitted to, and rows by which hyperparameters are chosen."""

    table: Table
    train: Rows
    val: Rows

    @property
    def classes(self) -> int:
        """The number of classes; 0 for regression."""
        return len(self.table.schema.classes)

    @property
    def joined(self) -> "TrainingData":
        """The same with the rows of train and val to train on, and none to choose by."""
        return replace(self, train=np.sort(np.concatenate([self.train, self.val])), val=self.val[:0])

    def usable(self, name: str) -> "TrainingData":
        """The rows for a baseline: a sample if there are too many, and none with weight 0.

        Validation rows of classes that no training row has are left out. If none is left, the training rows
        take their place.
        """
        y, weight = self.table.y, self.table.weight
        train, val = (
            sample_rows(rows if weight is None else rows[weight[rows] > 0], self.most_rows(name))
            for rows in (self.train, self.val)
        )
        if self.classes:
            val = val[np.isin(y[val, 0], y[train, 0])]
        return replace(self, train=train, val=val if len(val) else train)

    def part(self, rows: Rows) -> Sample:
        """The features, targets and weights of some rows.

        The mean weight is 1, so that penalties do not depend on the unit of weights.
        """
        table, weights = self.table, None
        if table.weight is not None:
            weights = table.weight[rows].astype(np.float64)
            weights /= weights.mean()
        return Sample(table.x[rows], table.y[rows], weights)

    def features(self, *, coded: bool) -> list[int]:
        """The features that are categories, or those that are numbers."""
        sizes = self.table.schema.categories
        return [feature for feature, size in enumerate(sizes) if bool(size) == coded]

    @property
    def columns(self) -> int:
        """The number of columns of linear models at most; a number may get an indicator column."""
        return sum(min(size, MAX_CATEGORIES) if size else 2 for size in self.table.schema.categories)

    def most_rows(self, name: str) -> int:
        """The number of rows that a baseline is fitted to at most."""
        if name == "linear":
            work = self.columns * (100 * self.classes or self.columns)
            return int(np.clip(FITTED_WORK / work, *FITTED_ROWS))
        if name == "boosting":
            outputs = self.classes if self.classes > 2 else self.table.y.shape[1]
            return max(FEWEST_BOOSTED, BOOSTED_VALUES // (self.table.x.shape[1] * outputs))
        return len(self.table.x)


class Constant:
    """The mean of the targets, or the shares of the classes."""

    chosen = None

    def __init__(self, data: TrainingData, chosen: Sequence[Any] | None = None) -> None:
        _, y, weights = data.part(data.train)
        if data.classes:
            counts = np.bincount(y[:, 0].astype(np.int64), weights, data.classes)
            self.output = counts / counts.sum()
        else:
            self.output = np.average(y, 0, weights)

    def predict(self, x: X) -> Output:
        """The same output for all rows."""
        return np.tile(self.output, (len(x), 1))


class Linear:
    """Ridge regression, or logistic regression with an l2 penalty.

    Missing numbers are imputed by the median, with an indicator column. Numbers are standardized, categories
    are one-hot encoded. The penalty of ridge regression is chosen for each target by leave-one-out
    cross-validation, that of logistic regression by the log loss of the validation rows.

    Args:
        chosen: scikit-learn's `C` of logistic regression; None: it is chosen.
    """

    def __init__(self, data: TrainingData, chosen: Sequence[Any] | None = None) -> None:
        from sklearn.compose import ColumnTransformer  # imported here since it takes a second
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES)
        self.columns = ColumnTransformer(
            [
                ("numbers", make_pipeline(imputer, StandardScaler()), data.features(coded=False)),
                ("categories", one_hot, data.features(coded=True)),
            ],
            sparse_threshold=1.0,
        )
        train = data.part(data.train)
        columns = self.columns.fit_transform(train.x)
        self.classes, self.chosen = data.classes, chosen
        if data.classes:
            self.model = self._logistic(train, columns, data.part(data.val), chosen)
            self.chosen = [self.model.C]
        else:
            self.model = RidgeCV(PENALTIES, alpha_per_target=True).fit(columns, train.y, train.weights)

    def _logistic(self, train: Sample, columns: Any, val: Sample, chosen: Sequence[float] | None) -> Any:
        """Logistic regression with the lowest log loss of the validation rows, or with the chosen penalty.

        The penalties decrease; each fit starts where the one before ended.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import log_loss

        columns_val = self.columns.transform(val.x)
        model, models, losses = LogisticRegression(tol=1e-3, warm_start=True), [], []
        for inverse_penalty in INVERSE_PENALTIES:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # at the weakest penalties
                model.set_params(C=inverse_penalty).fit(columns, train.y[:, 0], train.weights)
            if chosen == [inverse_penalty]:
                return model
            predicted = model.predict_proba(columns_val)
            models.append(copy(model))
            losses.append(log_loss(val.y, predicted, sample_weight=val.weights, labels=model.classes_))
        return models[int(np.argmin(losses))]

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
        chosen: the number of iterations for each target; None: it is chosen.
    """

    def __init__(self, data: TrainingData, chosen: Sequence[Any] | None = None) -> None:
        from sklearn.compose import ColumnTransformer
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
        from sklearn.preprocessing import OrdinalEncoder

        coded = data.features(coded=True)
        encoder = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=np.nan,
            encoded_missing_value=np.nan,
            max_categories=MAX_CODES,
        )
        self.codes = ColumnTransformer([("categories", encoder, coded)], remainder="passthrough")
        x, y, weights = data.part(data.train)
        x = self.codes.fit_transform(x)
        x[:, np.isnan(x).all(0)] = 0  # scikit-learn cannot bin a number that is always missing
        self.classes, self.mean, self.std = data.classes, np.zeros(1), np.ones(1)
        if not data.classes:
            self.mean = np.average(y, 0, weights)
            std = np.sqrt(np.average(np.square(y - self.mean), 0, weights))
            self.std = np.where(std > 0, std, 1)
        x_val, y_val, weights_val = data.part(data.val)
        val = {"X_val": self.codes.transform(x_val), "sample_weight_val": weights_val}
        kind = HistGradientBoostingClassifier if data.classes else HistGradientBoostingRegressor
        y, y_val = ((each - self.mean) / self.std for each in (y, y_val))
        self.models = []
        for target in range(y.shape[1]):
            settings = BOOSTING | ({"max_iter": chosen[target]} if chosen else {})
            model = kind(
                **settings,
                tol=TOLERANCES[bool(data.classes)],
                categorical_features=list(range(len(coded))) or None,
                early_stopping=not chosen,
                random_state=0,
            )
            stop_by = {} if chosen else val | {"y_val": y_val[:, target]}
            self.models.append(model.fit(x, y[:, target], weights, **stop_by))
        # the first loss of the validation rows is that without a tree
        self.chosen = chosen or [max(1, int(model.validation_score_.argmax())) for model in self.models]

    def predict(self, x: X) -> Output:
        """The targets, or the probabilities of the classes."""
        codes, outputs = self.codes.transform(x), []
        for model, iterations in zip(self.models, self.chosen, strict=True):
            stages = model.staged_predict_proba(codes) if self.classes else model.staged_predict(codes)
            outputs.append(next(islice(stages, iterations - 1, None)))
        if self.classes:
            return _of_all_classes(self.models[0], outputs[0], self.classes)
        return np.column_stack(outputs) * self.std + self.mean


Model = Constant | Linear | Boosting


def _of_all_classes(model: Any, probabilities: Float[np.ndarray, "row known"], classes: int) -> Output:
    """Probabilities of all classes: 0 for those that the model has not seen."""
    every = np.zeros((len(probabilities), classes))
    every[:, model.classes_.astype(np.int64)] = probabilities
    return every
