"""The configurations of a sweep's runs, derived from as few compositions as possible.

Hydra takes about 60 ms to compose a run, longer than a small one trains in lockstep. Runs that differ in
nothing but values are one composition with other values written in, by the function that Hydra itself uses.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, flag_override

from mlplab.cli.hydra_errors import explained
from mlplab.config import TrainConfig, parse
from mlplab.errors import Fault, UserError


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Args:
        overrides: of it.
        folder: that it is to fill.
        values: its configuration, plain; empty where it could not be composed.
        config: typed; None where it is wrong.
        error: what is wrong.
    """

    overrides: tuple[str, ...]
    folder: Path
    values: Mapping[str, Any] = field(default_factory=dict)
    config: TrainConfig | None = None
    error: UserError | None = None

    def refused(self, error: UserError) -> "Job":
        """As one that is wrong, its values as a run's folder has them, by which it is known there."""
        values = self.config.plain() if self.config else self.values
        return replace(self, values=values, config=None, error=error)

    @property
    def reason(self) -> str:
        """What is wrong, in one line."""
        return "; ".join(fault.sentence() for fault in self.error.faults) if self.error else ""


def plain(composed: DictConfig) -> dict[str, Any]:
    """A composed configuration without Hydra's part, its interpolations resolved.

    Raises:
        UserError: if an interpolation leads nowhere, or a value is lacking.
    """

    def value(key: str) -> Any:
        node = composed[key]
        if not OmegaConf.is_config(node):
            return node
        return OmegaConf.to_container(node, resolve=True, throw_on_missing=True)

    with explained():
        return {str(key): value(str(key)) for key in composed if key != "hydra"}


def refuse_what_calls(section: Any) -> None:
    """Refuses what Hydra would call or change before a run is checked, and folders that it would write to."""
    with explained():
        set_by_file = {
            "hydra.callbacks": bool(section.callbacks),
            "hydra.job.env_set": bool(section.job.env_set),
            "hydra.job.chdir": bool(section.job.chdir),
            "hydra.output_subdir": section.output_subdir is not None,
        }
    for key, is_set in set_by_file.items():
        if is_set:
            raise UserError(Fault("is not supported by this project", key, remedy="leave it as it is"))


def derive_jobs(
    master: DictConfig, loader: ConfigLoader, overrides: Sequence[Sequence[str]], first: int
) -> Iterator[Job]:
    """The runs of a sweep, in order, those that are wrong with what is wrong.

    Args:
        master: the sweep's own composition.
        overrides: of each run.
        first: number of the first run.

    Raises:
        UserError: for overrides that cannot be read.
    """
    parser = OverridesParser.create()

    @cache  # most lines are those of the run before
    def parsed_line(line: str) -> Override:
        return parser.parse_overrides([line])[0]

    compositions: dict[tuple[str, ...], _Composition | UserError] = {}
    reference: DictConfig | None = None
    for number, lines in enumerate(overrides, first):
        with explained():
            parsed = [parsed_line(line) for line in lines]
        alike = tuple(
            each.get_key_element() if _is_value(each, reference) else (each.input_line or "")
            for each in parsed
        )
        if alike not in compositions:
            try:
                with explained():
                    composed = loader.load_sweep_config(master, list(lines))
                refuse_what_calls(composed.hydra)
            except UserError as error:
                compositions[alike] = error
            else:
                reference = reference or copy.deepcopy(composed)
                compositions[alike] = _Composition(composed, list(lines))
        composition = compositions[alike]
        if isinstance(composition, UserError):
            placing = [each for each in parsed if each.key_or_group.startswith("hydra.sweep.")]
            placed = copy.deepcopy(master)
            ConfigLoaderImpl._apply_overrides_to_config(placing, placed)
            yield Job(tuple(lines), _folder(placed, parsed, number), error=composition)
        else:
            yield composition.job(lines, parsed, number)


def _is_value(override: Override, reference: DictConfig | None) -> bool:
    """Whether an override sets one value and chooses no option of a group."""
    if override.is_add() or override.is_force_add() or override.is_delete():
        return False
    if reference is None:  # nothing has been composed yet
        return "." in override.key_or_group
    node: Any = reference
    for part in override.key_or_group.split("."):  # as it stands, whatever interpolations lead to
        node = node._get_node(part, validate_access=False) if isinstance(node, DictConfig) else None
    return node is not None and not isinstance(node, DictConfig)


class _Composition:
    """A composed configuration, into which the values of one run after another are written."""

    def __init__(self, composed: DictConfig, lines: list[str]) -> None:
        self.composed, self.lines = composed, lines

    def job(self, lines: Sequence[str], parsed: Sequence[Override], number: int) -> Job:
        changed = [each for line, each in zip(lines, parsed, strict=True) if line not in self.lines]
        self.lines = list(lines)
        try:
            with explained():
                ConfigLoaderImpl._apply_overrides_to_config(changed, self.composed)
                folder = _folder(self.composed, parsed, number)
                values = plain(self.composed)
        except UserError as error:
            return Job(tuple(lines), _folder(self.composed, parsed, number), error=error)
        try:
            return Job(tuple(lines), folder, values, parse(values))
        except UserError as error:
            return Job(tuple(lines), folder, values, error=error)


def _folder(composed: DictConfig, parsed: Sequence[Override], number: int) -> Path:
    """Where Hydra would put a run with these overrides."""
    hydra = composed.hydra
    task = [each for each in parsed if not each.is_hydra_override()]
    naming = hydra.job.config.override_dirname
    with explained(), flag_override(hydra, "struct", False):
        hydra.job.num = hydra.job.id = number
        hydra.overrides.task = [each.input_line for each in task]
        hydra.job.override_dirname = get_overrides_dirname(
            task, exclude_keys=naming.exclude_keys, item_sep=naming.item_sep, kv_sep=naming.kv_sep
        )
        return Path(str(hydra.sweep.dir)) / str(hydra.sweep.subdir)
