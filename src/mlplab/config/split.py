"""Which rows are train, val and test."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, model_validator

from mlplab.config.types import Fraction, Section, Seed, Text

AUTO = "auto"
"""The value of `stratify` that stands for a target that is a class. For other keys it is a column's name."""


class _Fractions(Section):
    val: Fraction
    test: Fraction

    @model_validator(mode="after")
    def _leaves_rows_to_train(self) -> "_Fractions":
        if self.val + self.test >= 1:
            raise ValueError(f"val + test = {self.val + self.test:g} leaves no rows for training")
        return self


class RandomSplit(_Fractions):
    """A random split. With `stratify`, that column's classes have the same proportions in each set; with
    `auto`, those of a target that is a class."""

    name: Literal["random"]
    seed: Seed
    stratify: Text | None


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

    `group` keeps groups together, `stratify` keeps class proportions, and with `time`, the training rows come
    before the test rows.
    """

    name: Literal["kfold"]
    folds: Annotated[int, Field(ge=2)]
    fold: Annotated[int, Field(ge=0)]
    val: Fraction
    seed: Seed
    group: Text | None
    time: Text | None
    stratify: Text | None

    @model_validator(mode="after")
    def _is_one_of_the_folds(self) -> "KFoldSplit":
        if self.fold >= self.folds:
            raise ValueError(
                f"fold={self.fold} does not exist: {self.folds} folds are numbered from 0 to {self.folds - 1}"
            )
        return self

    @model_validator(mode="after")
    def _uses_one_column(self) -> "KFoldSplit":
        given = list(columns_of(self))
        if len(given) > 1:
            raise ValueError(
                f"takes one of group, time and stratify, not {' and '.join(given)}; "
                f"unset one: data.split.{given[-1]}=null"
            )
        return self


Split = Annotated[RandomSplit | GroupSplit | TimeSplit | FileSplit | KFoldSplit, Discriminator("name")]


def columns_of(split: Split) -> dict[str, str]:
    """The columns that a split names, by their keys."""
    named = {key: getattr(split, key, None) for key in ("group", "time", "stratify")}
    return {key: name for key, name in named.items() if name and (key, name) != ("stratify", AUTO)}
