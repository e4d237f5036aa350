"""The grid: one run for each combination of values, each in a folder named by the values that vary."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, product
from math import prod

from hydra.core.override_parser.types import Override, ParsedElementType, Transformer, ValueType

from mlplab.errors import Fault, UserError, listed, refusal

MAX_RUNS = 100_000  # the largest number of runs of a sweep: their configurations take gigabytes of memory

Runs = Mapping[str, Sequence[Override]]  # the overrides of each run by the name of its folder

LONGEST_NAME = 120  # the largest number of bytes of a run folder's name; longer names are cut


def grid(overrides: Sequence[Override]) -> dict[str, list[Override]]:
    """The overrides of each run by the name of its folder. The values of the last key vary fastest.

    Raises:
        UserError: if a key has no values, as in `seed=range(0)`, or one twice, or there are more runs than
            `MAX_RUNS`.
    """
    values = list[list[Override]]()
    for override in overrides:
        varies = override.is_sweep_override()
        values.append([*islice(each_value(override), MAX_RUNS + 1)] if varies else [override])
        if not values[-1]:
            key, found = override.get_key_element(), override.get_value_string()
            raise UserError(Fault("has no values", key, found, remedy="give it some: seed=range(4)"))
    if prod(map(len, values)) > MAX_RUNS:
        remedy = "give fewer values, or search them: sweep.trials=64"
        raise refusal(f"more than {MAX_RUNS:,} runs", listed(sorted(varying(overrides))), remedy)
    runs: dict[str, list[Override]] = {}
    for run in product(*values):
        pairs = zip(run, overrides, strict=True)
        name = folder_name([each for each, given in pairs if given.is_sweep_override()])
        if name in runs:
            raise refusal("two runs have the same folder", name, "give each value once")
        runs[name] = list(run)
    return runs


def each_value(override: Override) -> Iterator[Override]:
    """An override with several values, as one for each of them."""
    for value in override.sweep_iterator():
        yield with_value(override, value, Transformer.str(value))


def with_value(override: Override, value: ParsedElementType, text: str) -> Override:
    """An override with another value, and how that is typed."""
    line = f"{override.get_key_element()}={text}"
    return replace(override, value_type=ValueType.ELEMENT, _value=value, input_line=line)


def lines_of(overrides: Iterable[Override]) -> list[str]:
    """Overrides as typed: `optimizer.lr=0.01`."""
    return [override.input_line or "" for override in overrides]


def varying(overrides: Sequence[Override]) -> set[str]:
    """The keys that have several values, as in a configuration."""
    return {each.get_key_element().lstrip("+~") for each in overrides if each.is_sweep_override()}


def folder_name(overrides: Iterable[Override]) -> str:
    """The name of a run's folder, made of the overrides that vary: `lr=0.001,seed=3`."""
    lines = (line.partition("=") for line in sorted(lines_of(overrides)))
    text = ",".join(f"{key.rpartition('.')[2].lstrip('+~')}={value}" for key, _, value in lines) or "run"
    name = re.sub(r"[^\w.,=+\-\[\]]", "_", text)
    if name != text or len(name.encode()) > LONGEST_NAME:  # distinct texts must get distinct names
        cut = name.encode()[:LONGEST_NAME].decode(errors="ignore")
        name = f"{cut}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name
