"""Where commands meet Hydra: its overrides and errors in, our messages and exit statuses out.

A single run is composed with Hydra's compose API and run from here: Hydra's own way composes twice, makes
folders before anything is checked, and calls whatever a configuration file names below `hydra.callbacks`.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser  # an internal, since no other place has Hydra's flags
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from mlplab.cli.composition import plain, refuse_what_calls
from mlplab.cli.hydra_errors import explained
from mlplab.cli.overrides import RESUME, check_overrides, is_typed, readable
from mlplab.cli.terminal import VERSION, log_to_terminal, status_of, version_line
from mlplab.config import CsvData, DescribeConfig, TrainConfig, check_name, parse, parse_description
from mlplab.config.allowed_classes import user_classes
from mlplab.config.keys import quoted
from mlplab.errors import Fault, Interrupted, UserError, reason_of
from mlplab.runs.folder import record_failed
from mlplab.runs.lock import LOCK, Lock
from mlplab.runs.resume import (
    MAY_DIFFER,
    MAY_GROW,
    MULTIRUN_FILE,
    PLAN_FILE,
    check_same,
    differences,
    has_begun,
    is_sweep,
    read_run_config,
)

OUTPUTS = "outputs"
Command = Callable[[TrainConfig, Path, bool], None]
"""Takes a configuration, the run's folder, and whether the run has begun there already."""


def hydra_command(verb: Command, *, conf: Path, name: str) -> None:
    """Composes `conf/<name>.yaml` with the command line, hands each run to `verb`, and ends the process.

    Exit status: 0 done; 2 the user's input or configuration is wrong; 1 a run failed; 128 + n on signal n.
    In a sweep the runs after a failed one still go on, and the status is that of the first that failed.
    """
    log_to_terminal("stdout")
    sys.argv[1:] = readable(sys.argv[1:])
    statuses: list[int] = []

    def work() -> None:
        if VERSION in sys.argv:
            print(version_line())
            return
        user_classes()  # before any configuration could change the environment
        flags = get_args_parser().parse_args()
        swept = check_overrides(flags.overrides, multirun=flags.multirun)
        typed = {line.lstrip("+").partition("=")[0] for line in flags.overrides}
        register_resolvers()
        if flags.help or flags.hydra_help or flags.cfg or flags.info or flags.shell_completion:
            _hand_to_hydra(lambda _: None, conf, name)
            return
        if RESUME in typed:
            _resume(verb, flags, conf, name)
            return
        composed = _compose(
            conf, flags, name, [each for each in flags.overrides if each not in swept.values()]
        )
        refuse_what_calls(composed.hydra)
        if flags.multirun:
            root = _folder(composed, "hydra.sweep.dir", typed)
            _check_sweep_folder(root)
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


def hydra_table_command(verb: Callable[[DescribeConfig], None], *, conf: Path, name: str, usage: str) -> None:
    """Composes `conf/<name>.yaml` with the command line, hands it to `verb`, and ends the process, with the
    exit status as `hydra_command`. A table's target need not be given."""
    log_to_terminal("stderr")
    sys.argv[1:] = readable(sys.argv[1:])

    def work() -> None:
        if VERSION in sys.argv:
            print(version_line())
            return
        flags = get_args_parser().parse_args()
        swept = check_overrides(flags.overrides, multirun=flags.multirun)
        if flags.multirun:
            raise UserError(
                Fault("describes one table, not several", ", ".join(swept), remedy="leave out -m")
            )
        register_resolvers()
        if flags.help:
            print(usage.strip())
            return
        if flags.hydra_help or flags.cfg or flags.info or flags.shell_completion:
            _hand_to_hydra(lambda _: None, conf, name)
            return
        composed = _compose(conf, flags, name, flags.overrides)
        refuse_what_calls(composed.hydra)
        if OmegaConf.is_missing(composed.data, "target"):
            composed.data.target = []
        verb(parse_description(_values(composed)))

    sys.exit(status_of(work))


def _compose(conf: Path, flags: argparse.Namespace, name: str, overrides: Sequence[str]) -> DictConfig:
    """The configuration of a run, Hydra's part included."""
    conf = Path(flags.config_path).resolve() if flags.config_path else conf
    further = [f"hydra.searchpath=[file://{Path(flags.config_dir).resolve()}]"] if flags.config_dir else []
    with explained(), hydra.initialize_config_dir(str(conf), version_base="1.3"):
        return hydra.compose(flags.config_name or name, [*overrides, *further], return_hydra_config=True)


def _run(verb: Command, composed: DictConfig, folder: Path) -> None:
    verb(parse(_values(composed)), folder, False)


def _values(composed: DictConfig) -> dict[str, Any]:
    """A composed configuration, plain; what refers to Hydra's part can be resolved."""
    HydraConfig.instance().set_config(composed)
    return plain(composed)


