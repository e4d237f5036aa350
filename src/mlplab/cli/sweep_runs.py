"""Derives the configurations of a sweep's runs from as few compositions as possible.

Hydra takes about 60 ms to compose a run, longer than a small run takes to train in lockstep. So runs that
differ only in values share one composition, and Hydra's own function for overrides replaces their values.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, flag_override
from pydantic import BaseModel

from mlplab.cli.compose import plain, reject_hydra_settings
from mlplab.cli.hydra_errors import explained
from mlplab.cli.overrides import lines_of
from mlplab.config import TrainConfig, parse
from mlplab.errors import UserError
from mlplab.sweeps.checks import ComposedRun, RefusedRun

Sections = dict[tuple[str, str], BaseModel]
"""The sections of configurations by their names and contents: equal ones are stored once."""


def derive_runs(
    sweep: DictConfig, loader: ConfigLoader, overrides: Sequence[Sequence[str]], first: int
) -> Iterator[ComposedRun | RefusedRun]:
    """The runs of a sweep, in order.

    Args:
        sweep: the composed configuration that the runs have in common.
        overrides: the overrides of each run.
        first: the number of the first run.

    Raises:
        UserError: if an override cannot be parsed.
    """
    parser = OverridesParser.create()

    @cache  # runs share most of their overrides
    def parse_override(line: str) -> Override:
        with explained():
            return parser.parse_overrides([line])[0]

    shared, sections = lines_of(sweep.hydra.overrides.task), Sections()
    compositions: dict[tuple[str, ...], _Composition] = {}
    for number, lines in enumerate(overrides, first):
        parsed = {line: parse_override(line) for line in lines}
        choices = tuple(
            line for line in parsed if line not in shared and not _sets_value(parsed[line], sweep)
        )
        if choices not in compositions:
            composition = compositions[choices] = _Composition(sweep, shared)
            if choices:
                composition.choose(loader, lines)
        yield compositions[choices].run(parsed, number, sections)


def _sets_value(override: Override, sweep: DictConfig) -> bool:
    """Whether an override only changes a value of the sweep's composition, without choosing an option."""
    if override.is_add() or override.is_force_add() or override.is_delete():
        return False
    if isinstance(override.value(), dict):  # it may add keys
        return False
    node: Any = sweep
    for part in override.key_or_group.split("."):  # without resolving interpolations
        node = node._get_node(part, validate_access=False) if isinstance(node, DictConfig) else None
    return node is not None and not isinstance(node, DictConfig)


class _Composition:
    """A composed configuration in which the values of each run are replaced in turn.

    Args:
        cfg: a composed configuration, which is copied.
        lines: the overrides of its task.
    """

    def __init__(self, cfg: DictConfig, lines: Sequence[str]) -> None:
        self.cfg, self.lines = copy.deepcopy(cfg), list(lines)
        OmegaConf.set_readonly(self.cfg.hydra, False)
        self.error: UserError | None = None

    def choose(self, loader: ConfigLoader, lines: Sequence[str]) -> None:
        """Composes anew, with overrides that choose options; keeps the error if that fails."""
        try:
            with explained():
                chosen = loader.load_sweep_config(self.cfg, list(lines))
            reject_hydra_settings(chosen.hydra)
            self.cfg, self.lines = chosen, list(lines)
        except UserError as error:
            self.error = error

    def run(
        self, parsed: Mapping[str, Override], number: int, sections: Sections
    ) -> ComposedRun | RefusedRun:
        """The run with some overrides."""
        changed = [override for line, override in parsed.items() if line not in self.lines]
        if self.error:
            changed = [override for override in changed if override.key_or_group.startswith("hydra.sweep.")]
        changed.sort(key=lambda override: not override.is_hydra_override())  # its folder first
        self.lines = [] if self.error else list(parsed)
        values: dict[str, Any] = {}
        try:
            with explained():
                ConfigLoaderImpl._apply_overrides_to_config(changed, self.cfg)
            if self.error:
                raise self.error
            values = plain(self.cfg)
            config = _sharing(parse(values), sections)
        except UserError as error:
            return RefusedRun(self._folder(parsed, number), values, error)
        return ComposedRun(config, self._folder(parsed, number))

    def _folder(self, parsed: Mapping[str, Override], number: int) -> Path:
        """The folder in which Hydra would put a run with these overrides."""
        hydra = self.cfg.hydra
        task = [override for override in parsed.values() if not override.is_hydra_override()]
        naming = hydra.job.config.override_dirname
        with explained(), flag_override(hydra, "struct", False):
            hydra.job.num = hydra.job.id = number
            hydra.overrides.task = [override.input_line for override in task]
            hydra.job.override_dirname = get_overrides_dirname(
                task, exclude_keys=naming.exclude_keys, item_sep=naming.item_sep, kv_sep=naming.kv_sep
            )
            return Path(str(hydra.sweep.dir)) / str(hydra.sweep.subdir)


def _sharing(config: TrainConfig, sections: Sections) -> TrainConfig:
    """The same configuration with stored sections: those of thousands of runs take memory."""
    own = {name: value for name, value in config if isinstance(value, BaseModel)}
    shared = {name: sections.setdefault((name, own[name].model_dump_json()), own[name]) for name in own}
    return config.model_copy(update=shared)
