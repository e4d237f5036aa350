"""What scikit-learn's users give as X, as a frame."""

from typing import Any

import polars as pl
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from mlplab.data.frames import in_memory, to_polars

Input = Any
"""A frame, an array or a list, as scikit-learn takes them; it has no types."""


def as_columns(estimator: BaseEstimator, X: Input, *, reset: bool) -> pl.DataFrame:  # noqa: N803
    """The columns of a frame or an array, with their names in `fit`: x0, x1, … if these are not text.

    Args:
        reset: whether to set the attributes about the columns, as in `fit`, instead of checking them.

    Raises:
        ValueError: if X is neither a frame nor an array, or has other columns than in `fit`.
    """
    X = in_memory(X)  # noqa: N806
    if is_frame := hasattr(X, "columns"):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
    else:
        X = validate_data(estimator, X, reset=reset, dtype=None, ensure_all_finite="allow-nan")  # noqa: N806
    names = [*getattr(estimator, "feature_names_in_", ())]
    names = names or [f"x{number}" for number in range(estimator.n_features_in_)]
    if not is_frame:
        return to_polars(dict(zip(names, X.T, strict=True)), "X")
    if hasattr(X, "set_axis"):  # pandas' names may be numbers
        X = X.set_axis(names, axis=1)  # noqa: N806
    return to_polars(X, "X", names).rename(dict(zip(X.columns, names, strict=True)))
