"""Composes configurations with Hydra.

Runs are composed with Hydra's compose API and started by mlplab. `hydra.main` would create folders before
anything is checked, and call any code that a configuration file names in `hydra.callbacks`.
"""

import errno
import os
from collections import UserString
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

import hydra
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from omegaconf import MISSING, DictConfig, OmegaConf, flag_override
from omegaconf.errors import MissingMandatoryValue

from mlplab.composition.config_folders import CONFIG_NAME, config_folders, log_own_files
from mlplab.composition.hydra_errors import explained
from mlplab.composition.overrides import Keyword, is_for_hydra, keys_of, path_of
from mlplab.config import TrainConfig, parse
from mlplab.config.allowed_classes import user_classes
from mlplab.config.data import as_missing
from mlplab.config.validation import missing_value, unknown_key_faults
from mlplab.errors import Fault, UserError, refusal
from mlplab.files import Plain
from mlplab.typed_commands import command_line

# Composes a configuration with overrides, including Hydra's own section.
Compose = Callable[[Sequence[Override]], DictConfig]

_COMPOSING = RLock()  # held while anything is composed: Hydra's state is that of the process

OUTPUTS = "outputs"

SWEEP = "sweep"  # the section of the configuration that describes a sweep, not its runs


@contextmanager
def composing(folders: Sequence[Path]) -> Iterator[Compose]:
    """Initializes Hydra, whose state stays as it was; the function that this yields composes `train.yaml`.

    Hydra takes about 60 ms, longer than a small run takes to train in lockstep. So configurations with the
    same options share one composition, in which the values of each replace those of the one before.

    Args:
        folders: of configuration files.
    """
    main, *others = folders
    user_classes()  # reads the environment before any configuration could change it
    register_resolvers()
    log_own_files(folders)

    known = dict[frozenset[str], DictConfig]()

    def compose(overrides: Sequence[Override]) -> DictConfig:
        words = [each.input_line or "" for each in overrides if is_for_hydra(each)]
        values = [each for each in overrides if not is_for_hydra(each)]
        sections = [each.input_line or "" for each in values if isinstance(each.value(), dict)]
        key = frozenset([*words, *sections, *keys_of(values)])
        if cfg := known.get(key):  # each of its values is replaced
            put(cfg, [each for each in values if not each.is_hydra_override()])
            return cfg
        with explained():
            cfg = hydra.compose(CONFIG_NAME, words, return_hydra_config=True)
        put(cfg, values)
        reject_hydra_settings(cfg.hydra)
        HydraConfig.instance().set_config(cfg)  # so that values can refer to it
        return known.setdefault(key, cfg)

    with hydra_state(None, None):
        with explained():
            hydra.initialize_config_dir(str(main), version_base="1.3")
        loader: Any = GlobalHydra.instance().config_loader()
        for folder in others:  # as Hydra does for --config-dir
            loader.get_search_path().prepend("mlplab", f"file://{folder}", SearchPathQuery(provider="schema"))
        loader.repository.initialize_sources(loader.get_search_path())
        yield compose


def compose_run(overrides: Sequence[Override], folders: Sequence[Path] | None = None) -> TrainConfig:
    """The configuration of one run, composed from the files in some folders; None: mlplab's and the user's.

    Raises:
        UserError: if a key is unknown, or a value is wrong.
    """
    with composing(folders or config_folders()) as compose:
        return parse(plain(compose(overrides)))


@contextmanager
def hydra_state(*state: Any) -> Iterator[None]:
    """Within the block, Hydra's state is another."""
    with _COMPOSING:
        before = current_state()
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = state
        try:
            yield
        finally:
            GlobalHydra.instance().hydra, HydraConfig.instance().cfg = before


def current_state() -> tuple[Any, Any]:
    """Hydra's state."""
    return GlobalHydra.instance().hydra, HydraConfig.instance().cfg


def put(cfg: DictConfig, overrides: Iterable[Override]) -> None:
    """Gives keys of a composed configuration their values. A mapping is merged with the one that is there."""
    with explained(), flag_override(cfg, "allow_objects", True):
        for each in sorted(overrides, key=lambda each: len(path_of(each.key_or_group))):  # keys of keys later
            *sections, name = path_of(each.key_or_group)
            value = _changed(each.value(), _verbatim) if isinstance(each, Keyword) else each.value()
            if sections == ["data", "na_values"]:
                known = OmegaConf.to_container(cfg.data).get("na_values", [])  # type: ignore[union-attr]
                known = known if isinstance(known, list) else [known]
                name, value = sections.pop(), as_missing([*known, {name: value}])
            elif sections and not name.isidentifier():
                name, value = sections.pop(), {name: value}
            OmegaConf.update(cfg, ".".join([*sections, name]), value, merge=True, force_add=True)


