"""Configurations as dotted keys and values, and strings in overrides."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping

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
