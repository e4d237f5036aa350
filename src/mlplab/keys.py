"""Names of configuration keys, what is said of a wrong one, and texts in overrides."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from mlplab.errors import Fault, listed, nearest


def flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a configuration by their dotted keys."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The keys in which two configurations differ, the name aside, which a copied folder may not have."""
    here, there = dict(flat(one)), dict(flat(other))
    return [
        key
        for key in sorted(here.keys() | there.keys())
        if key != "name" and (key not in here or key not in there or here[key] != there[key])
    ]


SYNONYMS = {
    "learning_rate": "optimizer.lr",
    "hidden_layers": "model.hidden",
    "hidden_layer_sizes": "model.hidden",
    "layers": "model.hidden",
    "device": "trainer.accelerator",
    "devices": "trainer.accelerator",
    "patience": "callbacks.early_stopping.patience",
    "file": "data.path",
    "label": "data.target",
}
"""Keys that other programs have, whatever section they are typed in, and what they are called here."""


def unknown_key_fault(key: str, root: type[BaseModel]) -> Fault:
    """The fault of a `key` that no option knows, or that belongs to another option of its group."""
    owners = _keys(root)
    synonym = SYNONYMS.get(key.rpartition(".")[2])
    near = [key] if key in owners else [synonym] if synonym in owners else nearest(key, owners)
    near = near or [full for full in owners if full.rpartition(".")[2] == key.rpartition(".")[2]]
    leaves = {full.rpartition(".")[2]: full for full in reversed(owners)}
    near = near or [leaves[leaf] for leaf in nearest(key.rpartition(".")[2], leaves)]
    section = key.rpartition(".")[0]
    siblings = [full for full in owners if full.rpartition(".")[0] == section]
    if section.startswith("hydra"):
        remedy = "--hydra-help tells of Hydra's own keys"
    elif owners.get(key):
        group = section.replace(".", "/")
        remedy = f"{key} belongs to " + " or ".join(f"{group}={option}" for option in owners[key])
    elif near:
        remedy = f"did you mean {near[0]}?"
    else:
        remedy = f"the keys here are: {listed(siblings or [k for k in owners if '.' not in k], 20)}"
    return Fault("unknown key", where=key, remedy=remedy)


@cache
def _keys(root: type[BaseModel]) -> dict[str, tuple[str, ...]]:
    """Each key's full name, with the options of its group that know it (none: all do)."""
    found: dict[str, tuple[str, ...]] = {}
    for key, option in _walk(root, "", ()):
        found[key] = (*found.get(key, ()), *option)
    return found


def _walk(kind: Any, prefix: str, option: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for field, info in kind.model_fields.items():
            key = f"{prefix}{info.alias or field}"
            yield key, option
            yield from _walk(info.annotation, f"{key}.", ())
    elif get_origin(kind) is Annotated:
        yield from _walk(get_args(kind)[0], prefix, option)
    elif get_origin(kind) is Union or isinstance(kind, UnionType):
        for variant in get_args(kind):
            inner = get_args(variant)[0] if get_origin(variant) is Annotated else variant
            named = isinstance(inner, type) and issubclass(inner, BaseModel) and "name" in inner.model_fields
            options = get_args(inner.model_fields["name"].annotation) if named else ()
            yield from _walk(inner, prefix, options)


_RANGES = {
    "greater_than": "above {gt:g}",
    "greater_than_equal": "{ge:g} or above",
    "less_than": "below {lt:g}",
    "less_than_equal": "{le:g} or below",
}
_KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "list_type": "a list, as in [64,64]",
    "finite_number": "a finite number",
    "dict_type": "keys of its own",
    "model_type": "keys of its own",
    "model_attributes_type": "keys of its own",
}


def fault_of(detail: Any, values: Mapping[str, Any], root: type[BaseModel]) -> Fault:
    """One of pydantic's error details as a fault that names the key as users write it."""
    kind, found, context = detail["type"], repr(detail["input"]), detail.get("ctx", {})
    key = _dotted(detail["loc"], values, absent=kind == "missing")
    if kind == "extra_forbidden":
        return unknown_key_fault(key, root)
    if kind == "missing":
        return Fault("is missing", where=key, remedy=f"give it a value: {key}=…")
    if kind in _RANGES:
        return Fault("out of range", key, found, _RANGES[kind].format(**context))
    if kind in _KINDS:
        return Fault("wrong type", key, found, _KINDS[kind])
    if kind == "literal_error":
        return Fault("unknown choice", key, found, context["expected"])
    if kind == "union_tag_not_found":
        return Fault("is missing", where=f"{key}.name", remedy=f"give it a value: {key}.name=…")
    if kind == "union_tag_invalid":
        return Fault("unknown choice", f"{key}.name", repr(context["tag"]), context["expected_tags"])
    if kind == "string_too_short" or (kind == "too_short" and detail["input"] == ""):
        return Fault("is empty", where=key, remedy=f"give it a value: {key.partition('[')[0]}=…")
    if kind in ("too_short", "too_long"):
        length = context.get("min_length", context.get("max_length"))
        return Fault("wrong length", key, found, f"{length} values")
    return Fault(detail["msg"].removeprefix("Value error, "), where=key)


def _dotted(location: Sequence[str | int], values: Any, *, absent: bool) -> str:
    """A pydantic location as a configuration key: without the tags of unions, which are no keys.

    `absent` says that the last part is a key that `values` lack.
    """
    key, tagged = "", False
    for position, part in enumerate(location):
        if key and not tagged and isinstance(values, Mapping) and part == values.get("name"):
            tagged = True  # an option may be called as one of its keys is: data/split=time, data.split.time
            continue
        tagged = False
        if isinstance(part, int):
            if isinstance(values, Sequence) and not isinstance(
                values, str
            ):  # else one value, as a list of one
                key, values = f"{key}[{part}]", values[part]
        elif isinstance(values, Mapping) and (part in values or (absent and position == len(location) - 1)):
            key, values = f"{key}.{part}" if key else part, values.get(part)
    return key


def quoted(text: str, mark: str = "'") -> str:
    """Text as a string in an override, whatever is in it."""
    escaped = re.sub(rf"(\\+)(?={mark}|$)", r"\1\1", text).replace(mark, f"\\{mark}")
    return f"{mark}{escaped}{mark}"
