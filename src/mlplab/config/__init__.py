"""Every key of the configuration: its type, its range, and what a wrong one is told.

The values live in `conf/`; nothing here has a default, so that each stands in one place. `parse`
turns the composed configuration into a `TrainConfig`, or tells all that is wrong with it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Discriminator, Field, ValidationError

from mlplab.config.data import ConcreteData, CsvData, CsvTable, SyntheticData
from mlplab.config.model import Encoder, Linear, Mlp, Model, OwnModel
from mlplab.config.run import AddedCallback, AnyLogger, Callbacks, EarlyStopping, Trainer
from mlplab.config.split import FileSplit, GroupSplit, KFoldSplit, RandomSplit, Split, TimeSplit
from mlplab.config.training import (
    Adam,
    ConstantSchedule,
    CosineSchedule,
    HuberLoss,
    PlainLoss,
    PlateauSchedule,
    Sgd,
    StepSchedule,
)
from mlplab.config.types import RunName, Section, Seed, Text, check_name
from mlplab.errors import Fault, UserError
from mlplab.keys import fault_of, unknown_key_fault

__all__ = [
    "Adam",
    "AddedCallback",
    "AnyLogger",
    "Callbacks",
    "ConcreteData",
    "ConstantSchedule",
    "CosineSchedule",
    "CsvData",
    "CsvTable",
    "DescribeConfig",
    "EarlyStopping",
    "Encoder",
    "FileSplit",
    "GroupSplit",
    "HuberLoss",
    "KFoldSplit",
    "Linear",
    "Mlp",
    "Model",
    "OwnModel",
    "PlainLoss",
    "PlateauSchedule",
    "RandomSplit",
    "Sgd",
    "Split",
    "StepSchedule",
    "SyntheticData",
    "TimeSplit",
    "TrainConfig",
    "Trainer",
    "check_name",
    "parse",
    "parse_description",
    "unknown_key",
]


T = TypeVar("T", bound=Section)


class DescribeConfig(Section):
    """The keys of a run, of which the target of its table may be left out."""

    name: RunName
    seed: Seed
    init: Text | None
    threads: Annotated[int, Field(ge=1, le=1024)]
    monitor: Literal["val/loss", "val/rmse", "val/mae"]
    data: Annotated[ConcreteData | CsvTable | SyntheticData, Discriminator("name")]
    model: Model
    loss: Annotated[PlainLoss | HuberLoss, Discriminator("name")]
    optimizer: Annotated[Adam | Sgd, Discriminator("name")]
    scheduler: Annotated[
        ConstantSchedule | CosineSchedule | StepSchedule | PlateauSchedule, Discriminator("name")
    ]
    trainer: Trainer
    callbacks: Callbacks
    logger: Annotated[
        dict[str, AnyLogger], Field(default_factory=dict)
    ]  # logger=[] composes to no key at all


class TrainConfig(DescribeConfig):
    """One run."""

    data: Annotated[ConcreteData | CsvData | SyntheticData, Discriminator("name")]

    def plain(self) -> dict[str, Any]:
        """As numbers, strings, lists and dicts; `parse` reads it back."""
        return self.model_dump()


def parse(values: Mapping[str, Any]) -> TrainConfig:
    """The typed form of a composed configuration.

    Raises:
        UserError: with every unknown key, wrong type and value out of range.
    """
    return _parsed(values, TrainConfig)


def parse_description(values: Mapping[str, Any]) -> DescribeConfig:
    """As `parse`, of a configuration whose table may lack a target."""
    return _parsed(values, DescribeConfig)


def _parsed(values: Mapping[str, Any], kind: type[T]) -> T:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError(*(fault_of(detail, values, kind) for detail in error.errors())) from None


def unknown_key(key: str) -> Fault:
    """The fault of a `key` that no option knows, or that belongs to another option of its group."""
    return unknown_key_fault(key, TrainConfig)
