"""What a command line says, before Hydra composes anything."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from mlplab.cli.hydra_errors import explained
from mlplab.config.keys import quoted, renamed_fault
from mlplab.errors import Fault, UserError

RESUME = "resume"
"""Not a key of the configuration, which a run keeps: what is done with one."""


COLUMNS = "data.columns."
"""Before a column's name: keys that no file of the configuration knows, and that may hold any sign."""


PATH, TABLE = "data.path", "data=csv"

OWN_CONFIG = ("--config-name", "-cn", "--config-path", "-cp")
"""Flags that bring another configuration in place of this project's, which may choose another table."""

TABLE_ENDINGS = (".csv", ".tsv", ".txt", ".gz", ".zst", ".parquet", ".pq")


def readable(words: Sequence[str]) -> list[str]:
    """The words of a command line, as Hydra can read them.

    It takes no key that the configuration's files lack unless it begins with `++`, and none with spaces or
    letters beyond a to z: where a column is called so, names and kinds become a list of pairs, in place of
    those that files give. A path chooses the only kind of table that has one, if nothing else may choose it.
    """
    kinds = {word: word.removeprefix(COLUMNS).rpartition("=") for word in words if word.startswith(COLUMNS)}
    odd = not all(name.isidentifier() and name.isascii() for name, _, _ in kinds.values())
    read = [
        f"++{word}" if word in kinds else _with_folder_quoted(word)
        for word in words
        if not (word in kinds and odd)
    ]
    if odd:
        pairs = ",".join(f"[{quoted(name)},{quoted(kind)}]" for name, _, kind in kinds.values())
        columns = COLUMNS.rstrip(".")
        read += [f"~{columns}", f"+{columns}=[{pairs}]"]
    keys = [_key(word) for word in read]
    if PATH in keys and not {"data", "experiment", RESUME, *OWN_CONFIG}.intersection(keys):
        read.insert(keys.index(PATH), TABLE)  # side by side: flags must not part overrides
    return read


def _key(word: str) -> str:
    return word.lstrip("+").partition("=")[0]


def _with_folder_quoted(word: str) -> str:
    """A word that names a run's folder, which may be called `lr=0.1,seed=1`, as Hydra can read it."""
    key, _, value = word.partition("=")
    folder = (key == RESUME and value[:1] not in ("'", '"')) or (key == "init_from" and Path(value).is_dir())
    return f"{key}={quoted(value)}" if folder and value else word


def check_overrides(overrides: Sequence[str], *, multirun: bool) -> dict[str, str]:
    """The overrides with several values, by their keys.

    Raises:
        UserError: for a table's file where its keys should be, a key given twice, of which Hydra would take
            the last, and several values without -m.
    """
    typed = [word for word in overrides if not word.startswith("scheduler.factor=")]  # known to plateau
    if renamed := [fault for word in typed if (fault := renamed_fault(word))]:
        raise UserError(*renamed)
    if table := next((word for word in overrides if _names_table(word)), None):
        raise UserError(_table_fault(table, {_key(word) for word in overrides}))
    with explained():
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    seen: dict[str, str] = {}
    swept: dict[str, str] = {}
    for override in parsed:
        if override.is_delete():
            continue
        key, line = override.get_key_element().lstrip("+"), override.input_line or ""
        if key in seen:
            raise UserError(
                Fault("is given twice", key, f"{seen[key]} and {line}", remedy="keep the one that you mean")
            )
        seen[key] = line
        if override.is_sweep_override():
            swept[key] = line
            values = line.partition("=")[2]
            if not multirun:
                raise UserError(
                    Fault(
                        "several values for one run",
                        key,
                        values,
                        remedy=f"1. to train a run for each, add -m\n"
                        f"  2. to give one list, write '{key}=[{values}]'\n"
                        f"  3. to give text with a comma, write \"{key}='{values}'\"",
                    )
                )
    return swept


def _names_table(word: str) -> bool:
    """Whether a word is a file's name, or chooses one as if it were an option of `data`."""
    key, equals, value = word.partition("=")
    path = value if key == "data" else word if not equals else ""
    is_option = bool(equals) and path.isidentifier()  # though there may be a folder of that name
    return path.lower().endswith(TABLE_ENDINGS) or bool(path and not is_option and Path(path).exists())


def _table_fault(word: str, typed: set[str]) -> Fault:
    path = word.removeprefix("data=")
    what = "a table is given by its path" + ("" if Path(path).exists() else ", and there is no such file")
    target = "" if "data.target" in typed else " data.target=…"
    plain = re.fullmatch(r"[\w./-]+", path) or not Path(path).exists()
    value = path if plain else quoted(path)
    return Fault(what, word, remedy=f"type {TABLE} {shlex.quote(f'{PATH}={value}')}{target}")


def is_typed(key: str, lines: Sequence[str]) -> bool:
    """Whether an override sets a key; one that chooses an experiment may set any."""
    for line in lines:
        typed = line.lstrip("+~").partition("=")[0].replace("/", ".")
        if typed == "experiment" or f"{key}.".startswith(f"{typed}."):
            return True
    return False
