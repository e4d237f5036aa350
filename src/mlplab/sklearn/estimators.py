"""Estimators for scikit-learn. They train on all rows that they are given."""

import pickle
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from jaxtyping import Float64, Shaped
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import assert_all_finite, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from mlplab.config.types import Auto
from mlplab.conformal.intervals import LEVEL, Sets, Uncertainty
from mlplab.console import plural
from mlplab.data.batches.loader import EVALUATION_MULTIPLE
from mlplab.data.infer.suspicious_numbers import most_classes
from mlplab.data.splits.split import Rows
from mlplab.errors import Fault, UserError, refusal
from mlplab.files import Plain
from mlplab.runs.predictions import check_levels, levels_given
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.versions import VERSION
from mlplab.sklearn.model_selection import FIT
from mlplab.sklearn.training_set import Input, as_columns, training_set


@dataclass(kw_only=True, eq=False, repr=False)  # whose `__init__` is as scikit-learn wants it
class _TableEstimator(BaseEstimator):  # type: ignore[misc]
    """What the estimators have in common; of this text, all but this line is part of their own.

    Args:
        quality: `fast` trains one network, `best` 24, and `default` as many as the command `train`. Has no
            effect if `ensemble` is given.
        hidden: widths of the hidden layers, such as `(256, 128)`. Here and below, `auto` is what the command
            `train` chooses for the table.
        dropout, lr, weight_decay, batch_size, max_epochs: as the keys of these names.
        patience: epochs without improvement on the validation rows after which training stops; None: never.
        ensemble: number of networks whose predictions are averaged.
        val: share of the rows that choose the best epoch; the others train. At least one row.
        random_state: of the weights, the batches, and the validation rows.
        overrides: further keys, as they are typed after `train`: `("model.activation=gelu",)`. Not those that
            the estimator sets: the table, its target, weight and split, and what it writes.

    Attributes:
        ensemble_: the trained networks, as `mlplab.load` returns them.
        n_features_in_: number of columns of `X`.
        feature_names_in_: their names, if `X` was a frame whose names are text.
    """

    quality: Literal["fast", "default", "best"] = "default"
    hidden: tuple[int, ...] | Auto = "auto"
    dropout: float | Auto = "auto"
    lr: float | Auto = "auto"
    weight_decay: float | Auto = "auto"
    batch_size: int | Auto = "auto"
    max_epochs: int | Auto = "auto"
    patience: int | Auto | None = "auto"
    ensemble: int | Auto = "auto"
    val: float = 0.15
    random_state: int | np.random.RandomState | None = 0
    overrides: tuple[str, ...] = ()
    _task: ClassVar[str]

    def __init_subclass__(cls, **keywords: object) -> None:
        super().__init_subclass__(**keywords)
        _, gap, common = (_TableEstimator.__doc__ or "").partition("\n\n")
        cls.__doc__ = f"{cls.__doc__}{gap}{common}"

    def fit(self, X: Input, y: Input, sample_weight: Input = None) -> Self:  # noqa: N803 - scikit-learn's name
        """Trains on all rows.

        Args:
            X: a pandas or polars frame, whose columns may be text and have missing values, or an array.
            y: the target; of a regressor, several targets may be columns.
            sample_weight: the weight of each row, or of all, in loss, metrics and statistics. Rows of weight
                0 are left out.

        Raises:
            ValueError: with all faults of the table (`mlplab.UserError`), or as scikit-learn's.
            mlplab.RunFailed: if the loss becomes non-finite.
        """
        self.__dict__.pop("ensemble_", None)  # there is none if this fit fails
        check_consistent_length(X, y)
        weight, used = None, np.arange(X.shape[0] if hasattr(X, "shape") else len(np.asarray(X)))
        if sample_weight is not None:
            each = np.full(len(used), sample_weight) if np.isscalar(sample_weight) else sample_weight
            assert_all_finite(weights := column_or_1d(each, dtype=np.float64), input_name="sample_weight")
            if len(weights) != len(used):
                found, expected = plural(len(weights), "weight"), f"{len(used):,}, as X has rows, or a number"
                raise UserError(Fault("has a wrong length", "sample_weight", found, expected))
            used = np.flatnonzero(weights)
            weight = weights[used]
        if len(used) < 2:
            what = "has too few rows" if weight is None else "has too few rows whose weight is not zero"
            raise UserError(Fault(what, "X", plural(len(used), "sample"), "2 or more"))
        target = self._target(y, used)  # first, since it forgets the names of columns
        columns = as_columns(self, X, reset=True)[used]
        seed, fit = self.random_state, FIT.get()
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31)
        keys: Plain = {
            "quality": self.quality,
            "task": self._task,
            "seed": seed,
            "data.split.seed": seed,
            "data.split.val": max(self.val, 1 / len(columns)),
            "callbacks.early_stopping.patience": self.patience,
            "model.hidden": self.hidden,
            "model.dropout": self.dropout,
            "optimizer.lr": self.lr,
            "optimizer.weight_decay": self.weight_decay,
            "data.batch_size": self.batch_size,
            "trainer.max_epochs": self.max_epochs,
            "ensemble": self.ensemble,
        }
        given = {key: value for key, value in keys.items() if np.ndim(value) or value != "auto"}
        rows = training_set(columns, target, weight, given, self.overrides)
        self.ensemble_ = fit.networks(rows) if fit else rows.train()
        return self

    @abstractmethod
    def _target(self, y: Input, used: Rows) -> Float64[np.ndarray, " *row_and_target"]:
        """The targets of some rows as numbers; sets what is known of them."""

    def _predicted(self, X: Input, predict: Callable[[Any, pl.DataFrame], Any]) -> Any:  # noqa: N803
        check_is_fitted(self)
        columns = as_columns(self, X, reset=False)
        if 0 < (rows := len(columns)) < EVALUATION_MULTIPLE:  # or rounding would depend on the number of rows
            columns = columns[np.minimum(np.arange(EVALUATION_MULTIPLE), rows - 1)]
        return predict(self.ensemble_, columns)[:rows]

    def _around(self, X: Input, level: float, of: Callable[..., Any], **levels: Sequence[float]) -> Any:  # noqa: N803
        if len(levels_given("level", level)) != 1 or not isinstance(level, float):
            raise UserError(Fault("is no single number", "level", str(level), "such as 0.9"))

        def predict(ensemble: Ensemble, frame: pl.DataFrame) -> Any:
            check_levels(ensemble.runs, **levels)
            return of(ensemble.uncertainty, ensemble.predict_outputs(frame)[0], level)

        return self._predicted(X, predict)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "ensemble_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.categorical = tags.input_tags.string = True
        return tags

    def __getstate__(self) -> Plain:
        # The networks are bytes, which another version refuses before it reads them.
        state = dict(super().__getstate__())
        if "ensemble_" in state:
            state |= {"ensemble_": pickle.dumps(state["ensemble_"]), "_mlplab_version": VERSION}
        return state

    def __setstate__(self, state: Plain) -> None:
        state = dict(state)
        if (version := state.pop("_mlplab_version", VERSION)) != VERSION:
            what = f"was fitted by mlplab {version}, which this version ({VERSION}) cannot read"
            raise refusal(what, f"the {type(self).__name__}", f"fit it again, or use mlplab {version}")
        if "ensemble_" in state:
            state["ensemble_"] = pickle.loads(state["ensemble_"])
        super().__setstate__(state)


