"""Composes a sweep: once what its runs have in common, and from that the configuration of each run.

Hydra takes about 60 ms to compose a run, longer than a small run takes to train in lockstep. So runs that
choose the same options share one composition, in which the values of each run are replaced in turn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override, OverrideType, ValueType
from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel

from mlplab.cli.compose import (
    SWEEP,
    Compose,
    composing,
    current_state,
    folder_of,
    hydra_state,
    plain,
    plain_section,
    put,
)
from mlplab.cli.overrides import Keyword, keys_of
from mlplab.config import Launcher, Sweep, TrainConfig, parse, validated
from mlplab.config.dotted_keys import ABSENT
from mlplab.errors import UserError
from mlplab.sweeps.checks import ComposedRun, RefusedRun
from mlplab.sweeps.grid import Runs, lines_of
from mlplab.sweeps.sweep import ComposedSweep


def compose_sweep(
    overrides: Sequence[Override], folders: Sequence[Path], root: Path | None = None
) -> ComposedSweep:
    """The sweep of some overrides, which takes Hydra's state only while it composes runs.

    Args:
        folders: as in `composing`.
        root: the folder of the sweep; None: the configuration's.

    Raises:
        UserError: if what the runs have in common is wrong, or the folder.
    """
    own = [each for each in overrides if not each.is_hydra_override()]
    shared = [each for each in own if not each.is_sweep_override()]
    always = [each for each in overrides if each.is_hydra_override()]
    with composing(folders) as compose:
        common, typed = compose([*shared, *always]), keys_of(overrides)
        root = root or folder_of(common, "hydra.sweep.dir", typed)
        if "name" not in typed:  # by default, it contains the time
            always.append(Keyword(OverrideType.CHANGE, "name", ValueType.ELEMENT, str(common.name)))
        loader = GlobalHydra.instance().config_loader()
        return ComposedSweep(
            root=root,
            overrides=[replace(each, config_loader=loader) for each in own],
            choices=common.hydra.runtime.choices,
            settings=validated(plain_section(common, SWEEP), Sweep, "sweep"),
            launcher=validated(plain_section(common.hydra, "launcher"), Launcher, "hydra", "launcher"),
            compose=_RunComposer(lambda run: compose([*run, *always]), root, common, shared).runs,
        )


class _RunComposer:
    """Composes the runs of a sweep one after another; `shared` are the overrides that they have in common."""

    def __init__(self, compose: Compose, root: Path, common: DictConfig, shared: Sequence[Override]) -> None:
        self._compose, self._root, self._common = compose, root, common
        self._shared, self._state = set(lines_of(shared)), current_state()
        self._compositions: dict[frozenset[str], DictConfig] = {}
        """By the options that are chosen, and the keys that have values."""
        self._sections: dict[tuple[str, str], BaseModel] = {}

    def runs(self, overrides: Runs) -> list[ComposedRun | RefusedRun]:
        """The runs with these overrides, by the names of their folders."""
        runs = list[ComposedRun | RefusedRun]()
        with hydra_state(*self._state):
            for name, own in overrides.items():
                values: dict[str, Any] = {}
                try:
                    values = self._composed(own)
                    runs.append(ComposedRun(self._typed(values), self._root / name, lines_of(own)))
                except UserError as error:
                    runs.append(RefusedRun(self._root / name, values, error))
        return runs

    def _composed(self, overrides: Sequence[Override]) -> dict[str, Any]:
        """The configuration with some overrides, as plain data."""
        own = [each for each in overrides if each.input_line not in self._shared]
        chosen = {each.input_line or "" for each in own if self._chooses(each)}
        key = frozenset(chosen | keys_of(overrides))
        if key not in self._compositions:
            self._compositions[key] = self._compose(overrides)
        put(cfg := self._compositions[key], [each for each in own if each.input_line not in chosen])
        return plain(cfg)

    def _chooses(self, override: Override) -> bool:
        """Whether an override chooses an option or adds keys, and does not only change a value."""
        if isinstance(override, Keyword) or isinstance(override.value(), dict):
            return isinstance(override.value(), dict)
        if override.package or override.type != OverrideType.CHANGE:
            return True
        value = OmegaConf.select(
            self._common, override.key_or_group, default=ABSENT, throw_on_resolution_failure=False
        )
        return value is ABSENT or OmegaConf.is_dict(value)

    def _typed(self, values: Mapping[str, Any]) -> TrainConfig:
        """A configuration. Equal sections are stored once: those of thousands of runs take memory."""
        config = parse(values)
        shared = {
            name: self._sections.setdefault((name, value.model_dump_json()), value)
            for name, value in config
            if isinstance(value, BaseModel)
        }
        return config.model_copy(update=shared)