def _resume(verb: Command, flags: argparse.Namespace, conf: Path, name: str) -> None:
    """Goes on with a run, by the configuration in its folder; what is typed beside must not contradict it."""
    (resume,) = (line for line in flags.overrides if line.lstrip("+").startswith(f"{RESUME}="))
    folder = Path(str(OverridesParser.create().parse_override(resume).value()))
    if folder == Path():
        raise UserError(Fault("needs a run's folder", RESUME, remedy=f"{RESUME}=outputs/…"))
    lines = [line for line in flags.overrides if line != resume]
    remedy = "to go on with a sweep, give its command again, with its folder"
    if flags.multirun:
        raise UserError(Fault("goes on with one run, not with several", RESUME, str(folder), remedy=remedy))
    if (folder / PLAN_FILE).is_file():
        raise UserError(Fault("is a sweep's folder, not a run's", str(folder), remedy=remedy))
    if places := [line for line in lines if line.lstrip("+~").startswith(("name=", "hydra."))]:
        remedy = f"{RESUME}= names the run's folder already: leave it out"
        raise UserError(Fault("says nothing to a run that goes on", places[0], remedy=remedy))
    run = read_run_config(folder)
    for line in [line for line in lines if line.startswith(f"{MAY_DIFFER}=")]:
        lines.remove(line)  # the default table, of which they are composed, has no such key
        values = run.plain()
        values["data"]["memory_gib"] = OverridesParser.create().parse_override(line).value()
        run = parse(values)
    if lines:
        composed = _compose(conf, flags, name, [*_table_of(run, lines), *lines])
        refuse_what_calls(composed.hydra)
        new, before = parse(plain(composed)), run.plain()
        if is_typed(MAY_GROW, lines):
            epochs = {"max_epochs": new.trainer.max_epochs}
            run = run.model_copy(update={"trainer": run.trainer.model_copy(update=epochs)})
        faults = [
            fault
            for fault in differences(new, before, str(folder))
            if fault.where != MAY_GROW and is_typed(fault.where, lines)
        ]
        if faults := faults + differences(run, before, str(folder)):
            raise UserError(*faults)
    verb(run, folder, True)


def _table_of(run: TrainConfig, lines: Sequence[str]) -> list[str]:
    """Overrides that choose a run's kind of table, whose keys others may not know."""
    choice: dict[str, str] = {"data": run.data.name}
    if isinstance(run.data, CsvData):
        targets = ",".join(map(quoted, run.data.target))
        choice |= {"data.path": quoted(run.data.path), "data.target": f"[{targets}]"}
    typed = {line.lstrip("+~").partition("=")[0] for line in lines}
    return [f"{key}={value}" for key, value in choice.items() if key not in typed]


def _sweep(verb: Command, conf: Path, name: str, root: Path, statuses: list[int]) -> None:
    """Lets Hydra's sweeper and launcher make the runs; `statuses` gets one of each."""

    def job(cfg: DictConfig) -> None:
        folder = Path(HydraConfig.get().runtime.output_dir)

        def work() -> None:
            refuse_what_calls(HydraConfig.get())
            if not folder.resolve().is_relative_to(root.resolve()):
                raise UserError(Fault("leaves the sweep's folder", str(folder)))
            values: dict[str, Any] = {}
            try:
                values = plain(cfg)
                run = parse(values)
                values = run.plain()  # as its folder has it
                check_same(run, folder)
                verb(run, folder, has_begun(folder))
            except Interrupted:
                raise
            except Exception as error:
                record_failed(folder, values, reason_of(error))
                raise

        statuses.append(status_of(work))
        _remove_if_empty(folder)  # Hydra makes it before the job starts

    made = [folder for folder in (root, *root.parents) if not folder.exists()]
    root.mkdir(parents=True, exist_ok=True)
    try:
        with Lock(root).held():
            _hand_to_hydra(job, conf, name)
            if {path.name for path in root.iterdir()} == {LOCK, MULTIRUN_FILE}:
                (root / MULTIRUN_FILE).unlink()
    finally:
        for folder in made:
            _remove_if_empty(folder)


def _check_sweep_folder(root: Path) -> None:
    """A sweep's folder is new, empty, or holds what an earlier try of a sweep has left."""
    entries = list(root.iterdir()) if root.is_dir() else []
    if links := [entry for entry in entries if entry.is_symlink()]:
        raise UserError(Fault("is a link, which no sweep makes", str(links[0]), remedy="remove it"))
    if root.is_file() or (entries and not is_sweep(root)):
        raise UserError(Fault("exists and is not empty", str(root), remedy="give another: name=…"))


def _hand_to_hydra(job: Callable[[DictConfig], None], conf: Path, name: str) -> None:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra lets its exceptions through, for us to explain
    with explained():
        hydra.main(version_base="1.3", config_path=str(conf), config_name=name)(job)()


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


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
