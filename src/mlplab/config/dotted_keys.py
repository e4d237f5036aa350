"""Dotted keys: of the values of a configuration, and all that sections have; strings in overrides."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

ABSENT = object()  # stands for the value of a key that a configuration does not have


def flat(content: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """The values of a configuration with their dotted keys."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield sys.intern(f"{prefix}{key}"), value  # sweeps keep them for thousands of runs


def is_one_of(key: str, sections: Iterable[str]) -> bool:
    """Whether a key, or a group as on the command line, is one of these or within one of these sections."""
    return f"{key}.".replace("/", ".").startswith(tuple(f"{each}.".replace("/", ".") for each in sections))


def differing(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """The keys in which two configurations differ, except `name`: a copied folder may have a new name."""
    here, there = dict(flat(one)), dict(flat(other))
    keys = sorted((here.keys() | there.keys()) - {"name"})
    return [key for key in keys if here.get(key, ABSENT) != there.get(key, ABSENT)]


def quoted(text: str, mark: str = "'") -> str:
    """Quotes a string for an override, whatever characters it contains."""
    escaped = re.sub(rf"(\\+)(?={mark}|$)", r"\1\1", text).replace(mark, f"\\{mark}")
    return f"{mark}{escaped}{mark}"


@cache
def all_keys(root: type[BaseModel]) -> dict[str, tuple[str, ...]]:
    """Each full key, with the options of its group that have it (empty: all options)."""
    options: dict[str, tuple[str, ...]] = {}
    for key, _, option in walk(root):
        options[key] = tuple(dict.fromkeys((*options.get(key, ()), *option)))
    options.pop("data.categories", None)  # mlplab sets it
    return options


def walk(
    section: type[BaseModel], prefix: str = "", options: tuple[str, ...] = ()
) -> Iterator[tuple[str, FieldInfo, tuple[str, ...]]]:
    """Each full key with its field, and the options of its group that have it, if its group has several."""
    for field, info in section.model_fields.items():
        yield (key := f"{prefix}{info.alias or field}"), info, options
        for variant in (variants := [*_sections(info.annotation)]):
            name = variant.model_fields.get("name") if len(variants) > 1 else None
            yield from walk(variant, f"{key}.", get_args(name.annotation) if name else ())


def _sections(kind: object) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    elif get_origin(kind) in (Annotated, Union, UnionType):
        for part in get_args(kind):
            yield from _sections(part)
