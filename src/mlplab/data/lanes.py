"""How each column of a table is to be read, first by its beginning, then by what reading has met."""

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from mlplab.data.cells import DataType, days_of, is_moment, is_text, moments, named, numbers, truths, words
from mlplab.data.kinds import kind_of_text
from mlplab.data.schema import PARTS, date_part
from mlplab.data.source import Source
from mlplab.errors import Fault, UserError, listed, nearest

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

Form = Literal["number", "boolean", "date", "text"]
"""How it is read: text as codes of its distinct words."""

LONG = r"^[+-]?\d{19,}$"
"""Integers that may have more than 64 bits; such are names rather than numbers, or lose their digits."""

LONGEST_INTEGER = 2.0**63
"""In magnitude, from which on they have."""

SAMPLE = 4096
"""Rows at a table's beginning by which it is decided how to read the others."""

LEFT_OUT = ("drop", "identifier")
"""Declared kinds of columns that are not read."""


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a table.

    Attributes:
        roles: the columns that are more than inputs, or none; names may occur twice.
        declared: kinds of columns by name as the user declares them; a format of `strptime` is a date's.
        marks: words for a missing value, beside the usual ones.
        raw: numbers keep their offset.
        drop_missing_targets: rows without a target belong to no part, instead of being a mistake.
    """

    roles: tuple[tuple[str, Role], ...]
    declared: Mapping[str, str] = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    raw: bool = False
    drop_missing_targets: bool = False

    def named(self, role: Role) -> list[str]:
        """The columns in a role."""
        return [name for name, each in self.roles if each == role]


@dataclass
class Lane:
    """A column in a role, as it is read.

    Attributes:
        certain: the form is what the column must have; cells that do not fit are mistakes.
        days: how dates are written.
        offset: is taken off numbers and years.
        known: of texts, an empty column whose type knows the code of each that was met; polars forgets them
            with the last column of that type.
    """

    name: str
    role: Role
    kind: DataType
    form: Form
    certain: bool = False
    days: str = ""
    offset: float = 0.0
    known: pl.Series = field(default_factory=pl.Series)

    def features(self, kind: DataType, marks: Collection[str], *, comma: bool) -> list[pl.Expr]:
        """What is read of it, as Float64, out of a frame where it has the type `kind`."""
        match self.form:
            case "number":
                return [numbers(self.name, kind, marks, comma=comma) - self.offset]
            case "boolean":
                return [truths(self.name, kind, marks)]
            case "text":
                text = words(self.name, kind, marks)
                return [text.cast(self.known.dtype).to_physical().cast(pl.Float64)]
            case "date":
                moment = moments(self.name, kind, marks, self.days)
                if self.role == "time":
                    return [moment.to_physical().cast(pl.Float64)]
                return [date_part(moment, part, self.offset) for part in PARTS]

    def misfits(self, kind: DataType, marks: Collection[str], *, comma: bool) -> pl.Expr:
        """Which cells hold something that is not of the form; nothing is a misfit among texts."""
        if self.form == "text":
            return pl.lit(value=False)
        if kind.is_integer():
            return named(self.name).is_not_null() & named(self.name).cast(pl.Int64, strict=False).is_null()
        if not is_text(kind):
            return numbers(self.name, kind, ()).is_infinite().fill_null(value=False)
        match self.form:
            case "number":
                value = numbers(self.name, kind, marks, comma=comma)
                long = words(self.name, kind, marks).str.contains(LONG) & (value.abs() >= LONGEST_INTEGER)
                read = value.is_finite().fill_null(value=False) & ~long
            case "boolean":
                read = truths(self.name, kind, marks).is_not_null()
            case "date":
                read = moments(self.name, kind, marks, self.days).is_not_null()
        return words(self.name, kind, marks).is_not_null() & ~read

    def texts(self) -> pl.Series:
        """The distinct texts that were met, by their codes."""
        assert isinstance(self.known.dtype, pl.Categorical)
        return self.known.dtype.categories.to_series()

    def holds_nul(self) -> bool:
        """Whether a text holds the byte 0, which only broken files do."""
        return self.form == "text" and bool(self.texts().str.contains("\0", literal=True).any())

    def settle_days(self, texts: pl.Series, where: str) -> None:
        """Finds how dates are written by some of them, where that is not known.

        Raises:
            UserError: if they make no sense, or two.
        """
        if self.form != "date" or self.days or not is_text(self.kind):
            return
        found, example = days_of(texts), repr(texts[0]) if len(texts) else "nothing"
        where = f"{where}, column '{self.name}'"
        if not found:
            remedy = (
                f"say how they are written, as in {typed(self.name, '%d.%m.%Y')}, or write them as 2024-01-31"
            )
            raise UserError(Fault("holds no dates that are understood", where, example, remedy=remedy))
        if len(found) > 1:
            remedy = f"say which comes first: {typed(self.name, found[0])} or {typed(self.name, found[1])}"
            raise UserError(Fault("day and month cannot be told apart", where, example, remedy=remedy))
        self.days = found[0]


def nothing_known() -> pl.Series:
    """For a lane that begins."""
    return pl.Series(dtype=pl.Categorical(pl.Categories.random()))


def lanes_of(source: Source, wanted: Wanted) -> tuple[list[Lane], pl.DataFrame]:
    """How the columns are read if all rows are as the first ones, and these.

    Raises:
        UserError: if a column that is wanted is not there, is of a type that cannot be read, or the beginning
            cannot be read.
    """
    if faults := [*_absent(source, wanted), *_contradicting(wanted)]:
        raise UserError(*faults)
    try:
        sample = source.scan().head(SAMPLE).collect()
    except pl.exceptions.PolarsError as error:
        raise UserError(*source.faults(error)) from error
    roles: list[tuple[str, Role]] = []
    others = {name for name, role in wanted.roles if role not in ("time", "class")}
    for name in source.schema:
        declared = wanted.declared.get(name)
        if declared not in LEFT_OUT and (name not in others or (declared and name in wanted.named("group"))):
            roles.append((name, "input"))
    lanes, faults = [], []
    for name, role in (*roles, *wanted.roles):
        try:
            lanes.append(_lane(source, name, role, wanted, sample))
        except UserError as error:
            faults += error.faults
    if faults:
        raise UserError(*faults)
    return lanes, sample


def _lane(source: Source, name: str, role: Role, wanted: Wanted, sample: pl.DataFrame) -> Lane:
    kind = source.schema[name]
    no_number = role in ("target", "weight") and is_moment(kind)
    if no_number or kind.is_nested() or kind in (pl.Binary, pl.Time, pl.Duration, pl.Object):
        remedy = f"{typed(name, 'drop')} leaves it out" if role == "input" else f"name another {KEYS[role]}"
        what = f"holds {kind}, which is no {'number' if no_number else 'value'}"
        raise UserError(Fault(what, f"{source.where}, {titled(name, role)}", remedy=remedy))
    lane = Lane(name, role, kind, *_form(source, name, role, wanted, sample))
    if lane.form == "date":
        lane.settle_days(_texts(sample, name, kind, wanted).unique(maintain_order=True), source.where)
    if lane.form in ("number", "date") and role == "input" and not wanted.raw:
        values = _values(lane, sample, wanted.marks, source.comma)
        lane.offset = float(values.median() or 0)  # type: ignore[arg-type]
        if lane.form == "date":
            lane.offset = float(int(lane.offset))
    return lane


def _form(
    source: Source, name: str, role: Role, wanted: Wanted, sample: pl.DataFrame
) -> tuple[Form, bool, str]:
    """Form, whether it is certain, and the days' format."""
    kind, declared = source.schema[name], wanted.declared.get(name) if role in ("input", "time") else None
    if declared and "%" in declared:
        return "date", True, declared
    match declared:
        case "numeric":
            return "number", True, ""
        case "boolean" | "date":
            return declared, True, ""
        case "categorical":
            return "text", True, ""
    if role in ("target", "weight"):
        return "number", True, ""
    if role in ("group", "class"):
        return "text", True, ""
    if is_moment(kind):
        return "date", True, ""
    if kind == pl.Boolean:
        return "boolean", True, ""
    if kind.is_numeric():
        return "number", True, ""
    texts = _texts(sample, name, kind, wanted)
    if source.comma:
        texts = texts.str.replace(",", ".", literal=True)
    form = form_of(kind_of_text(texts.unique(), len(texts), sample.height))
    if role == "time" and form not in ("number", "date"):
        form = "date"
    return form, role == "time", ""


