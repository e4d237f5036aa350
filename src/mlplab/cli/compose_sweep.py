"""Composes a sweep: once what its runs have in common, and from that the configuration of each run.

Hydra takes about 60 ms to compose a run, longer than a small run takes to train in lockstep. So runs that
choose the same options share one composition, in which the values of each run are replaced in turn.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel

from mlplab.cli.compose import SWEEP, Compose, folder_of, plain, plain_section
from mlplab.cli.hydra_errors import explained
from mlplab.cli.overrides import is_of_hydra, typed_keys
from mlplab.config import TrainConfig, parse, parse_launcher, parse_sweep
from mlplab.config.dotted_keys import quoted
from mlplab.errors import UserError
from mlplab.sweeps.checks import ComposedRun, RefusedRun
from mlplab.sweeps.sweep import ComposedSweep

Sections = dict[tuple[str, str], BaseModel]
"""The sections of configurations by their names and contents: equal ones are stored once."""


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

    def compose_runs(runs: Mapping[str, Sequence[str]]) -> Iterator[ComposedRun | RefusedRun]:
        composer = _RunComposer(compose, common, shared, always)
        for name, lines in runs.items():
            values: dict[str, Any] = {}
            try:
                values = composer.values(lines)
                run: ComposedRun | RefusedRun = ComposedRun(composer.parsed(values), root / name)
            except UserError as error:
                run = RefusedRun(root / name, values, error)
            yield run

    return ComposedSweep(
        root=root,
        overrides=[line for line in overrides if not is_of_hydra(line)],
        choices=common.hydra.runtime.choices,
        settings=parse_sweep(plain_section(common, SWEEP)),
        launcher=parse_launcher(plain_section(common.hydra, "launcher")),
        compose=compose_runs,
    )


class _RunComposer:
    """Composes runs one after another.

    Args:
        common: what they have in common.
        shared: its overrides.
        always: overrides that are not among those of a run.
    """

    def __init__(
        self, compose: Compose, common: DictConfig, shared: Sequence[str], always: Sequence[str]
    ) -> None:
        self._compose, self._common, self._shared, self._always = compose, common, shared, always
        self._values = OmegaConf.to_container(common)
        self._compositions: dict[tuple[str, ...], _Composition | UserError] = {}
        self._sections = Sections()
        parser = OverridesParser.create()

        @cache  # runs share most of their overrides
        def parse_override(line: str) -> Override:
            with explained():
                return parser.parse_override(line)

        self._parse_override = parse_override

    def values(self, lines: Sequence[str]) -> dict[str, Any]:
        """The configuration of a run with some overrides, as plain data.

        Raises:
            UserError: if an override is wrong, or a value is missing.
        """
        overrides = {line: self._parse_override(line) for line in lines}
        choices = tuple(
            line
            for line, override in overrides.items()
            if line not in self._shared and not _sets_value(override, self._values)
        )
        if choices not in self._compositions:
            try:
                cfg = self._compose([*lines, *self._always]) if choices else copy.deepcopy(self._common)
                composition: _Composition | UserError = _Composition(cfg, lines if choices else self._shared)
            except UserError as error:
                composition = error
            self._compositions[choices] = composition
        composition = self._compositions[choices]
        if isinstance(composition, UserError):
            raise composition
        return composition.values(overrides)

    def parsed(self, values: Mapping[str, Any]) -> TrainConfig:
        """A typed configuration. Equal sections are stored once: those of thousands of runs take memory."""
        config = parse(values)
        sections = {name: value for name, value in config if isinstance(value, BaseModel)}
        shared = {
            name: self._sections.setdefault((name, section.model_dump_json()), section)
            for name, section in sections.items()
        }
        return config.model_copy(update=shared)


class _Composition:
    """A composed configuration in which the values of each run are replaced in turn.

    Args:
        lines: its overrides.
    """

    def __init__(self, cfg: DictConfig, lines: Sequence[str]) -> None:
        self._cfg, self._lines = cfg, set(lines)

    def values(self, overrides: Mapping[str, Override]) -> dict[str, Any]:
        """The configuration with these overrides, as plain data."""
        changed = [override for line, override in overrides.items() if line not in self._lines]
        self._lines = set()  # if one fails, the next run sets all
        with explained():
            for override in changed:
                OmegaConf.update(self._cfg, override.key_or_group, override.value(), merge=True)
        self._lines = set(overrides)
        return plain(self._cfg)


def _sets_value(override: Override, values: Any) -> bool:
    """Whether an override only changes one of the values, without choosing an option or adding a key."""
    if override.package or override.is_add() or override.is_force_add() or override.is_delete():
        return False
    for part in override.key_or_group.split("."):
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return not isinstance(values, dict) and not isinstance(override.value(), dict)
