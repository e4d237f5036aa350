"""The grid: every combination of the values that a command gives its keys, and where each run lies."""

import hashlib
import re
from collections.abc import Sequence
from itertools import product

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from mlplab.cli.hydra_errors import explained
from mlplab.config.keys import quoted
from mlplab.errors import Fault, UserError

LONGEST_NAME = 120
"""Characters of a run folder's name, before it is cut."""


def grid(master: DictConfig, loader: ConfigLoader, overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of each run, in the order of the keys, the last one's values fastest.

    Each says where the run lies: in the sweep's folder, named by what differs, unless the command line says
    otherwise. So whatever process composes a run puts it there.

    Args:
        master: the sweep's own composition.
        overrides: of the sweep.

    Raises:
        UserError: for a key without a value, as `seed=range(0)`.
    """
    swept, values = set(), []
    with explained():
        parsed = OverridesParser.create(loader).parse_overrides(list(overrides))
        name, root = str(master.name), str(master.hydra.sweep.dir)
    for override in parsed:
        key, line = override.get_key_element(), override.input_line or ""
        if override.is_interval_sweep():
            remedy = "give it values, as in range(0,1,0.1)"
            raise UserError(
                Fault("an interval is no list of values", key, line.partition("=")[2], remedy=remedy)
            )
        if override.is_sweep_override():
            swept.add(key)
            values.append([f"{key}={value}" for value in override.sweep_string_iterator()])
            if not values[-1]:
                found = line.partition("=")[2]
                raise UserError(
                    Fault("has no values", key, found, remedy="give it some, as in seed=range(4)")
                )
        else:
            values.append([line])
    runs = [list(combination) for combination in product(*values)]
    place = [f"hydra.sweep.dir={quoted(root)}"]
    if not any(override.get_key_element() == "name" for override in parsed):
        place.append(f"name={quoted(name)}")
    typed = OmegaConf.to_container(master.hydra.overrides.hydra, resolve=False)
    if any(str(line).lstrip("+").startswith("hydra.sweep.subdir=") for line in typed or ()):
        return [[*run, *place] for run in runs]
    return [[*run, *place, f"hydra.sweep.subdir={quoted(run_name(run, swept))}"] for run in runs]


def run_name(overrides: Sequence[str], swept: set[str]) -> str:
    """A run's name by what differs from the others: `lr=0.001,seed=3`."""
    parts = []
    for override in sorted(overrides):
        key, _, value = override.partition("=")
        if key in swept:
            parts.append(f"{key.rpartition('.')[2].lstrip('+~')}={value}")
    text = ",".join(parts) or "run"
    name = re.sub(r"[^\w.,=+\-\[\]]", "_", text)
    if name != text or len(name) > LONGEST_NAME:  # two texts must not become one name
        name = f"{name[:LONGEST_NAME]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name
