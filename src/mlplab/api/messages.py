"""Messages in which keys are written as keywords: `optimizer={"lr": …}` in place of `optimizer.lr=…`."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from mlplab.cli.overrides import NAMED, path_of
from mlplab.config.parsing import UNKNOWN_KEY, CommandLine, all_keys
from mlplab.errors import Fault, RunFailed, UserError

VALUE = r"""\.(?= )|\[[^\]]*\]|"[^"]*"|'[^']*'|\w+\(\S*\)|[^\s;:()?]*[^\s;:()?,.]"""

ARGUMENT = re.compile(
    rf"""'([a-z_]+[./][^=']+=[^']*)'|(?<![\w./'+])(\+*[a-z_]+(?:(?:[./]\w+)+(?:=(?:{VALUE}))?|=(?:{VALUE})))"""
)
"""A key as typed on a command line, perhaps with its value, and quoted for a shell."""

MANY_RUNS = re.compile(r"add -m: mlplab train -m [^;]*|(?<=instead: )-m [^;]*")
"""How a message says to start a sweep."""


@contextmanager
def keywords_in_messages() -> Iterator[None]:
    """Within the block, errors are raised with messages for Python."""
    try:
        yield
    except UserError as error:
        raise type(error)(*map(_in_python, error.faults)) from None
    except RunFailed as error:
        error.args = (_with_keywords(str(error)),)
        raise


def _in_python(fault: Fault) -> Fault:
    where, parts = fault.where, {name: _with_keywords(text) for name, text in vars(fault).items()}
    if fault.what == UNKNOWN_KEY or (NAMED.match(where) and not ARGUMENT.fullmatch(where)):
        parts["where"] = _keyword(where, "…")
    return replace(fault, **parts)


def _with_keywords(text: str) -> str:
    return ARGUMENT.sub(_replaced, MANY_RUNS.sub("call mlplab.sweep or mlplab.search", text))


def _replaced(match: re.Match[str]) -> str:
    typed = match[1] or match[2].lstrip("+")
    is_kind = NAMED.match(typed) and "=" in typed  # the name of a column may contain it, too
    key, _, value = typed.rpartition("=") if is_kind else typed.partition("=")
    is_key = ".".join(path_of(key)) in all_keys(CommandLine) or NAMED.match(key)
    return _keyword(key, value or "…") if is_key else match[0]


def _keyword(key: str, text: str) -> str:
    """A key with a value, which a command line would have as this text; with several, as in a grid."""
    value: Any = text
    with suppress(HydraException):
        override = OverridesParser.create().parse_override(f"key={text}")
        if override.is_sweep_override():
            return json.dumps({key: [*override.sweep_iterator()] if override.is_choice_sweep() else text})
        value = override.value()
    is_word = value is None or isinstance(value, bool) or value == "…"
    shown = str(value) if is_word else json.dumps(value, ensure_ascii=False)
    first, *others = path_of(key)
    for part in reversed(others):
        shown = f"{{{json.dumps(part, ensure_ascii=False)}: {shown}}}"
    return f"{first}={shown}"
