"""Loggers: where the curves are written."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, model_validator

from mlplab.config.types import ClassSection, LoggerClass, check_name


class LoggerConfig(ClassSection):
    """A Lightning logger. It gets the run folder as `save_dir`; its `name` is a folder below that."""

    class_path: LoggerClass = Field(alias="_target_")

    @model_validator(mode="after")
    def _stays_in_the_run_folder(self) -> "LoggerConfig":
        if "save_dir" in self.arguments:
            raise ValueError("save_dir is always the run folder; remove it")
        for text in _strings(self.arguments):
            if text and not re.fullmatch(r"https?://[\w.\-]+(:\d+)?(/[\w\-]+)*/?", text):
                check_name(text)
        return self


def _strings(value: Any) -> Iterator[str]:
    """All strings in a nested value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(each)
