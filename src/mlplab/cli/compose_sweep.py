"""Composes a sweep: once what its runs have in common, and from that the configuration of each run.

Hydra takes about 60 ms to compose a run, longer than a small run takes to train in lockstep. So runs that
choose the same options share one composition, in which the values of each run are replaced in turn.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel

from mlplab.cli.compose import SWEEP, Compose, folder_of, plain, plain_section
from mlplab.cli.hydra_errors import explained
from mlplab.cli.overrides import is_of_hydra, typed_keys
from mlplab.config import Launcher, Sweep, TrainConfig, parse, validated
from mlplab.config.dotted_keys import quoted
from mlplab.errors import UserError
from mlplab.sweeps.checks import ComposedRun, RefusedRun
from mlplab.sweeps.sweep import ComposedSweep

ABSENT = object()
"""Stands for a key that is in no configuration file."""


def compose_sweep(compose: Compose, overrides: Sequence[str]) -> ComposedSweep:
    """The sweep of a command line.

    Raises:
        UserError: if what the runs have in common is wrong, or the folder.
    """
    parsed = zip(overrides, OverridesParser.create().parse_overrides(list(overrides)), strict=True)
    shared = [line for line, override in parsed if not override.is_sweep_override()]
    common, typed = compose(shared), typed_keys(overrides)
    root = folder_of(common, "hydra.sweep.dir", typed)
    always = [line for line in shared if is_of_hydra(line)]
    if "name" not in typed:  # by default, it contains the time
        always.append(f"name={quoted(str(common.name))}")
    return ComposedSweep(
        root=root,
        overrides=[line for line in overrides if not is_of_hydra(line)],
        choices=common.hydra.runtime.choices,
        loader=GlobalHydra.instance().config_loader(),
        settings=validated(plain_section(common, SWEEP), Sweep, "sweep"),
        launcher=validated(plain_section(common.hydra, "launcher"), Launcher, "hydra", "launcher"),
        compose=_RunComposer(lambda lines: compose([*lines, *always]), root, common, shared).runs,
    )


class _RunComposer:
    """Composes the runs of a sweep one after another; `shared` are the overrides that they have in common."""

    def __init__(self, compose: Compose, root: Path, common: DictConfig, shared: Sequence[str]) -> None:
        self._compose, self._root, self._common, self._shared = compose, root, common, shared
        lines = {line for line in shared if not is_of_hydra(line)}
        self._compositions: dict[tuple[str, ...], tuple[DictConfig | None, set[str]]] = {
            (): (copy.deepcopy(common), lines)
        }
        """By the options that are chosen: a composition, and the overrides that its values are those of."""
        self._sections: dict[tuple[str, str], BaseModel] = {}
        self._parse_override = cache(OverridesParser.create().parse_override)  # runs share most of them

    def runs(self, overrides: Mapping[str, Sequence[str]]) -> Iterator[ComposedRun | RefusedRun]:
        """The runs with these overrides, by the names of their folders."""
        for name, lines in overrides.items():
            values: dict[str, Any] = {}
            try:
                values = self._composed(lines)
                yield ComposedRun(self._typed(values), self._root / name)
            except UserError as error:
                yield RefusedRun(self._root / name, values, error)

    def _composed(self, lines: Sequence[str]) -> dict[str, Any]:
        """The configuration with some overrides, as plain data."""
        with explained():
            overrides = {line: self._parse_override(line) for line in lines}
        choices = tuple(line for line in lines if self._chooses(line, overrides[line]))
        cfg, earlier = self._compositions.pop(choices, (None, set()))  # if an override fails, it stays away
        if cfg is None or typed_keys(earlier) - typed_keys(lines):
            cfg, earlier = self._compose(lines), set(lines)
        with explained():
            for line, override in overrides.items():
                if line not in earlier:
                    OmegaConf.update(cfg, override.key_or_group, override.value(), merge=True)
        self._compositions[choices] = cfg, set(lines)
        return plain(cfg)

    def _chooses(self, line: str, override: Override) -> bool:
        """Whether an override chooses an option or adds a key, and does not only change a value."""
        if line in self._shared:
            return False
        if override.package or override.type != OverrideType.CHANGE or isinstance(override.value(), dict):
            return True
        value = OmegaConf.select(
            self._common, override.key_or_group, default=ABSENT, throw_on_resolution_failure=False
        )
        return value is ABSENT or OmegaConf.is_dict(value)

    def _typed(self, values: Mapping[str, Any]) -> TrainConfig:
        """A configuration. Equal sections are stored once: those of thousands of runs take memory."""
        config = parse(values)
        sections = {name: value for name, value in config if isinstance(value, BaseModel)}
        shared = {
            name: self._sections.setdefault((name, section.model_dump_json()), section)
            for name, section in sections.items()
        }
        return config.model_copy(update=shared)
