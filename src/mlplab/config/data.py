"""The table: where its rows come from, and which of them are train, val and test."""

import re
import unicodedata
from typing import Annotated, Generic, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, model_validator

from mlplab.config.types import (
    A,
    Auto,
    Count,
    Fraction,
    FractionOrZero,
    Mark,
    NotNegative,
    OneOrSeveral,
    OrAuto,
    Positive,
    Resolved,
    Section,
    Seed,
    Text,
)

# Kinds that a user may declare for a column; `drop` excludes it.
KINDS = ("numeric", "boolean", "categorical", "ordinal", "date", "drop")


# Examples of how a column's numbers are written; the first two may have a currency or percent sign.
DECIMAL_POINT, DECIMAL_COMMA, DURATION = "1,234.5", "1.234,5", "1:30"


OR = " or "  # between the alternatives of a date format: `%Y-%m-%d or %d.%m.%Y`


def is_number_format(text: str) -> bool:
    """Whether a text is such an example."""
    signs = [char for char in text if char == "%" or unicodedata.category(char) == "Sc"]
    without = text.replace(signs[0], "") if len(signs) == 1 else text
    return without.strip() in (DECIMAL_POINT, DECIMAL_COMMA) or text == DURATION


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str | int | float) else value


def number_label(value: int | float) -> str:
    """The label of a class that is a number: `3`, `0.5`."""
    return str(int(value)) if float(value).is_integer() else repr(value)


def as_label(value: object) -> object:
    """Numbers and booleans become the labels of classes."""
    if isinstance(value, bool):
        return str(value).lower()
    return number_label(value) if isinstance(value, int | float) else value


def _check_kind(kind: str) -> str:
    if kind not in KINDS and "%" not in kind and not is_number_format(kind):
        examples = f"a number like {DECIMAL_POINT}, {DECIMAL_COMMA} or {DURATION}"
        kinds = f"{', '.join(KINDS)}, a date format like %d.%m.%Y, or {examples}"
        raise ValueError(f"'{kind}' is not a kind of column; use {kinds}")
    return kind


def _as_format(value: object) -> object:
    """A list of date formats becomes one format with alternatives. All other lists are levels."""
    if isinstance(value, list) and value and all(re.search("%[A-Za-z]", str(each)) for each in value):
        return OR.join(map(str, value))
    return value


def _check_levels(levels: list[str]) -> list[str]:
    if twice := sorted({level for level in levels if levels.count(level) > 1}):
        raise ValueError(f"the level '{twice[0]}' is listed twice")
    if len(levels) < 2:
        raise ValueError("takes two levels or more, from the lowest to the highest: [low,medium,high]")
    return levels


def as_missing(value: object) -> object:
    """A list; its mappings, each of columns to their own values, become one mapping at its end."""
    values = value if isinstance(value, list | tuple) else [value]
    by_column = dict[str, object]()
    for each in values:
        by_column |= each if isinstance(each, dict) else {}
    own = {name: _as_list(texts) for name, texts in by_column.items()}
    return [*(each for each in values if not isinstance(each, dict)), *([own] if own else [])]


