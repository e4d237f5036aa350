"""Every key of the configuration, with its type and range.

The values are in `conf/`. There are no defaults here, so that each value is defined in one place. `parse`
turns a composed configuration into a `TrainConfig`, or reports all its faults.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Discriminator, Field, ValidationError

from mlplab.config.callbacks import Callbacks
from mlplab.config.data import (
    AUTO,
    BundledData,
    CsvData,
    FileSplit,
    GroupSplit,
    KFoldSplit,
    RandomSplit,
    Split,
    SyntheticData,
    TimeSplit,
    columns_of,
)
from mlplab.config.faults import fault_of, unknown_key_fault
from mlplab.config.loss import CrossEntropyLoss, HuberLoss, Loss, SimpleLoss
from mlplab.config.model import CustomModel, Linear, Mlp, Model, Preprocessing
from mlplab.config.optimizer import Adam, ConstantSchedule, CosineSchedule, PlateauSchedule, Sgd, StepSchedule
from mlplab.config.sweep import Engine, Launcher, LocalEngine, RayEngine, SlurmEngine, Sweep
from mlplab.config.trainer import LoggerConfig, Trainer
from mlplab.config.types import EnsembleSize, OrAuto, RunName, Section, Seed, Text, chosen
from mlplab.errors import Fault, UserError

__all__ = [
    "AUTO",
    "Adam",
    "BundledData",
    "ConstantSchedule",
    "CosineSchedule",
    "CrossEntropyLoss",
    "CsvData",
    "CustomModel",
    "Engine",
    "FileSplit",
    "GroupSplit",
    "HuberLoss",
    "KFoldSplit",
    "Launcher",
    "Linear",
    "LocalEngine",
    "Loss",
    "Mlp",
    "Model",
    "Monitor",
    "PlateauSchedule",
    "Preprocessing",
    "RandomSplit",
    "RayEngine",
    "Sgd",
    "SimpleLoss",
    "SlurmEngine",
    "Split",
    "StepSchedule",
    "Sweep",
    "SyntheticData",
    "TimeSplit",
    "TrainConfig",
    "Trainer",
    "chosen",
    "columns_of",
    "parse",
    "parse_launcher",
    "parse_sweep",
    "unknown_key",
]


T = TypeVar("T", bound=Section)

Monitor = Literal[
    "auto",
    "val/loss",
    "val/rmse",
    "val/mae",
    "val/r2",
    "val/log_loss",
    "val/accuracy",
    "val/balanced_accuracy",
    "val/f1_macro",
    "val/auroc",
    "val/calibration_error",
]


class TrainConfig(Section):
    """The configuration of one run."""

    name: RunName
    seed: Seed
    ensemble: OrAuto[EnsembleSize]
    init_from: Text | None
    threads: Annotated[int, Field(ge=1, le=1024)]
    task: Literal["auto", "regression", "binary", "multiclass"]
    monitor: Monitor
    data: Annotated[BundledData | CsvData | SyntheticData, Discriminator("name")]
    model: Model
    loss: Loss
    optimizer: Annotated[Adam | Sgd, Discriminator("name")]
    scheduler: Annotated[
        ConstantSchedule | CosineSchedule | StepSchedule | PlateauSchedule, Discriminator("name")
    ]
    trainer: Trainer
    callbacks: Callbacks
    baselines: list[Literal["constant", "linear", "boosting"]]
    test: bool
    test_predictions: bool
    figures: Literal["auto", "all", "none"]
    logger: dict[str, LoggerConfig] = Field(default_factory=dict)  # Hydra composes logger=[] to no key at all

    def plain(self) -> dict[str, Any]:
        """Numbers, strings, lists and dicts, which `parse` reads back."""
        return self.model_dump()


class _CommandLine(TrainConfig):
    """All keys of the command line but Hydra's own."""

    sweep: Sweep


def parse(values: Mapping[str, Any]) -> TrainConfig:
    """Validates a composed configuration.

    Raises:
        UserError: with all unknown keys, wrong types and values out of range.
    """
    return _parse(values, TrainConfig)


def parse_sweep(values: object) -> Sweep:
    """As `parse`, for the section `sweep`."""
    return _parse(values, Sweep, "sweep")


def parse_launcher(values: object) -> Launcher:
    """As `parse`, for the section `hydra.launcher`."""
    return _parse(values, Launcher, "hydra", "launcher")


def _parse(values: Any, kind: type[T], *section: str) -> T:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        for part in reversed(section):
            values = {part: values}
        details = [{**detail, "loc": (*section, *detail["loc"])} for detail in error.errors()]
        raise UserError(*(fault_of(detail, values, _CommandLine) for detail in details)) from None


def unknown_key(key: str) -> Fault:
    """The fault of a `key` that does not exist, or that belongs to a different option of its group."""
    return unknown_key_fault(key, _CommandLine)
