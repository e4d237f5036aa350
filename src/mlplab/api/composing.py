"""Configurations composed from Python, as on a command line."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from mlplab.cli.compose import Compose, initialized
from mlplab.cli.config_folders import config_folders
from mlplab.cli.overrides import check_overrides
from mlplab.config.allowed_classes import user_classes

if TYPE_CHECKING:
    from mlplab.sweeps.checks import ComposedRun, RefusedRun
    from mlplab.sweeps.sweep import ComposedSweep

LOCK = RLock()
"""Held while anything trains: torch's threads are those of the process."""

_COMPOSING = RLock()
"""Held while anything is composed: Hydra's state is that of the process."""


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
    with _hydra(None, None), initialized(folders or config_folders()) as compose:
        yield compose


def composed_sweep(overrides: Sequence[str]) -> "ComposedSweep":
    """The sweep of some overrides, which takes Hydra's state only while it composes runs."""
    from mlplab.cli.compose_sweep import compose_sweep

    with composing(overrides, sweep=True) as compose:
        sweep, state = compose_sweep(compose, overrides), _state()

    def runs(overrides: Mapping[str, Sequence[str]]) -> "list[ComposedRun | RefusedRun]":
        with _hydra(*state):
            return list(sweep.compose(overrides))

    return replace(sweep, compose=runs)


@contextmanager
def _hydra(*state: Any) -> Iterator[None]:
    """Within the block, Hydra's state is another."""
    with _COMPOSING:
        before = _state()
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = state
        try:
            yield
        finally:
            GlobalHydra.instance().hydra, HydraConfig.instance().cfg = before


def _state() -> tuple[Any, Any]:
    return GlobalHydra.instance().hydra, HydraConfig.instance().cfg
