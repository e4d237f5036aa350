"""Turns composed values into typed sections, or reports all their faults, with keys as users type them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Annotated, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from mlplab.config.dotted_keys import is_one_of
from mlplab.config.run import ResolvedConfig, TrainConfig
from mlplab.config.sweep import Launcher, Sweep
from mlplab.config.types import GIVEN, A, Mark
from mlplab.errors import Fault, UserError, did_you_mean, listed, nearest

HIDDEN = ("hidden_layers", "hidden_layer_sizes", "layers", "width", "depth", "max_depth")

# Names of keys in other programs (in any section), and the keys here.
SYNONYMS = dict.fromkeys(HIDDEN, "model.hidden") | {
    "learning_rate": "optimizer.lr",
    "device": "trainer.accelerator",
    "devices": "hydra.launcher.workers",
    "max_time": "sweep.minutes",
    "batch": "data.batch_size",
    "patience": "callbacks.early_stopping.patience",
    "file": "data.path",
    "label": "data.target",
    "test_size": "data.split.test",
}

# Keys of earlier versions, and what to do instead.
REMOVED = dict.fromkeys(
    ("sweep.ensemble", "select"),
    "remove it; afterwards, runs=N averages the N best runs: mlplab evaluate run=SWEEP runs=N",
)

UNKNOWN_KEY = "unknown key"

M = TypeVar("M", bound=BaseModel)


class CommandLine(TrainConfig):
    """All keys of the command line but Hydra's own."""

    sweep: Sweep


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


def unknown_keys(values: Mapping[str, object]) -> list[Fault]:
    """The faults of the keys of a composed configuration that do not exist."""
    try:
        parse(values)
    except UserError as error:
        return [fault for fault in error.faults if fault.what == UNKNOWN_KEY]
    return []


def missing_value(key: str) -> Fault:
    """The fault of a key without a value."""
    return Fault("is missing", where=key, remedy=f"give it a value: {key}=…")


def unknown_key(key: str, root: type[BaseModel] = CommandLine) -> Fault:
    """The fault of a `key` that does not exist, or that belongs to a different option of its group."""
    owners, (section, _, leaf) = all_keys(root), key.rpartition(".")
    synonym = SYNONYMS.get(leaf)
    if key in REMOVED:
        remedy = REMOVED[key]
    elif section.startswith("hydra"):
        near = nearest(key, [f"hydra.launcher.{name}" for name in all_keys(Launcher)])
        remedy = did_you_mean(near, otherwise="--hydra-help describes Hydra's own keys")
    elif owners.get(key):
        group = section.replace(".", "/")
        remedy = f"{key} belongs to " + " or ".join(f"{group}={option}" for option in owners[key])
        if "csv" in owners[key]:
            remedy += "; for your own table, add data=csv" + " data.path=FILE" * (key != "data.path")
    elif synonym and (synonym in owners or synonym.startswith("hydra.")):
        remedy = did_you_mean([synonym])
    elif near := _similar(key, [full for full in owners if not key.startswith(f"{full}.")]):
        remedy = did_you_mean(near)
    else:
        siblings = [full for full in owners if full.rpartition(".")[0] == section]
        remedy = f"the keys here are: {listed(siblings or [full for full in owners if '.' not in full], 20)}"
    return Fault(UNKNOWN_KEY, where=key, remedy=remedy)


def _similar(key: str, owners: Sequence[str]) -> list[str]:
    """The keys that are nearly an unknown one; else those with words of its last part, or a similar one.

    In its section, one word of several is enough.
    """
    section, _, leaf = key.rpartition(".")
    here = [full for full in owners if full.rpartition(".")[0] == section]
    leaves = {full.rpartition(".")[2]: full for full in (*reversed(owners), *here)}
    words = {name: {*name.split("_")} for name in (leaf, *leaves)}
    sharing = [name for name in leaves if words[leaf] <= words[name] or words[name] <= words[leaf]]
    sharing += [name for name in leaves if leaves[name] in here and words[leaf] & words[name]]
    sharing.sort(key=lambda name: (len(words[leaf] ^ words[name]), leaves[name] not in here))
    return nearest(key, owners, 0.85) or [leaves[name] for name in sharing or nearest(leaf, leaves)]


@cache
def all_keys(root: type[BaseModel]) -> dict[str, tuple[str, ...]]:
    """Each full key, with the options of its group that have it (empty: all options)."""
    options: dict[str, tuple[str, ...]] = {}
    for key, _, option in _walk(root):
        options[key] = tuple(dict.fromkeys((*options.get(key, ()), *option)))
    options.pop("data.categories", None)  # mlplab sets it
    return options


def _walk(
    section: type[BaseModel], prefix: str = "", options: tuple[str, ...] = ()
) -> Iterator[tuple[str, FieldInfo, tuple[str, ...]]]:
    for field, info in section.model_fields.items():
        yield (key := f"{prefix}{info.alias or field}"), info, options
        for variant in (variants := [*_sections(info.annotation)]):
            name = variant.model_fields.get("name") if len(variants) > 1 else None
            yield from _walk(variant, f"{key}.", get_args(name.annotation) if name else ())


def _sections(kind: object) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    elif get_origin(kind) in (Annotated, Union, UnionType):
        for part in get_args(kind):
            yield from _sections(part)


# Keys that may be `auto`, which the table replaces.
MAY_BE_AUTO = {
    "loss.name",
    *(key for key, info, _ in _walk(TrainConfig) if A in getattr(info.annotation, "__parameters__", ())),
}

_MARKED = {mark: {key for key, info, _ in _walk(TrainConfig) if mark in info.metadata} for mark in Mark}


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
    is_given = error["loc"][-1] == GIVEN or error["loc"][-2:] == (GIVEN, "one")
    may_be_auto = is_given and model is not ResolvedConfig
    return Fault("invalid value", key, value, expected + ", or auto" * may_be_auto)


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
