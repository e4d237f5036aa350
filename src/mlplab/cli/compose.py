"""Composes configurations with Hydra, and reads its flags.

Runs are composed with Hydra's compose API and started by mlplab. `hydra.main` would create folders before
anything is checked, and call any code that a configuration file names in `hydra.callbacks`.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser  # internal, but the only place that knows Hydra's flags
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from mlplab.cli.hydra_errors import explained
from mlplab.cli.overrides import readable
from mlplab.cli.terminal import VERSION, version_line
from mlplab.config import Sweep, check_name, parse_sweep
from mlplab.errors import Fault, UserError, shortened

OUTPUTS = "outputs"

LONGEST_NAME = 255
"""The largest number of bytes of a name in the file systems of Linux, macOS and Windows."""

SWEEP = "sweep"
"""The section of the configuration that describes a sweep, not its runs."""


def read_flags(conf: Path, name: str, usage: str = "") -> argparse.Namespace | None:
    """Reads the command line; None if it only requests the version, help, or the like, which is printed.

    Args:
        usage: the help text; if empty, the text in `conf/hydra/help`.
    """
    sys.argv[1:] = readable(sys.argv[1:])
    register_resolvers()
    if VERSION in sys.argv:
        print(version_line())
        return None
    flags: argparse.Namespace = get_args_parser().parse_intermixed_args()
    if flags.help and usage:
        print(usage.strip())
        return None
    if flags.help or flags.hydra_help or flags.cfg or flags.info or flags.shell_completion:
        _let_hydra_answer(conf, name)
        return None
    return flags


def _let_hydra_answer(conf: Path, name: str) -> None:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its exceptions, for us to explain
    do_nothing: Callable[[DictConfig], None] = lambda _: None  # noqa: E731
    with explained():
        hydra.main(version_base="1.3", config_path=str(conf), config_name=name)(do_nothing)()


@contextmanager
def composed(
    conf: Path, flags: argparse.Namespace, name: str, overrides: Sequence[str]
) -> Iterator[DictConfig]:
    """Composes `conf/<name>.yaml` with overrides, including Hydra's own section.

    For a sweep (`-m`), this is what its runs have in common. Hydra stays initialized within the block.
    """
    conf = Path(flags.config_path).resolve() if flags.config_path else conf
    further = [f"hydra.searchpath=[file://{Path(flags.config_dir).resolve()}]"] if flags.config_dir else []
    mode = RunMode.MULTIRUN if flags.multirun else RunMode.RUN
    with explained():
        context = hydra.initialize_config_dir(str(conf), version_base="1.3")
    with context:
        with explained():
            found = GlobalHydra.instance().hydra
            assert found is not None
            cfg = found.compose_config(
                flags.config_name or name, [*overrides, *further], mode, from_shell=False
            )
        reject_hydra_settings(cfg.hydra)
        HydraConfig.instance().set_config(cfg)  # so that values can refer to it
        yield cfg


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The composed configuration of a run as plain data, without the sections of Hydra and the sweep.

    Raises:
        UserError: if an interpolation cannot be resolved, or a value is missing.
    """
    return {str(key): plain_section(cfg, str(key)) for key in cfg if key not in ("hydra", SWEEP)}


def sweep_settings(cfg: DictConfig) -> Sweep:
    """The section of a composed configuration that describes the sweep."""
    return parse_sweep(plain_section(cfg, SWEEP))


def plain_section(cfg: DictConfig, key: str) -> Any:
    """A value or a section of a composed configuration as plain data.

    Raises:
        UserError: if an interpolation cannot be resolved, or a value is missing.
    """
    with explained():
        node = cfg[key]
        is_section = OmegaConf.is_config(node)
        return OmegaConf.to_container(node, resolve=True, throw_on_missing=True) if is_section else node


def reject_hydra_settings(section: Any) -> None:
    """Rejects settings that make Hydra call code, change the environment or write files, or unable to sweep.

    Raises:
        UserError: if there is one.
    """
    with explained():
        settings = {
            "hydra.callbacks": section.callbacks,
            "hydra.job.env_set": section.job.env_set,
            "hydra.job.chdir": section.job.chdir,
            "hydra.launcher": section.launcher is None,
            "hydra.sweeper": section.sweeper is None,
            "hydra.output_subdir": section.output_subdir is not None,
        }
    if rejected := [key for key, is_set in settings.items() if is_set]:
        raise UserError(Fault("is not supported by mlplab", rejected[0], remedy="remove this setting"))


def folder_of(cfg: DictConfig, key: str, typed: set[str]) -> Path:
    """The folder of a run or a sweep. It may be outside outputs/ only if its key was typed.

    Raises:
        UserError: if it is outside outputs/ otherwise.
    """
    with explained():
        folder = Path(str(OmegaConf.select(cfg, key)))
    if too_long := [part for part in folder.parts if len(os.fsencode(part)) > LONGEST_NAME]:
        where, remedy = f"{key}={shortened(too_long[0])}", "choose a shorter one"
        raise UserError(Fault("the name is too long for a folder", where, remedy=remedy))
    if key not in typed and not folder.resolve().is_relative_to((Path.cwd() / OUTPUTS).resolve()):
        remedy = f"type it on the command line: {key}=…"
        raise UserError(Fault(f"is outside {OUTPUTS}/", str(folder), remedy=remedy))
    return folder


def register_resolvers() -> None:
    """Registers `${pid:}` and `${below:root,name}` for `conf/`."""
    OmegaConf.register_new_resolver("pid", os.getpid, replace=True)
    OmegaConf.register_new_resolver("below", _below, replace=True)


def _below(root: str, name: object) -> str:
    """The folder `name` in `root`; it must not lead out of `root`."""
    try:
        return f"{root}/{check_name(str(name))}"
    except ValueError as error:
        raise UserError(Fault(str(error), "name", repr(name))) from None
