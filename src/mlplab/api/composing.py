"""Configurations composed from Python, as on a command line."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from threading import RLock
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from mlplab.api.keywords import overrides_of
from mlplab.cli.compose import Compose, initialized
from mlplab.cli.config_folders import config_folders
from mlplab.cli.overrides import check_overrides, readable
from mlplab.config.allowed_classes import user_classes
from mlplab.data.frames import FrameLike

Data = FrameLike | str | PathLike[str] | None
"""A polars, pandas or Arrow frame, a dict of columns, or the path of a file; None: the configuration's."""

LOCK = RLock()
"""Held while anything is composed or trains: Hydra's state and torch's threads are those of the process."""


def words_of(keys: Mapping[str, Any], overrides: Sequence[str]) -> list[str]:
    """The overrides that nested keywords stand for, and those that are written as on a command line."""
    return [*overrides_of(keys, config_folders()), *readable(overrides)]


@contextmanager
def composing(words: Sequence[str], *, sweep: bool = False) -> Iterator[Compose]:
    """Checks overrides, and composes configurations with Hydra, whose state stays as it was."""
    check_overrides(words, multirun=sweep)
    user_classes()
    hydra, config = GlobalHydra.instance(), HydraConfig.instance()
    with LOCK:
        before = hydra.hydra, config.cfg
        hydra.clear()
        try:
            with initialized(config_folders()) as compose:
                yield compose
        finally:
            GlobalHydra.instance().hydra, HydraConfig.instance().cfg = before