class TableRegressor(RegressorMixin, _TableEstimator):  # type: ignore[misc] # without types
    """Predicts numbers: one target, or several."""

    _task = "regression"

    def _target(self, y: Input, used: Rows) -> Float64[np.ndarray, " *row_and_target"]:
        return validate_data(self, y=y, multi_output=True, y_numeric=True)[used].astype(np.float64)

    def predict(self, X: Input) -> Float64[np.ndarray, " *row_and_target"]:  # noqa: N803
        """Predicts the target of each row; several targets are columns."""
        return self._predicted(X, Ensemble.predict)

    def predict_interval(self, X: Input, level: float = LEVEL) -> Float64[np.ndarray, "*row_and_target 2"]:  # noqa: N803
        """Predicts the limits between which the target of each row is with the probability `level`.

        Raises:
            UserError: if the level is not between 0 and 1, or if too few rows were held out for it.
        """
        bounds = self._around(X, level, Uncertainty.bounds, intervals=[level])
        return bounds[:, 0] if bounds.shape[1] == 1 else bounds

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class TableClassifier(ClassifierMixin, _TableEstimator):  # type: ignore[misc]
    """Predicts classes, and their probabilities."""

    _task = "multiclass"

    def _target(self, y: Input, used: Rows) -> Float64[np.ndarray, " row"]:
        y = validate_data(self, y=y)[used]
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        count = len(self.classes_)
        if count == 1:
            what = f"all rows are of class '{self.classes_[0]}'"
            raise refusal(what, "y", "give it rows of two classes or more")
        if count > most_classes(len(y), asked=True):
            what = f"has {count:,} different values in {len(y):,} rows, too many to be classes"
            raise refusal(what, "y", "if it is a number, use TableRegressor")
        return numbers.astype(np.float64)

    def predict(self, X: Input) -> Shaped[np.ndarray, " row"]:  # noqa: N803
        """Predicts the class of each row."""
        numbers = self._predicted(X, Ensemble.predict)  # first, since it checks that there are classes
        return self.classes_[numbers]

    def predict_proba(self, X: Input) -> Float64[np.ndarray, "row class"]:  # noqa: N803
        """Predicts the probability of each of `classes_`."""
        return self._predicted(X, Ensemble.predict_proba)

    def predict_set(self, X: Input, level: float = LEVEL) -> Sets:  # noqa: N803
        """Predicts which of `classes_` are in a set that has the true class with the probability `level`.

        Raises:
            UserError: as `TableRegressor.predict_interval`.
        """
        return self._around(X, level, Uncertainty.sets, sets=[level])
