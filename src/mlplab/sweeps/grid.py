"""The grid: one run for each combination of values, each in its own folder."""

from collections.abc import Sequence
from itertools import islice, product
from math import prod

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser

from mlplab.config.dotted_keys import quoted
from mlplab.errors import Fault, UserError, listed
from mlplab.sweeps.folder import folder_name

MAX_RUNS = 100_000
"""The largest number of runs of a sweep: their configurations take gigabytes of memory."""


def grid(loader: ConfigLoader, overrides: Sequence[str], *, name_folders: bool = True) -> list[list[str]]:
    """The overrides of each run. The values of the last key vary fastest.

    Args:
        loader: Hydra's loader of configurations.
        overrides: the overrides of the sweep.
        name_folders: whether each run gets a folder named after the keys that vary.

    Raises:
        UserError: if a key has no values, as in `seed=range(0)`, or there are more than `MAX_RUNS`.
    """
    varying, values = set(), []
    for override in OverridesParser.create(loader).parse_overrides(list(overrides)):
        key, line = override.get_key_element(), override.input_line or ""
        if override.is_sweep_override():
            varying.add(key)
            typed = islice(override.sweep_string_iterator(), MAX_RUNS + 1)
            values.append([f"{key}={value}" for value in typed])
            if not values[-1]:
                found, remedy = line.partition("=")[2], "give it values, as in seed=range(4)"
                raise UserError(Fault("has no values", key, found, remedy=remedy))
        else:
            values.append([line])
    if prod(map(len, values)) > MAX_RUNS:
        remedy = "give fewer values, or search them: sweep.trials=64"
        raise UserError(Fault(f"more than {MAX_RUNS:,} runs", listed(sorted(varying)), remedy=remedy))
    runs = [list(combination) for combination in product(*values)]
    if not name_folders:
        return runs
    return [[*run, f"hydra.sweep.subdir={quoted(folder_name(run, varying))}"] for run in runs]
