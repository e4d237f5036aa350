"""The command line of train: a run, a resumed run, or a sweep."""

import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig, read_write

from mlplab.cli.compose import composed, folder_of, plain, read_flags, reject_hydra_settings
from mlplab.cli.hydra_errors import explained
from mlplab.cli.overrides import RESUME, check_overrides, key_of, lines_of, typed_keys
from mlplab.cli.terminal import exit_status, log_loading, log_to_terminal
from mlplab.config import TrainConfig, parse
from mlplab.config.allowed_classes import user_classes
from mlplab.config.dotted_keys import quoted
from mlplab.errors import Fault, Interrupted, UserError, reason_of
from mlplab.files import FolderLock, remove_if_empty
from mlplab.imports import heavy_imports
from mlplab.runs.folder import record_failure
from mlplab.runs.resume import check_same_config, differences, read_run_config, was_started
from mlplab.sweeps.folder import PLAN_FILE, check_inside, check_sweep_folder

if TYPE_CHECKING:  # it imports polars, which asking for help does not need
    from mlplab.data.cache import DataCache


def train_command(conf: Path, name: str) -> None:
    """Composes `conf/<name>.yaml` with the command line, trains, and exits.

    Exit code: 0 on success; 2 if the user's input or configuration is wrong; 1 if a run failed; 128 + n on
    signal n. In a sweep, the runs after a failed one still train; the code is that of the first failed run.
    """
    log_to_terminal("stdout")
    statuses: list[int] = []

    def work() -> None:
        flags = read_flags(conf, name)
        if flags is None:
            return
        user_classes()  # reads the environment before any configuration could change it
        check_overrides(flags.overrides, multirun=flags.multirun)
        typed = typed_keys(flags.overrides)
        if RESUME in typed:
            _resume(flags.overrides, multirun=flags.multirun)
        elif flags.multirun:
            with composed(conf, flags, name, flags.overrides) as cfg:
                log_loading("torch and the tables of the sweep")
                _sweep(cfg, folder_of(cfg, "hydra.sweep.dir", typed), statuses)
        else:
            with composed(conf, flags, name, flags.overrides) as cfg:
                folder, run = folder_of(cfg, "hydra.run.dir", typed), parse(plain(cfg))
            _train(run, folder, resume=False)

    statuses.append(exit_status(work))
    sys.exit(next((status for status in statuses if status), 0))


def _train(
    run: TrainConfig, folder: Path, *, resume: bool, cache: "DataCache | None" = None, alone: bool = True
) -> None:
    if alone:
        log_loading(f"torch and the table {getattr(run.data, 'path', run.data.name)}")
    with heavy_imports():
        from mlplab.commands.train import train

    train(run, folder, resume=resume, cache=cache, alone=alone)


def _resume(overrides: Sequence[str], *, multirun: bool) -> None:
    """Resumes a run with the configuration in its folder, which other overrides must not contradict."""
    (resume,) = (line for line in overrides if line.lstrip("+").startswith(f"{RESUME}="))
    parser = OverridesParser.create()
    folder = Path(str(parser.parse_override(resume).value()))
    if folder == Path():
        raise UserError(Fault("needs the folder of a run", RESUME, remedy=f"set it: {RESUME}=outputs/…"))
    if multirun or (folder / PLAN_FILE).is_file():
        what = "resumes one run, not several"
        remedy = "to continue a sweep, run its command again with the same name=… (or hydra.sweep.dir=…)"
        raise UserError(Fault(what, RESUME, str(folder), remedy=remedy))
    saved = read_run_config(folder).plain()
    values = deepcopy(saved)
    for override in parser.parse_overrides([line for line in overrides if line != resume]):
        *sections, name = override.key_or_group.split(".")
        section = reduce(
            lambda inner, key: inner.get(key, {}) if isinstance(inner, dict) else {}, sections, values
        )
        if (
            not isinstance(section, dict)
            or name not in section
            or isinstance(section[name], dict)
            or override.key_or_group == "name"
        ):
            remedy = f"remove it: {RESUME}= takes the settings of the run"
            raise UserError(Fault("cannot be set for a resumed run", str(override.input_line), remedy=remedy))
        section[name] = override.value()
    run = parse(values)
    if faults := differences(run, saved, str(folder)):
        raise UserError(*faults)
    _train(run, folder, resume=True)


def _sweep(cfg: DictConfig, root: Path, statuses: list[int]) -> None:
    """Runs Hydra's sweeper, which launches the runs; appends the exit code of each to `statuses`."""
    check_sweep_folder(root)
    _fix_folder(cfg, root)
    task = _task(root, statuses)
    created = [folder for folder in (root, *root.parents) if not folder.exists()]
    root.mkdir(parents=True, exist_ok=True)
    try:
        with FolderLock(root).held():
            context = HydraContext(GlobalHydra.instance().config_loader(), Callbacks())
            with explained():
                plugins = Plugins.instance()
                sweeper = plugins.instantiate_sweeper(config=cfg, hydra_context=context, task_function=task)
                sweeper.sweep(lines_of(cfg.hydra.overrides.task))
    finally:
        for folder in created:
            remove_if_empty(folder)


def _fix_folder(cfg: DictConfig, root: Path) -> None:
    """Fixes the folder and the name of a sweep, which may contain the time, for all runs composed later."""
    of_hydra, of_task = lines_of(cfg.hydra.overrides.hydra), lines_of(cfg.hydra.overrides.task)
    with read_write(cfg.hydra):
        cfg.hydra.sweep.dir = str(root)
        others = [line for line in of_hydra if key_of(line) != "hydra.sweep.dir"]
        cfg.hydra.overrides.hydra = [*others, f"hydra.sweep.dir={quoted(str(root))}"]
        if "name" not in typed_keys(of_task):
            cfg.hydra.overrides.task = [*of_task, f"name={quoted(str(cfg.name))}"]


def _task(root: Path, statuses: list[int]) -> Callable[[DictConfig], None]:
    """The task that launchers other than lockstep call for each run."""

    def task(cfg: DictConfig) -> None:
        folder = Path(HydraConfig.get().runtime.output_dir)

        def work() -> None:
            from mlplab.data.cache import DataCache
            from mlplab.runs.resolve import resolved

            reject_hydra_settings(HydraConfig.get())
            check_inside(folder, root)
            values: dict[str, Any] = {}
            try:
                values = plain(cfg)
                run = parse(values)
                cache = DataCache()
                run = resolved(run, cache, folder)
                values = run.plain()  # as in the run's folder
                check_same_config(run, folder)
                _train(run, folder, resume=was_started(folder), cache=cache, alone=False)
            except Interrupted:
                raise
            except Exception as error:
                record_failure(folder, values, reason_of(error))
                raise

        statuses.append(exit_status(work))
        remove_if_empty(folder)  # Hydra creates it before the task starts

    return task
