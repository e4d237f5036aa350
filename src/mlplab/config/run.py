"""The configuration of a run: as it is given, and resolved, with values in place of `auto`."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from mlplab.config.data import BundledData, CsvData, FrameData, SyntheticData
from mlplab.config.loss import GivenLoss, Loss, QuantileLoss
from mlplab.config.metrics import CLASSIFICATION, REGRESSION, ThresholdMetric
from mlplab.config.model import Activations, Bins, CustomModel, Linear, Mlp, Model, model_tag
from mlplab.config.optimizer import Adam, Schedule, Sgd
from mlplab.config.trainer import Callbacks, LoggerConfig, Trainer
from mlplab.config.types import (
    Count,
    EnsembleSize,
    Fraction,
    NotNegative,
    NotNegativeCount,
    OrAuto,
    Positive,
    Rate,
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


Metric = Annotated[str, AfterValidator(_check_metric)]
"""A metric that a run may monitor."""


class TrainConfig(Section):
    """The configuration of one run. Some values may be `auto`."""

    name: RunName
    seed: Seed
    ensemble: OrAuto[EnsembleSize]
    init_from: Text | None
    threads: Annotated[int, Field(ge=1, le=1024)]
    task: Literal["auto", "regression", "binary", "multiclass"]
    monitor: OrAuto[Metric]
    threshold: OrAuto[Fraction]
    threshold_metric: ThresholdMetric
    data: Annotated[BundledData | CsvData | FrameData | SyntheticData, Discriminator("name")]
    model: Model
    loss: Loss
    optimizer: Annotated[Adam | Sgd, Discriminator("name")]
    scheduler: Annotated[Schedule, Discriminator("name")]
    trainer: Trainer
    callbacks: Callbacks
    baselines: list[Literal["constant", "linear", "boosting"]]
    test: bool
    test_predictions: bool
    figures: Literal["auto", "all", "none"]
    logger: dict[str, LoggerConfig] = Field(default_factory=dict)  # Hydra composes logger=[] to no key at all

    @model_validator(mode="after")
    def _has_a_network_for_each_activation(self) -> "TrainConfig":
        names = self.model.activations if isinstance(self.model, Mlp) else []
        if self.ensemble != "auto" and len(names) > self.ensemble:
            typed, count = f"model.activation=[{','.join(names)}]", len(names)
            what = f"{typed} takes {count} networks or more, but ensemble={self.ensemble}"
            raise ValueError(f"{what}; use ensemble={count}, or one activation: model.activation={names[0]}")
        return self

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The levels of the quantiles that the network predicts; none if it predicts the target itself."""
        return tuple(self.loss.levels) if isinstance(self.loss, QuantileLoss) else ()

    def plain(self) -> dict[str, Any]:
        """Numbers, strings, lists and dicts, which `parse` reads back."""
        return self.model_dump()


class ResolvedBundledData(BundledData):
    """With a known batch size."""

    batch_size: Count | None


class ResolvedCsvData(CsvData):
    """With a known batch size."""

    batch_size: Count | None


class ResolvedFrameData(FrameData):
    """With known rows and a known batch size."""

    batch_size: Count | None
    fingerprint: Text


class ResolvedSyntheticData(SyntheticData):
    """With a known batch size."""

    batch_size: Count | None


class ResolvedMlp(Mlp):
    """With a known architecture."""

    periodic_features: NotNegativeCount
    piecewise_linear_bins: Bins = 0
    piecewise_linear_width: Count = 16
    linear_path: bool = False
    hidden: list[Count]
    activation: Activations
    dropout: Rate


class ResolvedAdam(Adam):
    """With known settings."""

    lr: Positive
    weight_decay: NotNegative


class ResolvedSgd(Sgd):
    """With known settings."""

    lr: Positive


class ResolvedTrainer(Trainer):
    """With a known number of epochs."""

    max_epochs: Count


ResolvedModel = Annotated[
    Annotated[ResolvedMlp, Tag("mlp")]
    | Annotated[Linear, Tag("linear")]
    | Annotated[CustomModel, Tag("custom")],
    Discriminator(model_tag),
]


class ResolvedConfig(TrainConfig):
    """The configuration of a run whose table has been read, as in `config.yaml` in its folder."""

    ensemble: EnsembleSize
    monitor: Metric
    data: Annotated[
        ResolvedBundledData | ResolvedCsvData | ResolvedFrameData | ResolvedSyntheticData,
        Discriminator("name"),
    ]
    model: ResolvedModel
    loss: Annotated[GivenLoss, Discriminator("name")]
    optimizer: Annotated[ResolvedAdam | ResolvedSgd, Discriminator("name")]
    trainer: ResolvedTrainer
