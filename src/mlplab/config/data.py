"""Where rows come from."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mlplab.config.split import Split
from mlplab.config.types import Count, NotNegative, Positive, Section, Seed, Text
from mlplab.errors import nearest

KINDS = ("numeric", "boolean", "categorical", "date", "identifier", "drop")
"""What a column may be declared to be; the last two leave it out."""


def _as_list(value: object) -> object:
    """One name as a list of one."""
    return [value] if isinstance(value, str | int | float) else value


def _check_kind(kind: str) -> str:
    if kind not in KINDS and "%" not in kind:
        near = nearest(kind, KINDS)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(
            f"'{kind}' is no kind of column: {', '.join(KINDS)}, or a date's format as %d.%m.%Y{hint}"
        )
    return kind


def _as_dict(value: object) -> object:
    """Pairs, as a command line gives them where a column's name could be no key."""
    if isinstance(value, list) and all(isinstance(each, list) and len(each) == 2 for each in value):
        return dict(value)
    return value


ColumnKind = Annotated[str, AfterValidator(_check_kind)]
Sign = Annotated[str, Field(min_length=1, max_length=1)]


class _Table(Section):
    """What is the same for every table."""

    batch_size: Count | None
    split: Split


class ConcreteData(_Table):
    """The concrete compressive strength table shipped with the package."""

    name: Literal["concrete"]


class CsvTable(_Table):
    """A table in CSV or Parquet files; what says how CSV is written is found by looking where it is null."""

    name: Literal["csv"]
    path: Text
    target: Annotated[list[Text], BeforeValidator(_as_list)]
    weight: Text | None
    columns: Annotated[dict[str, ColumnKind], BeforeValidator(_as_dict)]
    missing: Annotated[list[Text], BeforeValidator(_as_list)]
    missing_target: Literal["error", "drop"]
    memory: Positive | None
    delimiter: Sign | None
    quote: Annotated[str, Field(max_length=1)] | None
    decimal: Literal[".", ","] | None
    header: bool | None
    encoding: Text | None

    @model_validator(mode="after")
    def _names_each_column_once(self) -> "CsvTable":
        named = [*self.target, *([self.weight] if self.weight else [])]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(f"the column '{twice[0]}' is named twice, as target or weight")
        return self


class CsvData(CsvTable):
    """Such a table with a column to predict."""

    target: Annotated[list[Text], BeforeValidator(_as_list), Field(min_length=1)]


class SyntheticData(_Table):
    """Rows drawn from a named function; `features` null means as many as the function uses."""

    name: Literal["synthetic"]
    function: Text
    rows: Count
    features: Count | None
    noise: NotNegative
    seed: Seed
