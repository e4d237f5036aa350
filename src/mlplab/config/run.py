"""The Trainer, its callbacks, and loggers."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from mlplab.config.types import (
    CallbackTarget,
    Count,
    LoggerTarget,
    NotNegative,
    Positive,
    Section,
    TrainerTarget,
    check_name,
)


def _as_cuda(value: object) -> object:
    """What Lightning calls `gpu` is `cuda` here."""
    return "cuda" if value == "gpu" else value


class Trainer(Section):
    """Arguments of the Trainer; `log_every_n_steps` null logs per epoch only."""

    target: TrainerTarget = Field(alias="_target_")
    max_epochs: Count
    accelerator: Annotated[Literal["auto", "cpu", "cuda"], BeforeValidator(_as_cuda)]
    precision: Literal[32, 64]
    gradient_clip_val: Positive | None
    fast_dev_run: bool
    log_every_n_steps: Count | None


class EarlyStopping(Section):
    """Stops after `patience` epochs in which the monitored metric fell by no more than `min_delta`."""

    patience: Count | None
    min_delta: NotNegative


class Checkpoint(Section):
    """Keeps the state of training at most every so many minutes; 0 after every step, null only at the end."""

    every_minutes: NotNegative | None


def _texts(value: Any) -> Iterator[str]:
    """The texts in an argument, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(each)


class _Target(Section):
    model_config = ConfigDict(extra="allow")

    @property
    def arguments(self) -> dict[str, Any]:
        """What the class is called with."""
        return dict(self.__pydantic_extra__ or {})


class AddedCallback(_Target):
    """A further Lightning callback; checkpoints are this project's own."""

    target: CallbackTarget = Field(alias="_target_")

    @model_validator(mode="after")
    def _writes_no_checkpoints(self) -> "AddedCallback":
        if self.target.endswith("Checkpoint"):
            raise ValueError("every run writes best.ckpt and last.ckpt itself; leave this callback out")
        return self

    @model_validator(mode="after")
    def _writes_no_files(self) -> "AddedCallback":
        if names := [name for name in self.arguments if re.search("path|dir|file", name)]:
            raise ValueError(f"{names[0]} would decide where is written, which no configuration may")
        return self


class AnyLogger(_Target):
    """A Lightning logger; it gets the run folder as `save_dir`, and its `name` is a folder in it."""

    target: LoggerTarget = Field(alias="_target_")

    @model_validator(mode="after")
    def _stays_in_the_run_folder(self) -> "AnyLogger":
        if "save_dir" in self.arguments:
            raise ValueError("save_dir is the run folder; leave it out")
        for text in _texts(self.arguments):
            if text and not re.fullmatch(r"https?://[\w.\-]+(:\d+)?(/[\w\-]+)*/?", text):
                check_name(text)
        return self


class Callbacks(Section):
    """Checkpoints, early stopping, and any callbacks the user adds by name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, AddedCallback]

    checkpoint: Checkpoint
    early_stopping: EarlyStopping

    @property
    def added(self) -> dict[str, AddedCallback]:
        """The callbacks that are not this project's own."""
        return self.__pydantic_extra__
