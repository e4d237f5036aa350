"""The loss: what is minimised."""

from typing import Literal

from mlplab.config.types import Positive, Section


class SimpleLoss(Section):
    """Mean squared or mean absolute error."""

    name: Literal["mse", "mae"]


class HuberLoss(Section):
    """Squared error below `delta`, absolute above. `delta` is in standard deviations of the target."""

    name: Literal["huber"]
    delta: Positive
