"""Commands with plain arguments, without a composed configuration."""

import argparse
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from mlplab.cli.terminal import VERSION, version_line
from mlplab.config.parsing import validated
from mlplab.errors import Fault, UserError
from mlplab.typed_commands import command_line, commands_as_typed

Text = Annotated[str, Field(min_length=1)]


class Arguments(BaseModel):
    """The keys of a command; values come as text."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def flags_parser(command: str, usage: str) -> argparse.ArgumentParser:
    """A parser of arguments that are not keys, but folders and flags."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        command_line(command), description=commands_as_typed(usage), formatter_class=plain, allow_abbrev=False
    )
    parser.add_argument(VERSION, action="version", version=version_line())
    return parser


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
