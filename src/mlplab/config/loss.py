"""The loss: what is minimised."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field

from mlplab.config.types import Positive, Section


class AutoLoss(Section):
    """The loss that suits the target: `mse` for numbers, `cross_entropy` for classes."""

    name: Literal["auto"]


class SimpleLoss(Section):
    """Mean squared or mean absolute error."""

    name: Literal["mse", "mae"]


class HuberLoss(Section):
    """Squared error below `delta`, absolute above. `delta` is in standard deviations of the target."""

    name: Literal["huber"]
    delta: Positive


class CrossEntropyLoss(Section):
    """Cross-entropy of classes. `label_smoothing` is the share of each row that all classes get equally."""

    name: Literal["cross_entropy"]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]


Loss = Annotated[AutoLoss | SimpleLoss | HuberLoss | CrossEntropyLoss, Discriminator("name")]
