"""What is wanted of a table: which columns, what for, and what the user says of them."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from mlplab.data.io.header import ROW_INDEX
from mlplab.data.io.source import Source
from mlplab.errors import Fault, listed, nearest

Role = Literal["input", "target", "weight", "group", "time", "class"]
"""What a column is for; the last three are what a split goes by."""

KEYS: Mapping[Role, str] = {
    "target": "data.target",
    "weight": "data.weight",
    "group": "data.split.group",
    "time": "data.split.time",
    "class": "data.split.stratify",
}
"""What names a column in a role."""

LEFT_OUT = ("drop", "identifier")
"""Declared kinds of columns that are not read."""


@dataclass(frozen=True)
class TableSpec:
    """What is wanted of a table.

    Attributes:
        roles: the columns that are more than inputs, or none; names may occur twice.
        declared: kinds of columns by name as the user declares them; a format of `strptime` is a date's.
        na_values: words for a missing value, beside the usual ones.
        raw: numbers keep their offset.
        drop_missing_targets: rows without a target belong to no part, instead of being a mistake.
    """

    roles: tuple[tuple[str, Role], ...]
    declared: Mapping[str, str] = field(default_factory=dict)
    na_values: tuple[str, ...] = ()
    raw: bool = False
    drop_missing_targets: bool = False

    def named(self, role: Role) -> list[str]:
        """The columns in a role."""
        return [name for name, each in self.roles if each == role]


def faults_of(spec: TableSpec, source: Source) -> list[Fault]:
    """What of it a source cannot give."""
    return [*_absent(source, spec), *_contradicting(spec)]


def _absent(source: Source, spec: TableSpec) -> Iterator[Fault]:
    """Columns that are named and not there."""
    names = source.names
    asked = [(name, f"{KEYS[role]}=") for name, role in spec.roles]
    asked += [(name, "data.columns.") for name in spec.declared]
    for name, key in asked:
        if name not in names:
            near = nearest(name, names)
            shown = near[0] if near and near[0].isidentifier() else repr(near[0]) if near else ""
            remedy = f"did you mean {key}{shown}?" if near else f"name one of them: {key}…"
            columns = listed([*near, *(each for each in names if each not in near)] if near else names)
            what = f"has no column '{name}'; its columns are {columns or 'none at all'}"
            yield Fault(what, source.where, remedy=remedy)


def _contradicting(spec: TableSpec) -> Iterator[Fault]:
    """Columns that are said to be numbers and something else."""
    for name, role in spec.roles:
        kind = spec.declared.get(name, "numeric")
        if role in ("target", "weight") and kind != "numeric":
            what, remedy = f"{KEYS[role]} must be a column of numbers", "take one of the two back"
            yield Fault(what, typed(name, kind), KEYS[role] + "=" + name, remedy=remedy)


def titled(name: str, role: Role = "input") -> str:
    """What messages call a column."""
    if name == ROW_INDEX:
        return "the first column, which has no name"
    return f"column '{name}'" if role == "input" else f"{role} column '{name}'"


def typed(name: str, kind: str) -> str:
    """What declares a column's kind, as it is typed in a shell."""
    return shlex.quote(f"data.columns.{name}={kind}")
