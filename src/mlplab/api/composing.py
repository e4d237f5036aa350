"""Configurations composed from Python, as on a command line."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from mlplab.cli.compose import Compose, initialized
from mlplab.cli.config_folders import config_folders
from mlplab.cli.overrides import check_overrides
from mlplab.config.allowed_classes import user_classes

LOCK = RLock()
"""Held while anything is composed or trains: Hydra's state and torch's threads are those of the process."""


@contextmanager
def composing(
    overrides: Sequence[str], *, sweep: bool = False, folders: Sequence[Path] | None = None
) -> Iterator[Compose]:
    """Checks overrides, and composes configurations with Hydra, whose state stays as it was.

    Args:
        folders: of configuration files; None: mlplab's and the user's.
    """
    check_overrides(overrides, multirun=sweep)
    user_classes()
    with LOCK:
        hydra, config = GlobalHydra.instance(), HydraConfig.instance()
        before = hydra.hydra, config.cfg
        hydra.clear()
        try:
            with initialized(folders or config_folders()) as compose:
                yield compose
        finally:
            GlobalHydra.instance().hydra, HydraConfig.instance().cfg = before
