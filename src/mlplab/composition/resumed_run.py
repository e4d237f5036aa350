"""The configuration of a resumed run: that of its folder, with a few overrides."""

from collections.abc import Iterable
from copy import deepcopy
from functools import reduce
from pathlib import Path

from hydra.core.override_parser.types import Override

from mlplab.composition.overrides import RESUME, path_of
from mlplab.config import TrainConfig, flat, parse
from mlplab.errors import Fault, UserError, refusal
from mlplab.runs.planned_run import differences, read_run_config


def resumed(folder: Path, overrides: Iterable[Override], *, multirun: bool = False) -> TrainConfig:
    """The configuration of a run that is resumed, which overrides must not contradict.

    Raises:
        UserError: if they do, or it is not the folder of one run.
    """
    from mlplab.sweeps.sweep_folder import PLAN_FILE  # it imports polars

    if multirun or (folder / PLAN_FILE).is_file():
        what = "resumes one run, not several"
        remedy = "to continue a sweep, run its command again with the same name=… (or hydra.sweep.dir=…)"
        raise UserError(Fault(what, RESUME, str(folder), remedy=remedy))
    saved = read_run_config(folder).plain()
    values, known = deepcopy(saved), dict(flat(saved)).keys() - {"name"}
    for override in overrides:
        *sections, key = path_of(override.key_or_group)
        if ".".join([*sections, key]) not in known:
            remedy = f"remove it: {RESUME}= takes the settings of the run"
            raise refusal("cannot be set for a resumed run", override.input_line, remedy)
        reduce(lambda section, name: section[name], sections, values)[key] = override.value()
    run = parse(values)
    if faults := differences(run, saved, str(folder)):
        raise UserError(*faults)
    return run
