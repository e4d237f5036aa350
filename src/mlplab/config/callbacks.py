"""Checkpoints, early stopping, histograms, and Lightning callbacks that the user adds."""

import re

from pydantic import ConfigDict, Field, model_validator

from mlplab.config.types import CallbackClass, ClassSection, Count, NotNegative, Section


class EarlyStopping(Section):
    """Stops after `patience` epochs without a decrease of the monitored metric by more than `min_delta`."""

    patience: Count | None
    min_delta: NotNegative


class Checkpoint(Section):
    """Saves the training state every `every_minutes` minutes; 0: after every step, null: only at the end."""

    every_minutes: NotNegative | None


class Histograms(Section):
    """Logs histograms of weights and gradients every `every_epochs` epochs; null: never."""

    every_epochs: Count | None


class CustomCallback(ClassSection):
    """A Lightning callback that the user adds. Checkpoints are written by mlplab itself."""

    class_path: CallbackClass = Field(alias="_target_")

    @model_validator(mode="after")
    def _writes_no_files(self) -> "CustomCallback":
        if self.class_path.endswith("Checkpoint"):
            raise ValueError("every run writes best.ckpt and last.ckpt itself; remove this callback")
        if names := [name for name in self.arguments if re.search("path|dir|file", name)]:
            what = "sets where files are written, which a configuration may not choose"
            raise ValueError(f"{names[0]} {what}; remove it")
        return self


class Callbacks(Section):
    """Checkpoints, early stopping, histograms, and callbacks that the user adds by name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, CustomCallback]

    checkpoint: Checkpoint
    early_stopping: EarlyStopping
    histograms: Histograms

    @property
    def added(self) -> dict[str, CustomCallback]:
        """The custom callbacks by name."""
        return self.__pydantic_extra__
