"""Turns composed values into typed sections, or reports all their faults, with keys as users type them."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mlplab.config.dotted_keys import is_one_of, walk
from mlplab.config.run import ResolvedConfig, TrainConfig
from mlplab.config.types import GIVEN, A, Mark
from mlplab.config.unknown_keys import UNKNOWN_KEY, CommandLine, unknown_key
from mlplab.errors import Fault, UserError

M = TypeVar("M", bound=BaseModel)


def parse(values: Mapping[str, object]) -> TrainConfig:
    """Validates a composed configuration.

    Raises:
        UserError: with all unknown keys, wrong types and values out of range.
    """
    return validated(values, TrainConfig)


def parse_resolved(values: Mapping[str, object]) -> ResolvedConfig:
    """Validates the configuration of a run whose table has been read; raises what `parse` raises."""
    return validated(values, ResolvedConfig)


def validated(values: object, kind: type[M], *section: str, root: type[BaseModel] = CommandLine) -> M:
    """Validates the values of a section, whose key is `section` in messages.

    An unknown key may stand for any key of `root`.

    Raises:
        UserError: with all faults.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError(*(_fault(each, values, kind, section, root) for each in error.errors())) from None


def unknown_key_faults(values: Mapping[str, object]) -> list[Fault]:
    """The faults of the keys of a composed configuration that do not exist."""
    try:
        parse(values)
    except UserError as error:
        return [fault for fault in error.faults if fault.what == UNKNOWN_KEY]
    return []


def missing_value(key: str) -> Fault:
    """The fault of a key without a value."""
    return Fault("is missing", where=key, remedy=f"give it a value: {key}=…")


# Keys that may be `auto`, which the table replaces.
MAY_BE_AUTO = {
    "loss.name",
    *(key for key, info, _ in walk(TrainConfig) if A in getattr(info.annotation, "__parameters__", ())),
}

_MARKED = {mark: {key for key, info, _ in walk(TrainConfig) if mark in info.metadata} for mark in Mark}


@cache  # it is asked for each key of each run
def is_marked(key: str, mark: Mark) -> bool:
    """Whether a key, a group as on the command line, or a section that contains it has a mark."""
    return is_one_of(key, _MARKED[mark])


def _fault(
    error: ErrorDetails, values: object, model: type[BaseModel], section: Sequence[str], root: type[BaseModel]
) -> Fault:
    kind, value, message = error["type"], repr(error["input"]), error["msg"]
    key = ".".join(filter(None, (*section, _dotted(error["loc"], values, absent=kind == "missing"))))
    if kind == "extra_forbidden":
        return unknown_key(key, root)
    if kind == "missing":
        return missing_value(key)
    if kind == "union_tag_invalid":
        return Fault("invalid value", f"{key}.name", repr(error["ctx"]["tag"]), error["ctx"]["expected_tags"])
    if kind == "union_tag_not_found":  # in a file of the user's that hides one of mlplab's
        remedy = "to change only some values, call the file differently, and begin it with defaults: [OPTION]"
        return Fault("is missing", f"{key}.name", remedy=remedy)
    if kind == "string_too_short" or (kind == "too_short" and not error["input"]):
        return Fault("is empty", where=key, remedy=f"give it a value: {key.partition('[')[0]}=…")
    expected = message.removeprefix("Input should be ")
    if expected == message:
        return Fault(message.removeprefix("Value error, "), where=key)
    expected = "a section with keys" if kind.startswith(("dict", "model")) else expected
    expected = "a list" if kind == "list_type" else expected
    is_given = error["loc"][-1] == GIVEN or error["loc"][-2:] == (GIVEN, "one")
    may_be_auto = is_given and model is not ResolvedConfig
    remedy = f"write {key}=[{error['input']}]" if kind == "list_type" else ""
    return Fault("invalid value", key, value, expected + ", or auto" * may_be_auto, remedy)


def _dotted(location: Sequence[str | int], values: object, *, absent: bool) -> str:
    """Turns a pydantic location into a configuration key, without the tags of unions.

    If `absent`, the last part is a key that is missing in `values`.
    """
    key, tagged = "", False
    for position, part in enumerate(location):
        if key and not tagged and isinstance(values, Mapping) and part == values.get("name"):
            tagged = True  # an option may have the name of a key: data/split=time, data.split.time
            continue
        tagged = False
        if isinstance(part, int):
            if isinstance(values, list):  # else a single value stands for a list
                key, values = f"{key}[{part}]", values[part]
        elif isinstance(values, Mapping) and (part in values or (absent and position == len(location) - 1)):
            key, values = f"{key}.{part}" if key else part, values.get(part)
    return key
