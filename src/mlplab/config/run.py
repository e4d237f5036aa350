"""The configuration of a run: as it is given, and resolved, with values in place of `auto`."""

from typing import Annotated, Any, Generic, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from mlplab.config.data import BundledData, CsvData, FrameData, SyntheticData
from mlplab.config.loss import GivenLoss, Loss, QuantileLoss
from mlplab.config.metrics import CLASSIFICATION, REGRESSION, ThresholdMetric
from mlplab.config.model import CustomModel, Linear, Mlp, model_tag
from mlplab.config.optimizer import Adam, Schedule, Sgd
from mlplab.config.trainer import Callbacks, LoggerConfig, Trainer
from mlplab.config.types import (
    A,
    Auto,
    EnsembleSize,
    Fraction,
    Mark,
    OrAuto,
    Resolved,
    RunName,
    Section,
    Seed,
    Text,
)

METRICS = tuple(f"val/{name}" for name in ("loss", *REGRESSION, *CLASSIFICATION))


def _check_metric(name: str) -> str:
    if name not in METRICS:
        raise ValueError(f"invalid value (found '{name}', expected {', '.join(METRICS)} or auto)")
    return name


Metric = Annotated[str, AfterValidator(_check_metric)]  # a metric that a run may monitor


class TrainConfig(Section, Generic[A]):
    """The configuration of one run. Some values may be `auto`."""

    name: Annotated[RunName, Mark.PER_MEMBER, Mark.COSMETIC]
    seed: Annotated[Seed, Mark.PER_MEMBER]
    ensemble: OrAuto[EnsembleSize, A]
    init_from: Annotated[Text | None, Mark.PER_MEMBER]
    threads: Annotated[int, Field(ge=1, le=1024)]
    task: Literal["auto", "regression", "binary", "multiclass"]
    monitor: OrAuto[Metric, A]
    threshold: Annotated[OrAuto[Fraction, Auto], Mark.PER_MEMBER]
    threshold_metric: Annotated[ThresholdMetric, Mark.PER_MEMBER]
    data: Annotated[BundledData[A] | CsvData[A] | FrameData[A] | SyntheticData[A], Discriminator("name")]
    model: Annotated[
        Annotated[Mlp[A], Tag("mlp")]
        | Annotated[Linear, Tag("linear")]
        | Annotated[CustomModel, Tag("custom")],
        Discriminator(model_tag),
    ]
    loss: Loss
    optimizer: Annotated[Adam[A] | Sgd[A], Discriminator("name")]
    scheduler: Annotated[Schedule, Discriminator("name"), Mark.PER_MEMBER]
    trainer: Trainer[A]
    callbacks: Callbacks
    baselines: Annotated[list[Literal["constant", "linear", "boosting"]], Mark.PER_MEMBER, Mark.COSMETIC]
    test: Annotated[bool, Mark.PER_MEMBER, Mark.COSMETIC, Mark.MAY_CHANGE]
    test_predictions: Annotated[bool, Mark.PER_MEMBER, Mark.COSMETIC]
    figures: Annotated[Literal["auto", "all", "none"], Mark.COSMETIC]
    # Hydra composes logger=[] to no key at all.
    logger: dict[str, LoggerConfig] = Field(default_factory=dict)

    @property
    def divided(self) -> dict[str, list[Any]]:
        """The values of which each part of an ensemble has another, by key."""
        values: dict[str, object] = {"optimizer.weight_decay": self.optimizer.weight_decay}
        if isinstance(self.model, Mlp):
            values |= {"model.activation": self.model.activation, "model.dropout": self.model.dropout}
        return {key: value for key, value in values.items() if isinstance(value, list)}

    @model_validator(mode="after")
    def _has_a_network_for_each_part(self) -> "TrainConfig[A]":
        for key, values in self.divided.items():
            if self.ensemble != "auto" and len(values) > self.ensemble:
                count, typed = len(values), f"{key}=[{','.join(map(str, values))}]"
                what = f"{typed} takes {count} networks or more, but ensemble={self.ensemble}"
                raise ValueError(f"{what}; use ensemble={count}, or one value: {key}={values[0]}")
        return self

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The levels of the quantiles that the network predicts; none if it predicts the target itself."""
        return tuple(self.loss.levels) if isinstance(self.loss, QuantileLoss) else ()

    def plain(self) -> dict[str, Any]:
        """Numbers, strings, lists and dicts, which `parse` reads back."""
        return self.model_dump()


class ResolvedConfig(TrainConfig[Resolved]):
    """The configuration of a run whose table has been read, as in `config.yaml` in its folder."""

    loss: Annotated[GivenLoss, Discriminator("name")]
