"""How far the networks of an ensemble disagree about each row."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from mlplab.runs.predictions import weighted_mean

Values = Float64[np.ndarray, "member row output"]
Weights = Float64[np.ndarray, " member"]
Spread = Callable[[Values, Weights], Float64[np.ndarray, "row column"]]


def no_spread(values: Values, weights: Weights) -> Float64[np.ndarray, "row 0"]:
    """No columns."""
    return np.empty((values.shape[1], 0))


def standard_deviation(values: Values, weights: Weights) -> Float64[np.ndarray, "row target"]:
    """The standard deviation of the members' predictions of each target; the sum of the weights is 1."""
    return np.sqrt(weighted_mean((values - weighted_mean(values, weights)) ** 2, weights))


def entropy_and_disagreement(values: Values, weights: Weights) -> Float64[np.ndarray, "row 2"]:
    """The entropy of the mean probabilities, and the part of it that comes from disagreement, in nats.

    The part is the entropy of the mean minus the mean entropy of the members: the mutual information of the
    class and the member (Lakshminarayanan et al. 2017; Depeweg et al. 2018). It is 0 if all members predict
    the same probabilities, however uncertain these are.
    """
    total = _entropy(weighted_mean(values, weights))
    of_members = weighted_mean(_entropy(values)[..., None], weights)[:, 0]
    return np.column_stack([total, (total - of_members).clip(min=0)])


def _entropy(probabilities: Float64[np.ndarray, "*rows class"]) -> Float64[np.ndarray, "*rows"]:
    logarithms = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return -(probabilities * logarithms).sum(-1) + 0.0  # turns -0 into 0
