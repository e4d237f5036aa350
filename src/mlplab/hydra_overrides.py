"""What a command line says, before Hydra composes anything."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from mlplab.errors import Fault, UserError
from mlplab.hydra_errors import explained
from mlplab.keys import quoted

RESUME = "resume"
"""Not a key of the configuration, which a run keeps: what is done with one."""


COLUMNS = "data.columns."
"""Before a column's name: keys that no file of the configuration knows, and that may hold any sign."""


def readable(words: Sequence[str]) -> list[str]:
    """The words of a command line, as Hydra can read them.

    It takes no key that the configuration's files lack unless it begins with `++`, and none with spaces or
    letters beyond a to z: where a column is called so, names and kinds become a list of pairs, in place of
    those that files give.
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
    return read


def _with_folder_quoted(word: str) -> str:
    """A word that names a run's folder, which may be called `lr=0.1,seed=1`, as Hydra can read it."""
    key, _, value = word.partition("=")
    folder = (key == RESUME and value[:1] not in ("'", '"')) or (key == "init" and Path(value).is_dir())
    return f"{key}={quoted(value)}" if folder and value else word


def check_overrides(overrides: Sequence[str], *, multirun: bool) -> dict[str, str]:
    """The overrides with several values, by their keys.

    Raises:
        UserError: for a key given twice, of which Hydra would take the last, and several values without -m.
    """
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


def is_typed(key: str, lines: Sequence[str]) -> bool:
    """Whether an override sets a key; one that chooses an experiment may set any."""
    for line in lines:
        typed = line.lstrip("+~").partition("=")[0].replace("/", ".")
        if typed == "experiment" or f"{key}.".startswith(f"{typed}."):
            return True
    return False
