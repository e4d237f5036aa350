"""Reads the arguments of commands without a composed configuration."""

from collections.abc import Sequence
from typing import TypeVar

from mlplab.cli.terminal import print_usage
from mlplab.commands.arguments import Arguments
from mlplab.config.validation import validated
from mlplab.errors import Fault, UserError, refusal

A = TypeVar("A", bound=Arguments)


def read_arguments(words: Sequence[str], arguments: type[A], usage: str | None = None) -> A:
    """Parses `key=value` words. Values are text, not YAML: a file may be called `null`, `1e3` or `-`.

    Args:
        usage: what is printed instead, if the words ask for help or there are none.

    Raises:
        UserError: if a word is not key=value, a key is given twice, or a value is invalid.
    """
    if usage:
        print_usage(words, usage)
    values: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            remedy = f"type run={word}" if "run" in arguments.model_fields else ""
            raise UserError(Fault("is not an argument", word, expected="key=value", remedy=remedy))
        if key in values:
            raise refusal("is given twice", key, "remove one of them")
        values[key] = value
    return validated(values, arguments, root=arguments)
