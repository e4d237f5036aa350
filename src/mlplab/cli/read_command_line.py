"""Reads the command line of commands with a composed configuration, and Hydra's flags."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from omegaconf import OmegaConf

from mlplab.cli.terminal import VERSION, print_usage
from mlplab.composition.compose import composing, register_resolvers
from mlplab.composition.config_folders import CONFIG_NAME, config_folders
from mlplab.composition.hydra_errors import explained
from mlplab.composition.overrides import Keyword, read_overrides
from mlplab.sweeps.grid import lines_of


def read_command_line(words: Sequence[str], usage: str | None = None) -> tuple[list[str], bool, list[Path]]:
    """Overrides, whether they are of a sweep, and the folders of the configuration.

    If the command line only requests the version, help, or the like, prints that, and exits.

    Args:
        usage: the help text; None: the text in `conf/hydra/help`.

    Raises:
        UserError: if the user's folder of configuration files is wrong.
    """
    if VERSION in words or (words and usage):
        print_usage(words, usage)
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    switches = "--multirun -m", "--run -r", "--help -h", "--hydra-help", "--resolve", "--shell-completion -sc"
    for names in switches:
        parser.add_argument(*names.split(), action="store_true")
    parser.add_argument("--config-dir", "-cd")
    parser.add_argument("--package", "-p")
    parser.add_argument("--cfg", "-c", choices=("job", "hydra", "all"))
    parser.add_argument("--info", "-i", nargs="?", const="all")
    read = parser.parse_intermixed_args(words)
    folders = config_folders(read.config_dir)
    if read.cfg:
        _print_config(read, folders)
        sys.exit(0)
    if read.help or read.hydra_help or read.info or read.shell_completion:
        flags = [word for word in words if word not in read.overrides]
        given = [
            each for each in read_overrides(read.overrides, multirun=True) if not isinstance(each, Keyword)
        ]
        _ask_hydra([*flags, *lines_of(given)], folders)
        sys.exit(0)
    return read.overrides, read.multirun, folders


def _print_config(read: argparse.Namespace, folders: Sequence[Path]) -> None:
    with composing(folders) as compose, explained():
        cfg = compose(read_overrides(read.overrides))
        shown = [str(key) for key in cfg if read.cfg == "all" or (key == "hydra") == (read.cfg == "hydra")]
        section = OmegaConf.select(cfg, read.package) if read.package else OmegaConf.masked_copy(cfg, shown)
        print(OmegaConf.to_yaml(section, resolve=read.resolve), end="")


def _ask_hydra(words: Sequence[str], folders: Sequence[Path]) -> None:
    main, *others = folders
    further = [each for folder in others for each in ("--config-dir", str(folder))]  # searched after `main`
    sys.argv[1:] = [*words, *further]  # Hydra takes the last of several folders
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its exceptions, for us to explain
    register_resolvers()
    with explained():
        hydra.main(version_base="1.3", config_path=str(main), config_name=CONFIG_NAME)(lambda _: None)()
