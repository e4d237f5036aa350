"""Where rows come from, and how they are split."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, model_validator

from mlplab.config.types import Count, Fraction, NotNegative, Section, Seed, Text


class RandomSplit(Section):
    """Rows dealt at random; `val` and `test` are fractions of all rows."""

    name: Literal["random"]
    val: Fraction
    test: Fraction
    seed: Seed

    @model_validator(mode="after")
    def _leaves_rows_to_train(self) -> "RandomSplit":
        if self.val + self.test >= 1:
            raise ValueError(f"val + test = {self.val + self.test:g} leaves no row to train on")
        return self


class FileSplit(Section):
    """One word a data row (train, val, test) in a file; with no val row, `val` is a fraction of train."""

    name: Literal["file"]
    path: Text
    val: Fraction
    seed: Seed


class KFoldSplit(Section):
    """Rows dealt into `folds` parts; number `fold` is the test part, `val` a fraction of the others."""

    name: Literal["kfold"]
    folds: Annotated[int, Field(ge=2)]
    fold: Annotated[int, Field(ge=0)]
    val: Fraction
    seed: Seed

    @model_validator(mode="after")
    def _is_one_of_the_folds(self) -> "KFoldSplit":
        if self.fold >= self.folds:
            raise ValueError(f"fold={self.fold} is none of {self.folds} folds, which count from 0")
        return self


Split = Annotated[RandomSplit | FileSplit | KFoldSplit, Discriminator("name")]


class _Data(Section):
    batch_size: Count | None
    split: Split


class ConcreteData(_Data):
    """The concrete compressive strength table shipped with the package."""

    name: Literal["concrete"]


class CsvData(_Data):
    """A CSV file of numbers."""

    name: Literal["csv"]
    path: Text
    target: Text


class SyntheticData(_Data):
    """Rows drawn from a named function; `features` null means as many as the function uses."""

    name: Literal["synthetic"]
    function: Text
    rows: Count
    features: Count | None
    noise: NotNegative
    seed: Seed
