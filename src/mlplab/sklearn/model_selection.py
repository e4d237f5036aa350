"""Cross-validation and grid search as scikit-learn's, whose fits train in lockstep."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from sklearn import model_selection
from sklearn.base import clone, is_classifier
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_method_params

from mlplab.sklearn.estimators import TableClassifier, TableRegressor
from mlplab.sklearn.lockstep import trained_together

Estimator = TableRegressor | TableClassifier


def cross_validate(
    estimator: Estimator,
    X: Any,  # noqa: N803 - scikit-learn's name
    y: Any,
    *,
    groups: Any = None,
    cv: Any = None,
    params: Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """The scores of scikit-learn's `cross_validate`, several times faster: the folds train in lockstep.

    Args:
        params: arguments of `fit`: `{"sample_weight": …}`.
        options: further arguments of scikit-learn's `cross_validate`, such as `scoring`; without `n_jobs`.

    Returns:
        As there; but `fit_time` is not the time of training.
    """
    with _trained_folds([estimator], X, y, groups, cv, params) as folds:
        return model_selection.cross_validate(estimator, X, y, cv=folds, params=params, **options)


def grid(
    estimator: Estimator,
    X: Any,  # noqa: N803
    y: Any,
    param_grid: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Sequence[Any]]],
    *,
    groups: Any = None,
    cv: Any = None,
    params: Mapping[str, Any] | None = None,
    **options: Any,
) -> model_selection.GridSearchCV:
    """A fitted `GridSearchCV`, several times faster: folds and candidates train in lockstep.

    Args:
        params: arguments of `fit`: `{"sample_weight": …}`.
        options: further arguments of `GridSearchCV`, such as `scoring`; without `n_jobs`.
    """
    values = model_selection.ParameterGrid(param_grid)
    candidates = [clone(estimator).set_params(**clone(chosen, safe=False)) for chosen in values]
    with _trained_folds(candidates, X, y, groups, cv, params) as folds:
        search = model_selection.GridSearchCV(estimator, param_grid, cv=folds, **options)
        return search.fit(X, y, **(params or {}))


@contextmanager
def _trained_folds(
    candidates: Sequence[Estimator],
    X: Any,  # noqa: N803
    y: Any,
    groups: Any,
    cv: Any,
    params: Mapping[str, Any] | None,
) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    """The folds of all candidates; within the block, fits to their training rows take trained networks."""
    splitter = model_selection.check_cv(cv, y, classifier=is_classifier(candidates[0]))
    folds, sets = list(splitter.split(X, y, groups)), []
    for candidate in candidates:
        for rows, _ in folds:
            fit_params = _check_method_params(X, params or {}, indices=rows)
            with suppress(ValueError):  # which `fit` raises again
                given = _safe_indexing(X, rows), _safe_indexing(y, rows)
                sets.append(clone(candidate).training_set(*given, **fit_params))
    with trained_together(sets):
        yield folds
