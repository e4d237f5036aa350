"""Where commands meet Hydra: its overrides and errors in, our messages and exit statuses out.

A single run is composed with Hydra's compose API and run from here: Hydra's own way composes twice, makes
folders before anything is checked, and calls whatever a configuration file names below `hydra.callbacks`.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser  # an internal, since no other place has Hydra's flags
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

from mlplab.cli import log_to_terminal, status_of
from mlplab.config import TrainConfig, check_name, parse
from mlplab.errors import Fault, UserError
from mlplab.hydra_errors import explained
from mlplab.sweeps.composition import plain, refuse_what_calls
from mlplab.sweeps.grid import quoted
from mlplab.targets import own_targets

OUTPUTS = "outputs"
MULTIRUN_FILE = "multirun.yaml"
"""What Hydra's own sweeper leaves in a sweep's folder."""

Verb = Callable[[TrainConfig, Path], None]


def hydra_command(verb: Verb, *, conf: Path, name: str) -> None:
    """Composes `conf/<name>.yaml` with the command line, hands each run to `verb`, and ends the process.

    Exit status: 0 done; 2 the user's input or configuration is wrong; 1 a run failed; 128 + n on signal n.
    In a sweep the runs after a failed one still go on, and the status is that of the first that failed.
    """
    own_targets()  # read before any configuration could change the environment
    log_to_terminal("stdout")
    flags = get_args_parser().parse_args()
    statuses: list[int] = []

    def work() -> None:
        swept = _check_overrides(flags.overrides, multirun=flags.multirun)
        register_resolvers()
        if flags.help or flags.hydra_help or flags.cfg or flags.info or flags.shell_completion:
            _hand_to_hydra(lambda _: None, conf, name)
            return
        composed = _compose(
            conf, flags, name, [each for each in flags.overrides if each not in swept.values()]
        )
        refuse_what_calls(composed.hydra)
        typed = {line.lstrip("+").partition("=")[0] for line in flags.overrides}
        if flags.multirun:
            root = _folder(composed, "hydra.sweep.dir", typed)
            if root.exists() and (root.is_file() or any(root.iterdir())):
                raise UserError(Fault("exists and is not empty", str(root), remedy="give another: name=…"))
            # Hydra composes anew, with another time in the default name; and reads overrides in one place.
            same = {"hydra.sweep.dir": str(root), "name": str(composed.name)}
            place = sys.argv.index(flags.overrides[0]) if flags.overrides else len(sys.argv)
            sys.argv[place:place] = [
                f"{key}={quoted(value)}" for key, value in same.items() if key not in typed
            ]
            _sweep(verb, conf, name, root, statuses)
        else:
            _run(verb, composed, _folder(composed, "hydra.run.dir", typed))

    statuses.append(status_of(work))
    sys.exit(next((status for status in statuses if status), 0))


def _compose(conf: Path, flags: argparse.Namespace, name: str, overrides: Sequence[str]) -> DictConfig:
    """The configuration of a run, Hydra's part included."""
    conf = Path(flags.config_path).resolve() if flags.config_path else conf
    further = [f"hydra.searchpath=[file://{Path(flags.config_dir).resolve()}]"] if flags.config_dir else []
    with explained(), hydra.initialize_config_dir(str(conf), version_base="1.3"):
        return hydra.compose(flags.config_name or name, [*overrides, *further], return_hydra_config=True)


def _run(verb: Verb, composed: DictConfig, folder: Path) -> None:
    HydraConfig.instance().set_config(composed)
    with open_dict(composed):
        del composed["hydra"]
    verb(parse(plain(composed)), folder)


def _sweep(verb: Verb, conf: Path, name: str, root: Path, statuses: list[int]) -> None:
    """Lets Hydra's sweeper and launcher make the runs; `statuses` gets one of each."""

    def job(cfg: DictConfig) -> None:
        folder = Path(HydraConfig.get().runtime.output_dir)

        def work() -> None:
            refuse_what_calls(HydraConfig.get())
            if not folder.resolve().is_relative_to(root.resolve()):
                raise UserError(Fault("leaves the sweep's folder", str(folder)))
            verb(parse(plain(cfg)), folder)

        statuses.append(status_of(work))
        _remove_if_empty(folder)  # Hydra makes it before the job starts

    _hand_to_hydra(job, conf, name)
    if root.is_dir() and {path.name for path in root.iterdir()} == {MULTIRUN_FILE}:
        (root / MULTIRUN_FILE).unlink()
        root.rmdir()


def _hand_to_hydra(job: Callable[[DictConfig], None], conf: Path, name: str) -> None:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra lets its exceptions through, for us to explain
    with explained():
        hydra.main(version_base="1.3", config_path=str(conf), config_name=name)(job)()


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


# --- what the command line and files may say ------------------------------------------------------------


def _check_overrides(overrides: Sequence[str], *, multirun: bool) -> dict[str, str]:
    """The overrides with several values, by their keys.

    Raises:
        UserError: for a key given twice, of which Hydra would take the last, and several values without -m.
    """
    with explained():
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    seen: dict[str, str] = {}
    swept: dict[str, str] = {}
    for override in parsed:
        key, line = override.get_key_element().lstrip("+~"), override.input_line or ""
        if key in seen and not override.is_delete():
            raise UserError(
                Fault("is given twice", key, f"{seen[key]} and {line}", remedy="keep the one that you mean")
            )
        seen[key] = line
        if override.is_sweep_override():
            swept[key] = line
            values = line.partition("=")[2]
            if not multirun:
                raise UserError(
                    Fault(
                        "several values for one run",
                        key,
                        values,
                        remedy=f"1. to train a run for each, add -m\n"
                        f"  2. to give one list, write '{key}=[{values}]'\n"
                        f"  3. to give text with a comma, write \"{key}='{values}'\"",
                    )
                )
    return swept


def _folder(composed: DictConfig, key: str, typed: set[str]) -> Path:
    """The run's or sweep's folder: typed on the command line it may lie anywhere, else below outputs/."""
    with explained():
        folder = Path(str(OmegaConf.select(composed, key)))
    if key not in typed and not folder.resolve().is_relative_to((Path.cwd() / OUTPUTS).resolve()):
        raise UserError(
            Fault(f"leaves {OUTPUTS}/", str(folder), remedy=f"type it on the command line: {key}=…")
        )
    return folder


def register_resolvers() -> None:
    """Lets `conf/` use `${pid:}` and `${below:root,name}`."""
    OmegaConf.register_new_resolver("pid", os.getpid, replace=True)
    OmegaConf.register_new_resolver("below", _below, replace=True)


def _below(root: str, name: object) -> str:
    """The folder `name` in `root`, which it must not leave."""
    try:
        return f"{root}/{check_name(str(name))}"
    except ValueError as error:
        raise UserError(Fault(str(error), "name", repr(name))) from None
