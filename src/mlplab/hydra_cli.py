"""Where commands meet Hydra: its overrides and errors in, our messages and exit statuses out."""

import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import hydra
import yaml
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from mlplab.cli import log_to_terminal, status_of, tell
from mlplab.config import TrainConfig, check_name, parse, unknown_key
from mlplab.errors import Fault, UserError, listed, nearest

OUTPUTS = "outputs"


def hydra_command(verb: Callable[[TrainConfig, Path], None], *, conf: Path, name: str) -> None:
    """Composes `conf/<name>.yaml` with the command line and hands each job to `verb`; ends the process.

    Exit status: 0 done; 2 the user's input or configuration is wrong; 1 a run failed; 128 + n on signal n.
    In a sweep the jobs after a failed one still run, and the status is that of the first that failed.
    """
    statuses: list[int] = []

    def job(cfg: DictConfig) -> None:
        statuses.append(_run(verb, cfg))

    register_resolvers()
    log_to_terminal("stdout")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra lets its exceptions through, for us to explain
    try:
        arguments = get_args_parser().parse_args()
        _check_overrides(arguments.overrides, multirun=arguments.multirun)
        hydra.main(version_base="1.3", config_path=str(conf), config_name=name)(job)()
    except UserError as error:
        statuses.append(tell(error))
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        statuses.append(tell(explain(error)))
    except ValueError as error:
        if not str(error).startswith("Config group override"):  # Hydra's word on optimizer=3
            raise
        statuses.append(tell(UserError(Fault(str(error), remedy="--help lists the options of each group"))))
    sys.exit(next((status for status in statuses if status), 0))


def _run(verb: Callable[[TrainConfig, Path], None], cfg: DictConfig) -> int:
    """One job; its status."""
    folder = Path(HydraConfig.get().runtime.output_dir)

    def work() -> None:
        _check_folder(folder)
        try:
            values = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
        except OmegaConfBaseException as error:
            raise explain(error) from error
        assert isinstance(values, dict)
        verb(parse({str(key): value for key, value in values.items()}), folder)

    try:
        return status_of(work)
    finally:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()  # Hydra makes it before the job starts; nothing came of it


# --- what the command line says -------------------------------------------------------------------------


def _check_overrides(overrides: Sequence[str], *, multirun: bool) -> None:
    """Refuses a key given twice, of which Hydra would take the last, and a sweep without -m."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    seen: dict[str, str] = {}
    for override in parsed:
        key, line = override.get_key_element().lstrip("+~"), override.input_line or ""
        if key in seen and not override.is_delete():
            raise UserError(
                Fault("is given twice", key, f"{seen[key]} and {line}", remedy="keep the one that you mean")
            )
        seen[key] = line
        if override.is_sweep_override() and not multirun:
            values = line.partition("=")[2]
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


def _check_folder(folder: Path) -> None:
    """A folder typed on the command line may lie anywhere; one that a file brings lies below outputs/."""
    typed = [line.lstrip("+").partition("=")[0] for line in HydraConfig.get().overrides.hydra]
    if {"hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir"}.isdisjoint(typed):
        root = (Path.cwd() / OUTPUTS).resolve()
        if not folder.resolve().is_relative_to(root):
            raise UserError(
                Fault(
                    f"leaves {OUTPUTS}/", str(folder), remedy="type it on the command line: hydra.run.dir=…"
                )
            )


def register_resolvers() -> None:
    """Lets `conf/` use `${pid:}`, `${below:root,name}` and `${differing:overrides}`."""
    OmegaConf.register_new_resolver("pid", os.getpid, replace=True)
    OmegaConf.register_new_resolver("below", _below, replace=True)
    OmegaConf.register_new_resolver("differing", _differing, replace=True)


def _below(root: str, name: object) -> str:
    """The folder `name` in `root`, which it must not leave; asked before Hydra makes the folder."""
    try:
        return f"{root}/{check_name(str(name))}"
    except ValueError as error:
        raise UserError(Fault(str(error), "name", repr(name))) from None


def _differing(overrides: Sequence[str], longest: int = 120) -> str:
    """A run's folder in a sweep, named by its overrides: `lr=0.001,seed=3`."""
    parts = []
    for override in sorted(overrides):
        key, _, value = override.partition("=")
        if key != "name":  # it is the sweep's
            parts.append(f"{key.rpartition('.')[2].lstrip('+~')}={value}")
    name = re.sub(r"[^\w.,=+\-\[\]]", "_", ",".join(parts)) or "run"
    if len(name) > longest:
        name = f"{name[:longest]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name


# --- what Hydra, OmegaConf and YAML say -----------------------------------------------------------------


def explain(error: Exception) -> UserError:
    """The user's mistake behind an exception of Hydra, OmegaConf or YAML."""
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, UserError):
            return cause
    for cause in chain:
        if fault := _fault(cause):
            return UserError(fault)
    return UserError(Fault(_first_line(error), remedy=_first_line(chain[-1]) if len(chain) > 1 else ""))


def _causes(error: BaseException) -> Iterator[BaseException]:
    while True:
        yield error
        following = error.__cause__ or error.__context__
        if following is None:
            return
        error = following


def _fault(error: BaseException) -> Fault | None:
    if isinstance(error, OverrideParseException):
        return Fault(
            "cannot be read as an override",
            error.override,
            expected="key=value or group=option",
            remedy="quote values with special characters: \"key='a, b'\"",
        )
    if isinstance(error, MissingConfigException):
        return _unknown_option(error)
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark
        where = f"{mark.name}, line {mark.line + 1}" if mark else "a configuration file"
        return Fault(
            f"is not YAML: {error.problem}", where, remedy="mend that line; spaces, not tabs, indent"
        )
    if isinstance(error, MissingMandatoryValue):
        key = str(error.full_key or "").strip()
        return Fault("needs a value", key, remedy=f"give it one: {key}=…")
    if match := re.match(r"Could not override '([^']+)'", str(error)):
        return unknown_key(match[1])
    if match := re.search(r"An item is already at '([^']+)'", str(error)):
        return Fault("exists already", match[1], remedy=f"leave out the +: {match[1]}=…")
    if match := re.search(r"config group '([^']+)' does not exist", str(error)):
        return unknown_key(match[1])
    if isinstance(error, OmegaConfBaseException):
        return Fault(_first_line(error), str(error.full_key or ""))
    return None


def _unknown_option(error: MissingConfigException) -> Fault:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    options = list(error.options or ())
    if not group:
        return Fault(_first_line(error))
    near = nearest(option, options)
    return Fault(
        "unknown option",
        group,
        f"'{option}'",
        f"one of {listed(options, 20)}",
        f"did you mean {group}={near[0]}?" if near else "",
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
