"""Which columns of a table to read in which roles, and what the user declares about them."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mlplab.config.data import OR, is_number_format
from mlplab.config.dotted_keys import quoted
from mlplab.data.io.dialect import ROW_INDEX
from mlplab.data.io.source import Source
from mlplab.data.schema import Task
from mlplab.errors import Fault, did_you_mean, listed, nearest

DATES_AS_NUMBERS = "write dates and times as numbers, such as days since the first one"

Role = Literal["input", "target", "weight", "group", "time"]
"""What a column is used for; the last two roles are for the split."""


@dataclass(frozen=True)
class TableSpec:
    """Which columns to read, and how.

    Attributes:
        roles: the columns that are not only inputs, or not inputs at all; names may occur twice.
        declared: the declared kinds by column name; a format of `strptime` declares a date.
        levels: the levels of ordinal columns, if they are listed, and the categories that others may have.
        na_values: additional missing values of all columns.
        na_values_by_column: by name, further ones of a column.
        raw: whether numbers have no offset.
        offsets: by name, those of columns that are not 0; None: as the first rows suggest.
        drop_missing_targets: whether rows without a target are left out, instead of being faults.
        task: whether the target is numbers or classes; `auto`: inferred.
        positive: the class of two that comes second; None: the second in order.
    """

    roles: tuple[tuple[str, Role], ...]
    declared: Mapping[str, str] = field(default_factory=dict)
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    na_values: tuple[str, ...] = ()
    na_values_by_column: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    raw: bool = False
    offsets: Mapping[str, float] | None = None
    drop_missing_targets: bool = False
    task: Literal["auto", Task] = "auto"
    positive: str | None = None

    @property
    def asks_for_classes(self) -> bool:
        """Whether the target must be classes."""
        return self.task in ("binary", "multiclass")

    @property
    def asks_for_numbers(self) -> bool:
        """Whether the targets must be numbers: if so declared, or if there are several."""
        return self.task == "regression" or len(self.named("target")) > 1

    @property
    def left_out(self) -> list[str]:
        """The columns that are declared to be dropped."""
        return [name for name, kind in self.declared.items() if kind == "drop"]

    def named(self, role: Role) -> list[str]:
        """The columns in a role."""
        return [name for name, other in self.roles if other == role]

    def na_values_of(self, name: str) -> tuple[str, ...]:
        """The additional missing values of a column."""
        return (*self.na_values, *self.na_values_by_column.get(name, ()))

    def typed_missing(self, name: str, texts: Iterable[str], role: Role = "input") -> str:
        """What declares further missing values of a column, as typed in a shell; of a target, its rows are
        dropped."""
        known = self.na_values_by_column.get(name, ())
        values = shlex.quote(f"data.na_values.{name}={typed_list(dict.fromkeys([*known, *texts]))}")
        drop_rows = role == "target" and not self.drop_missing_targets
        return values + " data.missing_target=drop" * drop_rows

    def faults(self, source: Source) -> Iterator[Fault]:
        """Columns that the source lacks, contradicting kinds, and several targets that are classes."""
        keys = [(name, f"{key_of(role)}=") for name, role in self.roles]
        keys += [(name, "data.columns.") for name in self.declared]
        keys += [(name, "data.na_values.") for name in self.na_values_by_column]
        for name, key in keys:
            if name not in source.names:
                near = nearest(name, source.names)
                shown = [other if other.isidentifier() else repr(other) for other in near]
                remedy = did_you_mean(shown, key, otherwise=f"choose one of them: {key}…")
                columns = listed(dict.fromkeys([*near, *source.names])) or "none at all"
                yield Fault(f"has no column '{name}'; its columns are {columns}", source.where, remedy=remedy)
        targets = ["numeric"] if self.asks_for_numbers else ["numeric", "categorical"]
        allowed: dict[Role, list[str]] = {"target": targets, "weight": ["numeric"]}
        for name, role in self.roles:
            kind = self.declared.get(name, "numeric")
            kind = "numeric" if is_number_format(kind) else kind
            if kind not in allowed.get(role, [kind]):
                what = f"contradicts {key_of(role)}={name}: such a {role} is {' or '.join(allowed[role])}"
                yield Fault(what, typed(name, kind), remedy="remove one of the two")
        if self.asks_for_classes and len(names := self.named("target")) > 1:
            what, remedy = "predicts the classes of one target", f"choose one: data.target={names[0]}"
            yield Fault(what, f"task={self.task}", listed(names), remedy=remedy)


def key_of(role: Role) -> str:
    """The key that names a column in a role."""
    return f"data.split.{role}" if role in ("group", "time") else f"data.{role}"


def titled(name: str, role: Role = "input") -> str:
    """How messages refer to a column."""
    if name == ROW_INDEX:
        return "the first column, which has no name"
    return f"column '{name}'" if role == "input" else f"{role} column '{name}'"


def typed(name: str, kind: str | Sequence[str]) -> str:
    """The argument that declares a column's kind, or its levels, as typed in a shell."""
    if isinstance(kind, str) and OR in kind:
        kind = kind.split(OR)
    if not isinstance(kind, str):
        kind = typed_list(kind)
    elif is_number_format(kind) or "," in kind:
        kind = quoted(kind, mark='"')
    return shlex.quote(f"data.columns.{name}={kind}")


def typed_list(values: Iterable[str]) -> str:
    """A list of texts in an override, whatever characters they contain."""
    return "[" + ",".join(quoted(value, mark='"') for value in values) + "]"
