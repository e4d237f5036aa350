"""Commands with plain arguments, without a composed configuration."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from mlplab.config.parsing import validated
from mlplab.config.types import Text as Text
from mlplab.errors import Fault, UserError


class Arguments(BaseModel):
    """The keys of a command; values come as text."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OfRuns(Arguments):
    """Those of a command about a run, or some runs of a sweep."""

    run: Text
    runs: Text = "best"


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
