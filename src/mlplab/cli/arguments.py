"""Commands with plain arguments, without a composed configuration."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, ConfigDict, Field

from mlplab.cli.terminal import VERSION, exit_status, log_to_terminal, print_usage, version_line
from mlplab.config.parsing import validated
from mlplab.errors import Fault, UserError

Text = Annotated[str, Field(min_length=1)]


class Arguments(BaseModel):
    """The keys of a command; values come as text."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def command(
    run: Callable[[Any], None], arguments: type[Arguments], usage: str, words: Sequence[str]
) -> NoReturn:
    """Reads `key=value` arguments, runs a command with them, and exits with its status."""
    log_to_terminal("stderr")

    def work() -> None:
        if not print_usage(words, usage):
            run(read_arguments(words, arguments))

    status = exit_status(work)
    sys.exit(status if words else 2)


def flags_command(
    run: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser, words: Sequence[str]
) -> NoReturn:
    """As `command`, with arguments that are not keys."""
    parser.add_argument(VERSION, action="version", version=version_line())
    log_to_terminal("stderr")
    sys.exit(exit_status(lambda: run(parser.parse_args(words))))


def read_arguments(words: Sequence[str], arguments: type[Arguments]) -> Any:
    """Parses `key=value` words. Values are text, not YAML: a file may be called `null`, `1e3` or `-`.

    Raises:
        UserError: if a word is not key=value, a key is given twice, or a value is invalid.
    """
    values: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            remedy = f"type run={word}" if "run" in arguments.model_fields else ""
            raise UserError(Fault("is not an argument", word, expected="key=value", remedy=remedy))
        if key in values:
            raise UserError(Fault("is given twice", key, remedy="remove one of them"))
        values[key] = value
    return validated(values, arguments, root=arguments)
