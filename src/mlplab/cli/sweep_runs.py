"""Derives the configurations of a sweep's runs from as few compositions as possible.

Hydra takes about 60 ms to compose a run, longer than a small run takes to train in lockstep. So runs that
differ only in values share one composition, and Hydra's own function for overrides replaces their values.
"""

import copy
from collections.abc import Iterator, Sequence
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
from mlplab.runs.run import Run
from mlplab.sweeps.checks import RefusedRun


def derive_runs(
    sweep: DictConfig, loader: ConfigLoader, overrides: Sequence[Sequence[str]], first: int
) -> Iterator[Run | RefusedRun]:
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

    shared = lines_of(sweep.hydra.overrides.task)
    compositions: dict[tuple[str, ...], _Composition | UserError] = {}
    for number, lines in enumerate(overrides, first):
        parsed = [parse_override(line) for line in lines]
        choices = tuple(
            line
            for line, each in zip(lines, parsed, strict=True)
            if line not in shared and not _sets_value(each, sweep)
        )
        if choices not in compositions:
            compositions[choices] = _compose(sweep, loader, shared, lines, choices)
        composition = compositions[choices]
        if isinstance(composition, UserError):
            folder_only = [each for each in parsed if each.key_or_group.startswith("hydra.sweep.")]
            copied = _writable(sweep)
            ConfigLoaderImpl._apply_overrides_to_config(folder_only, copied)
            yield RefusedRun(_folder(copied, parsed, number), {}, composition)
        else:
            yield composition.run(lines, parsed, number)


def _compose(
    sweep: DictConfig, loader: ConfigLoader, shared: list[str], lines: Sequence[str], choices: Sequence[str]
) -> "_Composition | UserError":
    """The composition for runs with these choices of options; without choices, the sweep's own."""
    if not choices:
        return _Composition(_writable(sweep), shared)
    try:
        with explained():
            cfg = loader.load_sweep_config(sweep, list(lines))
        reject_hydra_settings(cfg.hydra)
    except UserError as error:
        return error
    return _Composition(cfg, list(lines))


def _writable(sweep: DictConfig) -> DictConfig:
    copied = copy.deepcopy(sweep)
    OmegaConf.set_readonly(copied.hydra, False)
    return copied


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
    """A composed configuration in which the values of each run are replaced in turn."""

    def __init__(self, cfg: DictConfig, lines: list[str]) -> None:
        self.cfg, self.lines = cfg, lines
        self._last: TrainConfig | None = None

    def run(self, lines: Sequence[str], parsed: Sequence[Override], number: int) -> Run | RefusedRun:
        changed = [each for line, each in zip(lines, parsed, strict=True) if line not in self.lines]
        self.lines = list(lines)
        changed.sort(key=lambda each: not each.is_hydra_override())  # the folder first: others may be wrong
        try:
            with explained():
                ConfigLoaderImpl._apply_overrides_to_config(changed, self.cfg)
                folder = _folder(self.cfg, parsed, number)
                values = plain(self.cfg)
        except UserError as error:
            return RefusedRun(_folder(self.cfg, parsed, number), {}, error)
        try:
            return Run(self._sharing(parse(values)), folder)
        except UserError as error:
            return RefusedRun(folder, values, error)

    def _sharing(self, run: TrainConfig) -> TrainConfig:
        """The same configuration, with the sections of the last run that equal its own: they take memory."""
        if last := self._last:
            run = run.model_copy(
                update={name: section for name, section in last if _same(section, getattr(run, name))}
            )
        self._last = run
        return run


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal sections; of a custom network, 1 and 1.0 are not."""
    return (
        isinstance(one, BaseModel)
        and isinstance(other, BaseModel)
        and one == other
        and one.model_dump_json() == other.model_dump_json()
    )


def _folder(cfg: DictConfig, parsed: Sequence[Override], number: int) -> Path:
    """The folder in which Hydra would put a run with these overrides."""
    hydra = cfg.hydra
    task = [each for each in parsed if not each.is_hydra_override()]
    naming = hydra.job.config.override_dirname
    with explained(), flag_override(hydra, "struct", False):
        hydra.job.num = hydra.job.id = number
        hydra.overrides.task = [each.input_line for each in task]
        hydra.job.override_dirname = get_overrides_dirname(
            task, exclude_keys=naming.exclude_keys, item_sep=naming.item_sep, kv_sep=naming.kv_sep
        )
        return Path(str(hydra.sweep.dir)) / str(hydra.sweep.subdir)
