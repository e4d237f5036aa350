"""How rows are split into training, validation and test."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, model_validator

from mlplab.config.types import Fraction, Section, Seed, Text


class _Fractions(Section):
    val: Fraction
    test: Fraction

    @model_validator(mode="after")
    def _leaves_rows_to_train(self) -> "_Fractions":
        if self.val + self.test >= 1:
            raise ValueError(f"val + test = {self.val + self.test:g} leaves no row to train on")
        return self


class RandomSplit(_Fractions):
    """Rows dealt at random; each part has the classes of column `stratify` in the same shares."""

    name: Literal["random"]
    seed: Seed
    stratify: Text | None


class GroupSplit(_Fractions):
    """Whole groups dealt at random: rows that are alike in column `group` stay together."""

    name: Literal["group"]
    group: Text
    seed: Seed


class TimeSplit(_Fractions):
    """The last rows by column `time` are the test part, those before them the validation part."""

    name: Literal["time"]
    time: Text


class FileSplit(Section):
    """One word a data row (train, val, test) in a file; with no val row, `val` is a fraction of train."""

    name: Literal["file"]
    path: Text
    val: Fraction
    seed: Seed


class KFoldSplit(Section):
    """Rows dealt into `folds` parts; number `fold` is the test part, `val` a fraction of the others.

    With `group` whole groups are dealt, with `stratify` each class by itself; with `time` the folds follow
    each other, and each is tested by what was learnt before it.
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
            raise ValueError(f"fold={self.fold} is none of {self.folds} folds, which count from 0")
        return self

    @model_validator(mode="after")
    def _is_dealt_in_one_way(self) -> "KFoldSplit":
        given = [key for key in ("group", "time", "stratify") if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(
                f"takes one of group, time and stratify, not {' and '.join(given)}; "
                f"take one back: data.split.{given[-1]}=null"
            )
        return self


Split = Annotated[RandomSplit | GroupSplit | TimeSplit | FileSplit | KFoldSplit, Discriminator("name")]
