"""The grid: every combination of the values that a command gives its keys."""

from collections.abc import Sequence
from itertools import product

from hydra.core.override_parser.overrides_parser import OverridesParser

from mlplab.errors import Fault, UserError


def grid(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of each run, in the order of the keys, the last one's values fastest.

    Raises:
        UserError: for a key without a value, as `seed=range(0)`.
    """
    values = []
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.get_key_element()
        if not override.is_sweep_override():
            values.append([override.input_line or ""])
            continue
        each = [f"{key}={value}" for value in override.sweep_string_iterator()]
        if not each:
            line = (override.input_line or "").partition("=")[2]
            raise UserError(Fault("has no values", key, line, remedy="give it some, as in seed=range(4)"))
        values.append(each)
    return [list(combination) for combination in product(*values)]
