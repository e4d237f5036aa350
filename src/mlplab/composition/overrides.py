"""Overrides, before they are composed: text of a command line, and values of Python's keywords."""

import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType, ParsedElementType, ValueType
from hydra.errors import OverrideParseException

from mlplab.composition.config_folders import GROUPS
from mlplab.composition.hydra_errors import explained
from mlplab.config import quoted
from mlplab.config.unknown_keys import REMOVED, unknown_key
from mlplab.errors import Fault, UserError, refusal

# Resumes a run. It is not a key of the configuration.
RESUME = "resume"

# The key of a column, and its kind or a list (of levels, missing values); both may contain any character.
COLUMN_KEY = re.compile(r"\+*(data\.(?:columns|na_values)\..*?)=(\[.*\]|[^=]*)", re.DOTALL)

PATH, TABLE = "data.path", "data=csv"

# A key that ends with the name of a column or class, which may contain any character.
NAMED = re.compile(r"(data)\.(columns|class_weights|na_values)\.(.*)", re.DOTALL)


class Keyword(Override):
    """A value that is taken as it is: Hydra does not read `input_line`, and text is no interpolation."""

    @classmethod
    def of(cls, key: str, value: ParsedElementType, line: str) -> "Keyword":
        """Gives a key a value; for people, that is a line."""
        return cls(OverrideType.FORCE_ADD, key, ValueType.ELEMENT, value, input_line=line)


def path_of(key: str) -> tuple[str, ...]:
    """The sections of a key, and its name in the last of them."""
    named = NAMED.fullmatch(key)
    return named.groups() if named else tuple(re.split("[./]", key))


def is_for_hydra(override: Override) -> bool:
    """Whether Hydra applies an override: it chooses an option, deletes a key, or is one of Hydra's own."""
    if isinstance(override, Keyword):
        return False
    key = override.key_or_group
    of_hydra = override.is_delete() or override.is_hydra_override() or bool(override.package)
    return of_hydra or "/" in key or key in GROUPS


def keys_of(overrides: Iterable[Override]) -> set[str]:
    """The keys that overrides set or remove."""
    return {override.get_key_element().lstrip("+~") for override in overrides}


def key_of(word: str) -> str:
    """The key that a word sets or removes."""
    return word.lstrip("+~").partition("=")[0]


def _parsed(word: str) -> Override:
    """Parses a word. A column may have any name, and a run any folder, such as `lr=0.1,seed=1`.

    The path of a table needs no key, and `data=` does for it, unless it could be the name of an option.
    """
    parser, (key, equals, value) = OverridesParser.create(), word.partition("=")
    path = value if key == "data" else "" if equals else word
    exists = path and not (equals and path.isidentifier()) and Path(path).exists()
    if exists or path.lower().endswith((".csv", ".tsv", ".txt", ".gz", ".zst", ".parquet", ".pq")):
        if exists or "," not in path:
            return Keyword.of(PATH, path, word)
        word = f"{PATH}={path}"  # several tables of a sweep
    is_resumed = key == RESUME and value[:1] not in ("'", '"')
    if value and (is_resumed or (key == "init_from" and Path(value).is_dir())):
        return Keyword.of(key, value, word)
    match = COLUMN_KEY.fullmatch(word)
    if not match:
        return parser.parse_overrides([word])[0]
    levels = re.fullmatch(r"\[([^\[\]'\"]+)\]", match[2])
    kind = f"[{','.join(quoted(level.strip()) for level in levels[1].split(','))}]" if levels else match[2]
    try:
        [parsed] = parser.parse_overrides([f"kind={kind}"])
    except OverrideParseException as error:
        error.override = word
        raise
    return Keyword(**vars(parsed) | {"key_or_group": match[1], "input_line": word})


def read_overrides(
    words: Sequence[str], *, multirun: bool = False, keywords: Sequence[Override] = ()
) -> list[Override]:
    """Parses and checks overrides.

    Args:
        keywords: overrides from Python, which come first.

    Raises:
        UserError: if a key is given twice (Hydra would use the last), or there are several values or keys of
            a sweep without -m.
    """
    with explained():
        parsed = [*map(_parsed, words)]
        keys = keys_of([*keywords, *parsed])
        is_implied = PATH in keys and {"data", "experiment", RESUME}.isdisjoint(keys)
        overrides = [*keywords, *map(_parsed, [TABLE] * is_implied), *parsed]
    seen: dict[str, str] = {}
    for override in overrides:
        if override.is_delete():
            continue
        key, line = override.get_key_element().lstrip("+"), override.input_line or ""
        if key in seen:
            raise UserError(Fault("is given twice", key, f"{seen[key]} and {line}", "", "remove one of them"))
        seen[key] = line
        add_m = "add -m: mlplab train -m"
        if key in REMOVED:
            raise UserError(unknown_key(key))
        if key.partition(".")[0] == "sweep" and not multirun:
            raise refusal("is for a sweep, and this is one run", line, f"{add_m} {shlex.quote(line)} …")
        if override.is_sweep_override():
            values = override.get_value_string()
            if getattr(override.value(), "step", 1) == 0:
                raise UserError(Fault("the step is 0", key, values, remedy="write range(START,STOP,STEP)"))
            if override.is_hydra_override():
                raise UserError(Fault("cannot be swept", key, values, remedy=f"choose one value: {key}=…"))
            if not multirun:
                words = f"{add_m} {shlex.quote(line)}"
                remedy = f"to train one run per value, {words}; to pass one list, write '{key}=[{values}]'"
                remedy = f"to search it, {words}" if override.is_interval_sweep() else remedy
                raise UserError(Fault("several values for one run", key, values, remedy=remedy))
    return overrides