def as_dict(value: object) -> object:
    """A list of pairs becomes a dict; the command line uses pairs for names that Hydra rejects in keys."""
    if isinstance(value, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        return dict(value)
    return value


ClassLabel = Annotated[str, BeforeValidator(as_label), Field(min_length=1)]
ClassWeights = Annotated[
    OneOrSeveral[Literal["none", "balanced"], dict[ClassLabel, NotNegative]], BeforeValidator(as_dict)
]
# Texts that mean missing in all columns, and by the names of columns, in these alone: ["?", {age: ["99"]}].
MissingValues = Annotated[list[Text | dict[str, list[Text]]], BeforeValidator(as_missing)]
ColumnLevels = Annotated[list[ClassLabel], AfterValidator(_check_levels)]
# A kind, the format of a date, or a list of them; or the levels of an ordinal column, the lowest first.
ColumnKind = Annotated[
    OneOrSeveral[Annotated[str, AfterValidator(_check_kind)], ColumnLevels], BeforeValidator(_as_format)
]


class _Fractions(Section):
    val: Fraction
    test: FractionOrZero

    @model_validator(mode="after")
    def _leaves_rows_to_train(self) -> "_Fractions":
        if self.val + self.test >= 1:
            raise ValueError(f"val + test = {self.val + self.test:g} leaves no rows for training")
        return self


class RandomSplit(_Fractions):
    """A random split. With `stratify`, the classes of the target have the same proportions in each set."""

    name: Literal["random"]
    seed: Seed
    stratify: Auto | None


class GroupSplit(_Fractions):
    """A random split of groups: rows with the same value in column `group` stay together."""

    name: Literal["group"]
    group: Text
    seed: Seed


class TimeSplit(_Fractions):
    """A split in the order of column `time`: the first rows are train, the next val, the last test."""

    name: Literal["time"]
    time: Text


class FileSplit(Section):
    """A file with one word per row: train, val or test. If none is val, a fraction `val` of train is."""

    name: Literal["file"]
    path: Text
    val: Fraction
    seed: Seed


class KFoldSplit(Section):
    """Cross-validation: fold number `fold` of `folds` is test, and a fraction `val` of the other rows is val.

    `group` keeps groups together, and with `time`, the training rows come before the test rows. Without both,
    `stratify` keeps the proportions of the target's classes.
    """

    name: Literal["kfold"]
    folds: Annotated[int, Field(ge=2)]
    fold: Annotated[int, Field(ge=0)]
    val: Fraction
    seed: Seed
    group: Text | None
    time: Text | None
    stratify: Auto | None

    @model_validator(mode="after")
    def _is_one_of_the_folds_by_one_column(self) -> "KFoldSplit":
        if self.fold >= self.folds:
            raise ValueError(f"fold={self.fold} does not exist: the last of {self.folds} is {self.folds - 1}")
        if self.group and self.time:
            raise ValueError("takes one of group and time, not both; unset one: data.split.time=null")
        return self


Split = Annotated[RandomSplit | GroupSplit | TimeSplit | FileSplit | KFoldSplit, Discriminator("name")]


class _Table(Section, Generic[A]):
    batch_size: OrAuto[Count | None, A]
    class_weights: ClassWeights
    split: Annotated[Split, Mark.PER_MEMBER]


class BundledData(_Table[A]):
    """A table that ships with the package, or with scikit-learn."""

    name: Literal["concrete", "digits", "penguins"]


class UserTable(_Table[A]):
    """A table of the user's. Only `describe` can do without a target.

    A run with `init_from` gets `categories`: those of columns that have fewer of them than in the other run.
    """

    target: Annotated[list[Text], BeforeValidator(_as_list)]
    positive: ClassLabel | None
    weight: Text | None
    columns: Annotated[dict[str, ColumnKind], BeforeValidator(as_dict)]
    categories: dict[str, list[str]] = Field(default_factory=dict)
    na_values: MissingValues
    missing_target: Literal["error", "drop"]

    @property
    def na_values_of_all(self) -> list[str]:
        """The values that mean missing in all columns."""
        return [each for each in self.na_values if isinstance(each, str)]

    @property
    def na_values_by_column(self) -> dict[str, list[str]]:
        """The further values that mean missing in some columns."""
        return next((each for each in self.na_values if isinstance(each, dict)), {})

    @model_validator(mode="after")
    def _names_each_column_once(self) -> "UserTable[A]":
        named = [*self.target, *([self.weight] if self.weight else [])]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(f"the column '{twice[0]}' is named twice, as a target or weight")
        return self


def _check_character(text: str) -> str:
    if not re.fullmatch("[\t -~]?", text):
        raise ValueError(f"takes one ASCII character, not {text!r}")
    return text


Character = Annotated[str, AfterValidator(_check_character)]


class CsvFormat(Section):
    """What the user says of the format of CSV files. What is null is detected; a quote that is null is ".

    Delimiter and quote are ASCII characters. If the quote is empty, nothing is quoted.
    """

    delimiter: Annotated[Character, Field(min_length=1)] | None
    quote: Character | None
    decimal: Literal[".", ","] | None
    header: bool | None
    encoding: Text | None


# Everything is detected.
DETECT = CsvFormat(delimiter=None, quote=None, decimal=None, header=None, encoding=None)


class CsvData(UserTable[A], CsvFormat):
    """A table in CSV or Parquet files."""

    name: Literal["csv"]
    path: Text
    memory_gib: Annotated[Positive | None, Mark.COSMETIC, Mark.MAY_CHANGE]


class FrameData(UserTable[A]):
    """A frame in memory, which only Python can pass. `auto` stands for the fingerprint of its rows."""

    name: Literal["frame"]
    fingerprint: Annotated[OrAuto[Text, A], Mark.PER_MEMBER]


class SyntheticData(_Table[A]):
    """Rows drawn from a known function. `features` null means as many as the function uses."""

    name: Literal["synthetic"]
    function: Text
    rows: Count
    features: Count | None
    noise: NotNegative
    seed: Seed


# Named for pickle, as in `Resolved`.
ResolvedData = BundledData[Resolved] | CsvData[Resolved] | FrameData[Resolved] | SyntheticData[Resolved]
