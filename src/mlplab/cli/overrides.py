"""Overrides on the command line, before Hydra composes them."""

import re
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

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


def readable(words: Sequence[str]) -> list[str]:
    """Converts the words of a command line to a form that Hydra accepts.

    Hydra requires `++` before keys that are in no configuration file, and rejects spaces and non-ASCII
    letters in keys. Columns with such names are passed as a list of pairs of name and kind. `data.path=`
    implies `data=csv`, unless another word may choose the table.
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
    if PATH in keys and not {"data", "experiment", RESUME}.intersection(keys):
        read.insert(keys.index(PATH), TABLE)  # next to it: flags must not separate overrides
    return read


def typed_keys(lines: Collection[str]) -> set[str]:
    """The keys that overrides set."""
    return set(map(key_of, lines))


def key_of(override: str) -> str:
    """The key that an override sets or removes."""
    return override.lstrip("+~").partition("=")[0]


def is_of_hydra(override: str) -> bool:
    """Whether an override sets one of Hydra's own keys."""
    return key_of(override).startswith(("hydra.", "hydra/"))


def _quoted_levels(kind: str) -> str:
    """A column's kind, in which the levels of a list are quoted unless the user quoted any."""
    levels = re.fullmatch(r"\[([^\[\]'\"]+)\]", kind)
    return f"[{','.join(quoted(level.strip()) for level in levels[1].split(','))}]" if levels else kind


def _with_folder_quoted(word: str) -> str:
    """Quotes the folder of a run in a word: it may be called `lr=0.1,seed=1`."""
    key, _, value = word.partition("=")
    folder = (key == RESUME and value[:1] not in ("'", '"')) or (key == "init_from" and Path(value).is_dir())
    return f"{key}={quoted(value)}" if folder and value else word


def check_overrides(overrides: Sequence[str], *, multirun: bool) -> None:
    """Checks the overrides.

    Raises:
        UserError: if a table's file is given without its key, a key is given twice (Hydra would use the
            last), or there are several values or keys of a sweep without -m.
    """
    sweep = [word for word in overrides if key_of(word).partition(".")[0] == "sweep"]
    if sweep and not multirun:
        remedy = f"add -m: mlplab train -m {sweep[0]} …"
        raise UserError(Fault("is for a sweep, and this is one run", sweep[0], remedy=remedy))
    for word in overrides:
        if fault := _table_fault(word, has_target="data.target" in typed_keys(overrides)):
            raise UserError(fault)
    with explained():
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    seen: dict[str, str] = {}
    for override in parsed:
        if override.is_delete():
            continue
        key, line = override.get_key_element().lstrip("+"), override.input_line or ""
        if key in seen:
            found = f"{seen[key]} and {line}"
            raise UserError(Fault("is given twice", key, found, remedy="remove one of them"))
        seen[key] = line
        if override.is_sweep_override():
            values = line.partition("=")[2]
            if getattr(override.value(), "step", 1) == 0:
                raise UserError(Fault("the step is 0", key, values, remedy="write range(START,STOP,STEP)"))
            if is_of_hydra(line):
                raise UserError(Fault("cannot be swept", key, values, remedy=f"choose one value: {key}=…"))
            if not multirun:
                words = f"add -m: mlplab train -m {shlex.quote(line)}"
                remedy = f"to train one run per value, {words}; to pass one list, write '{key}=[{values}]'"
                remedy = f"to search it, {words}" if override.is_interval_sweep() else remedy
                raise UserError(Fault("several values for one run", key, values, remedy=remedy))


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
