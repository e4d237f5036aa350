"""The Trainer, its callbacks and its loggers."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Generic, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from mlplab.config.types import (
    STAYS_BELOW,
    A,
    Auto,
    ClassSection,
    Count,
    Mark,
    NotNegative,
    OrAuto,
    Positive,
    Resolved,
    Section,
    allowed,
    leads_out,
)

# Ends of the names of callbacks of Lightning that would fail.
REFUSED_CALLBACKS = (
    *("Checkpoint", "ProgressBar", "WeightAveraging", "GradientAccumulationScheduler", "BatchSizeFinder"),
    *("ModelPruning", "LearningRateFinder"),
)


class Trainer(Section, Generic[A]):
    """Arguments of the Trainer. If `log_every_n_steps` is null, values are logged once per epoch."""

    max_epochs: OrAuto[Count, A]
    accelerator: Annotated[
        Literal["auto", "cpu", "cuda"],
        BeforeValidator(lambda value: "cuda" if value == "gpu" else value),  # Lightning's name
    ]
    precision: Literal[32, 64]
    gradient_clip_val: Positive | None
    fast_dev_run: bool
    log_every_n_steps: Count | None
    block: OrAuto[Count, Auto] = "auto"


ResolvedTrainer = Trainer[Resolved]  # named for pickle, as in `Resolved`


class EarlyStopping(Section):
    """Stops after `patience` epochs without a decrease of the monitored metric by more than `min_delta`.

    `auto` stops when the second half of the epochs so far has brought no network a new best epoch; then
    `min_delta` does not count.
    """

    patience: Count | Literal["auto"] | None
    min_delta: NotNegative


class Checkpoint(Section):
    """Saves the training state every `every_minutes` minutes; 0: after every step, null: only at the end."""

    every_minutes: NotNegative | None


class CustomCallback(ClassSection):
    """A Lightning callback that the user adds. Checkpoints are written by mlplab itself."""

    class_path: Annotated[str, allowed(r"lightning\.pytorch\.callbacks\.[A-Z]\w*")] = Field(alias="_target_")

    @model_validator(mode="after")
    def _is_possible(self) -> "CustomCallback":
        if self.class_path.endswith(REFUSED_CALLBACKS):
            raise ValueError("mlplab does this by keys of its own, or not at all; remove this callback")
        if names := [name for name in self.arguments if re.search("path|dir|file", name)]:
            what = "sets where files are written, which a configuration may not choose"
            raise ValueError(f"{names[0]} {what}; remove it")
        return self


class Callbacks(Section):
    """Checkpoints, early stopping, the film of a run, and callbacks that the user adds by name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, CustomCallback]

    checkpoint: Checkpoint
    early_stopping: Annotated[EarlyStopping, Mark.PER_MEMBER]
    film: bool = False

    @property
    def added(self) -> dict[str, CustomCallback]:
        """The custom callbacks by name."""
        return self.__pydantic_extra__


# In a run's folder: the numbers under which W&B and MLflow know the run, also when it is resumed.
TRACKERS_FILE = "trackers.json"


class LoggerConfig(ClassSection):
    """A Lightning logger. It gets the run folder as `save_dir`; its `name` is a folder below that."""

    class_path: Annotated[str, allowed(r"lightning\.pytorch\.loggers\.[A-Z]\w*")] = Field(alias="_target_")

    @model_validator(mode="after")
    def _stays_in_the_run_folder(self) -> "LoggerConfig":
        fixed = {"save_dir": "is always the run folder", "prefix": "would rename the curves"}
        for key, reason in fixed.items():
            if key in self.arguments:
                raise ValueError(f"{key} {reason}; remove it")
        for text in filter(None, _strings(self.arguments)):
            uri = r"https?://[\w.\-]+(:\d+)?(/[\w\-]+)*/?"  # MLflow's; without %, since %2e is a dot
            if leads_out(text) and not re.fullmatch(uri, text):
                remedy = f"{STAYS_BELOW}; set URIs but https://HOST in MLFLOW_TRACKING_URI"
                raise ValueError(f"'{text}' may lead out of outputs/: {remedy}")
        return self


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(item)
