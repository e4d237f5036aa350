"""The grid: one run for each combination of values, each in a folder named by the values that vary."""

import hashlib
import re
from collections.abc import Sequence
from itertools import islice, product
from math import prod

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser

from mlplab.errors import Fault, UserError, listed

MAX_RUNS = 100_000
"""The largest number of runs of a sweep: their configurations take gigabytes of memory."""

LONGEST_NAME = 120
"""The largest number of bytes of a run folder's name; longer names are cut."""


def grid(overrides: Sequence[str], loader: ConfigLoader | None = None) -> dict[str, list[str]]:
    """The overrides of each run by the name of its folder. The values of the last key vary fastest.

    Args:
        loader: knows the options of groups, for `glob(…)`.

    Raises:
        UserError: if a key has no values, as in `seed=range(0)`, or one twice, or there are more runs than
            `MAX_RUNS`.
    """
    varying, values = set(), []
    parser = OverridesParser.create(loader)
    for override in parser.parse_overrides(list(overrides)):
        key, line = override.get_key_element(), override.input_line or ""
        if override.is_sweep_override():
            varying.add(key)
            texts = islice(override.sweep_string_iterator(), MAX_RUNS + 1)
            values.append([f"{key}={text}" for text in texts])
            if not values[-1]:
                found, remedy = line.partition("=")[2], "give it values, as in seed=range(4)"
                raise UserError(Fault("has no values", key, found, remedy=remedy))
        else:
            values.append([line])
    if prod(map(len, values)) > MAX_RUNS:
        remedy = "give fewer values, or search them: sweep.trials=64"
        raise UserError(Fault(f"more than {MAX_RUNS:,} runs", listed(sorted(varying)), remedy=remedy))
    runs: dict[str, list[str]] = {}
    for lines in product(*values):
        name = folder_name(lines, varying)
        if name in runs:
            raise UserError(Fault("two runs have the same folder", name, remedy="give each value once"))
        runs[name] = list(lines)
    return runs


def varying(overrides: Sequence[str]) -> set[str]:
    """The keys that have several values, as in a configuration."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return {override.get_key_element().lstrip("+~") for override in parsed if override.is_sweep_override()}


def folder_name(overrides: Sequence[str], varying: set[str]) -> str:
    """The name of a run's folder, made of the keys that vary: `lr=0.001,seed=3`."""
    parts = []
    for override in sorted(overrides):
        key, _, value = override.partition("=")
        if key in varying:
            parts.append(f"{key.rpartition('.')[2].lstrip('+~')}={value}")
    text = ",".join(parts) or "run"
    name = re.sub(r"[^\w.,=+\-\[\]]", "_", text)
    if name != text or len(name.encode()) > LONGEST_NAME:  # distinct texts must get distinct names
        cut = name.encode()[:LONGEST_NAME].decode(errors="ignore")
        name = f"{cut}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name