def _texts(sample: pl.DataFrame, name: str, kind: DataType, wanted: Wanted) -> pl.Series:
    # Without its name, since one such as ^x$ is a pattern to methods of a series.
    cells = sample.get_column(name).alias("").to_frame()
    return cells.select(words("", kind, wanted.marks).drop_nulls()).to_series()


def form_of(kind: str) -> Form:
    """How a column of that kind is read."""
    return "number" if kind == "numeric" else "date" if kind == "date" else "text"


def _values(lane: Lane, sample: pl.DataFrame, marks: Sequence[str], comma: bool) -> pl.Series:
    """The finite numbers, or years, of a sample."""
    first = lane.features(lane.kind, marks, comma=comma)[0]
    values = sample.get_column(lane.name).to_frame().select(first.alias("value")).to_series()
    return values.filter(values.is_finite())


def _absent(source: Source, wanted: Wanted) -> Iterator[Fault]:
    """Columns that are named and not there."""
    names = list(source.schema)
    asked = [(name, f"{KEYS[role]}=") for name, role in wanted.roles]
    asked += [(name, "data.columns.") for name in wanted.declared]
    for name, key in asked:
        if name not in names:
            near = nearest(name, names)
            shown = near[0] if near and near[0].isidentifier() else repr(near[0]) if near else ""
            remedy = f"did you mean {key}{shown}?" if near else f"name one of them: {key}…"
            columns = listed([*near, *(each for each in names if each not in near)] if near else names)
            what = f"has no column '{name}'; its columns are {columns or 'none at all'}"
            yield Fault(what, source.where, remedy=remedy)


def _contradicting(wanted: Wanted) -> Iterator[Fault]:
    """Columns that are said to be numbers and something else."""
    for name, role in wanted.roles:
        kind = wanted.declared.get(name, "numeric")
        if role in ("target", "weight") and kind != "numeric":
            what, remedy = f"{KEYS[role]} must be a column of numbers", "take one of the two back"
            yield Fault(what, typed(name, kind), KEYS[role] + "=" + name, remedy=remedy)


def titled(name: str, role: Role) -> str:
    """What messages call a column."""
    return f"column '{name}'" if role == "input" else f"{role} column '{name}'"


def typed(name: str, kind: str) -> str:
    """What declares a column's kind, as it is typed in a shell."""
    return shlex.quote(f"data.columns.{name}={kind}")