def _verbatim(value: object) -> object:
    """Text of Python is no interpolation, and no sign of a missing value: OmegaConf gets it as an object."""
    return UserString(value) if isinstance(value, str) and ("${" in value or value == MISSING) else value


def _changed(value: object, change: Callable[[object], object]) -> object:
    if isinstance(value, dict):
        return {key: _changed(item, change) for key, item in value.items()}
    return [_changed(item, change) for item in value] if isinstance(value, list) else change(value)


def plain(cfg: DictConfig) -> Plain:
    """The composed configuration of a run as plain data, without the sections of Hydra and the sweep.

    Raises:
        UserError: if an interpolation cannot be resolved, or keys have no value; then also with those that
            do not exist: one may be a misspelt name of the other.
    """
    read = {str(key): _read(cfg, str(key)) for key in cfg if key not in ("hydra", SWEEP)}
    values = {key: value for key, (value, _) in read.items()}
    if missing := [fault for _, faults in read.values() for fault in faults]:
        raise UserError(*unknown_key_faults(values), *missing)
    return values


def plain_section(cfg: DictConfig, key: str) -> object:
    """A value or a section of a composed configuration as plain data.

    Raises:
        UserError: if an interpolation cannot be resolved, or keys have no value.
    """
    value, missing = _read(cfg, key)
    if missing:
        raise UserError(*missing)
    return value


def _read(cfg: DictConfig, key: str) -> tuple[object, list[Fault]]:
    with explained():
        try:
            node = OmegaConf.select(cfg, key, throw_on_missing=True)
        except MissingMandatoryValue:
            node = MISSING
        node = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    missing = [missing_value(each) for each in _missing_keys(node, key)]
    return _changed(node, lambda value: str(value) if isinstance(value, UserString) else value), missing


def _missing_keys(value: object, key: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _missing_keys(item, f"{key}.{name}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _missing_keys(item, f"{key}[{place}]")
    elif isinstance(value, str) and value == MISSING:
        yield key


def reject_hydra_settings(section: DictConfig) -> None:
    """Rejects settings by which Hydra would call code, change the environment, write files, or train runs.

    Raises:
        UserError: if there is one.
    """
    with explained():
        sweep: Any = OmegaConf.to_container(section.sweep)
        settings = {
            "hydra.callbacks": section.callbacks,
            "hydra.job.env_set": section.job.env_set,
            "hydra.job.chdir": section.job.chdir,
            "hydra/launcher": section.launcher is None or "_target_" in section.launcher,
            "hydra/sweeper": not OmegaConf.is_missing(section, "sweeper"),
            "hydra.sweep.subdir": sweep["subdir"] != "${hydra.job.num}",  # the default
            "hydra.output_subdir": section.output_subdir is not None,
        }
    for key, is_set in settings.items():
        if is_set:
            raise refusal("is not supported by mlplab", key, "remove this setting")


def folder_of(cfg: DictConfig, key: str, typed: set[str]) -> Path:
    """The folder of a run or a sweep. It may be outside outputs/ only if its key was typed.

    Raises:
        UserError: if it is outside outputs/ otherwise.
        OSError: if its name is too long.
    """
    with explained():
        folder = Path(str(OmegaConf.select(cfg, key)))
    if any(len(os.fsencode(part)) > 255 for part in folder.parts):  # in the file systems of all platforms
        raise OSError(errno.ENAMETOOLONG, "", str(folder))  # explained in exit_status.py
    if key not in typed and not folder.resolve().is_relative_to((Path.cwd() / OUTPUTS).resolve()):
        raise refusal(f"is outside {OUTPUTS}/", folder, f"type it on the command line: {key}=…")
    return folder


def register_resolvers() -> None:
    """Registers `${mlplab.pid:}` and `${mlplab.command:train}` for `conf/`."""
    OmegaConf.register_new_resolver("mlplab.pid", os.getpid, replace=True)
    OmegaConf.register_new_resolver("mlplab.command", command_line, replace=True)
