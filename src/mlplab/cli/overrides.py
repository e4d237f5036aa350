"""Overrides, before they are composed: text of a command line, and values of Python's keywords."""

import re
import shlex
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from mlplab.cli.hydra_errors import explained
from mlplab.config.dotted_keys import quoted
from mlplab.errors import Fault, UserError

RESUME = "resume"
"""Resumes a run. It is not a key of the configuration."""

COLUMNS = "data.columns."
"""Prefix of keys with a column's name: they are in no configuration file and may contain any character."""

COLUMN_KIND = re.compile(rf"\+*{re.escape(COLUMNS)}(.*?)=(\[.*\]|[^=]*)", re.DOTALL)
"""The name of a column, and its kind or the list of its levels; both may contain any character."""

LITERALS = ("[", '"', "'")
"""What a list or a quoted kind begins with."""

PATH, TABLE = "data.path", "data=csv"

TABLE_ENDINGS = (".csv", ".tsv", ".txt", ".gz", ".zst", ".parquet", ".pq")

NAMED = re.compile(r"(data)\.(columns|class_weights)\.(.*)", re.DOTALL)
"""A key that ends with the name of a column or class, which may contain any character."""


class Keyword(Override):
    """A value that Python gives to a key. It is an object; people read `input_line`, and Hydra does not."""


def path_of(key: str) -> tuple[str, ...]:
    """The sections of a key, and its name in the last of them."""
    named = NAMED.fullmatch(key)
    return named.groups() if named else tuple(re.split("[./]", key))


def readable(words: Sequence[str], known: Collection[str] = ()) -> list[str]:
    """Converts the words of a command line to a form that Hydra accepts.

    Hydra requires `++` before keys that are in no configuration file, and rejects spaces and non-ASCII
    letters in keys. Columns with such names are passed as a list of pairs of name and kind. `data.path=`
    implies `data=csv`, unless another word may choose the table.

    Args:
        known: keys that are given beside these words.
    """
    matches = {word: COLUMN_KIND.fullmatch(word) for word in words}
    kinds = {word: (match[1], _quoted_levels(match[2])) for word, match in matches.items() if match}
    odd = not all(name.isidentifier() and name.isascii() for name, _ in kinds.values())
    read = [
        f"++{COLUMNS}{'='.join(kinds[word])}" if word in kinds else _with_folder_quoted(word)
        for word in words
        if not (word in kinds and odd)
    ]
    if odd:
        literals = ((name, kind if kind[:1] in LITERALS else quoted(kind)) for name, kind in kinds.values())
        pairs = ",".join(f"[{quoted(name)},{literal}]" for name, literal in literals)
        columns = COLUMNS.rstrip(".")
        read += [f"~{columns}", f"+{columns}=[{pairs}]"]
    keys = [key_of(word) for word in read]
    if PATH in (*keys, *known) and {"data", "experiment", RESUME}.isdisjoint((*keys, *known)):
        read.insert(keys.index(PATH) if PATH in keys else 0, TABLE)  # flags must not separate overrides
    return read


def keys_of(overrides: Iterable[Override]) -> set[str]:
    """The keys that overrides set or remove."""
    return {override.get_key_element().lstrip("+~") for override in overrides}


def key_of(word: str) -> str:
    """The key that a word sets or removes."""
    return word.lstrip("+~").partition("=")[0]


def _quoted_levels(kind: str) -> str:
    """A column's kind, in which the levels of a list are quoted unless the user quoted any."""
    levels = re.fullmatch(r"\[([^\[\]'\"]+)\]", kind)
    return f"[{','.join(quoted(level.strip()) for level in levels[1].split(','))}]" if levels else kind


def _with_folder_quoted(word: str) -> str:
    """Quotes the folder of a run in a word: it may be called `lr=0.1,seed=1`."""
    key, _, value = word.partition("=")
    folder = (key == RESUME and value[:1] not in ("'", '"')) or (key == "init_from" and Path(value).is_dir())
    return f"{key}={quoted(value)}" if folder and value else word


def read_overrides(
    words: Sequence[str], *, multirun: bool = False, keywords: Sequence[Override] = ()
) -> list[Override]:
    """Parses and checks overrides.

    Args:
        keywords: overrides from Python, which come first.

    Raises:
        UserError: if a table's file is given without its key, a key is given twice (Hydra would use the
            last), or there are several values or keys of a sweep without -m.
    """
    for word in words:
        if fault := _table_fault(word, has_target="data.target" in (*map(key_of, words), *keys_of(keywords))):
            raise UserError(fault)
    with explained():
        parsed = OverridesParser.create().parse_overrides(readable(words, keys_of(keywords)))
    overrides = [*keywords, *parsed]
    seen: dict[str, str] = {}
    for override in overrides:
        if override.is_delete():
            continue
        key, line = override.get_key_element().lstrip("+"), override.input_line or ""
        if key in seen:
            found = f"{seen[key]} and {line}"
            raise UserError(Fault("is given twice", key, found, remedy="remove one of them"))
        seen[key] = line
        add_m = "add -m: mlplab train -m"
        if key.partition(".")[0] == "sweep" and not multirun:
            remedy = f"{add_m} {shlex.quote(line)} …"
            raise UserError(Fault("is for a sweep, and this is one run", line, remedy=remedy))
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


def _table_fault(word: str, *, has_target: bool) -> Fault | None:
    """The fault of a word that is a file, or `data=` followed by a file; None for others."""
    key, equals, value = word.partition("=")
    path = value if key == "data" else word if not equals else ""
    is_option = bool(equals) and path.isidentifier()  # although there may be a folder of that name
    exists = bool(path) and Path(path).exists()
    if not path.lower().endswith(TABLE_ENDINGS) and (is_option or not exists):
        return None
    what = "cannot be used as a table here" + ("" if exists else ", and there is no such file")
    value = path if re.fullmatch(r"[\w./-]+", path) else quoted(path)
    argument, target = shlex.quote(f"{PATH}={value}"), "" if has_target else " data.target=…"
    return Fault(what, word, remedy=f"pass its path: {TABLE} {argument}{target}")
