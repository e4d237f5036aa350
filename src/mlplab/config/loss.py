"""The loss: what is minimised."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field

from mlplab.config.types import ClassSection, Mark, Positive, Section, allowed, read_levels

MEDIAN = 0.5


class AutoLoss(Section):
    """The loss that suits the target: `mse` for numbers, `cross_entropy` for classes."""

    name: Literal["auto"]


class SimpleLoss(Section):
    """Mean squared or mean absolute error."""

    name: Literal["mse", "mae"]


class HuberLoss(Section):
    """Squared error below `delta`, absolute above. `delta` is in standard deviations of the target."""

    name: Literal["huber"]
    delta: Annotated[Positive, Mark.PER_MEMBER]


def _read_quantiles(value: object) -> list[float]:
    levels = [*read_levels(value)]
    if levels != sorted(levels) or MEDIAN not in levels:
        raise ValueError("quantiles ascend, and one is the median, as in [0.05,0.5,0.95]")
    return levels


class QuantileLoss(Section):
    """The mean pinball loss of several quantiles of the target; the median is the prediction."""

    name: Literal["quantile"]
    levels: Annotated[list[float], BeforeValidator(_read_quantiles)]


class CrossEntropyLoss(Section):
    """Cross-entropy of classes. `label_smoothing` is the share of each row that all classes get equally."""

    name: Literal["cross_entropy"]
    label_smoothing: Annotated[float, Field(ge=0, lt=1), Mark.PER_MEMBER]


class CustomLoss(ClassSection):
    """A custom loss class. All further keys are its arguments."""

    name: Literal["custom"]
    class_path: Annotated[str, allowed("")] = Field(alias="_target_")


GivenLoss = SimpleLoss | HuberLoss | QuantileLoss | CrossEntropyLoss | CustomLoss  # any loss but `auto`

Loss = Annotated[AutoLoss | GivenLoss, Discriminator("name")]
