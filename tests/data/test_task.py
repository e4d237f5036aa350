"""Keys that do not fit a target that is numbers or classes."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from support import config, table_of

from mlplab.data.splits.split import Split
from mlplab.data.table import Table
from mlplab.data.task import absent_classes, check_split, check_task
from mlplab.errors import UserError

ROWS = 60
X = np.arange(ROWS) / 7


def table(target: Sequence[object], *more: str, **spec: object) -> Table:
    """A table with these targets, repeated; further ones are numbers."""
    y = pl.Series([target[row % len(target)] for row in range(ROWS)])
    frame = pl.DataFrame({"x": X, "y": y, **dict.fromkeys(more, X + 1)})
    return table_of(frame, ["y", *more], **spec)  # type: ignore[arg-type]


NUMBERS, WORDS, ZEROS_AND_ONES = table([0.5, 1.5, -2]), table(["no", "yes"]), table([0, 1])


@pytest.mark.parametrize(
    ("overrides", "over"),
    [
        ([], WORDS),
        ([], NUMBERS),
        (["loss=cross_entropy", "monitor=val/loss", "data.class_weights=balanced"], WORDS),
        (["data.class_weights={no: 2}"], WORDS),
        (["data.class_weights={0: 2, 1: 0}"], ZEROS_AND_ONES),
        (["loss=mae", "monitor=val/r2"], NUMBERS),
    ],
)
def test_what_fits_is_taken(overrides: list[str], over: Table) -> None:
    check_task(config(*overrides), over)


@pytest.mark.parametrize(
    ("overrides", "over", "said"),
    [
        (["loss=mse"], WORDS, ["loss=mse: is a loss of numbers, but column 'y' has classes: 'no', 'yes'"]),
        (
            ["loss=huber"],
            ZEROS_AND_ONES,
            ["use loss=cross_entropy; or, if they are numbers: task=regression"],
        ),
        (["loss=cross_entropy"], NUMBERS, ["is for classes, but 'y' is predicted", "task=multiclass"]),
        (["data.class_weights=balanced"], NUMBERS, ["data.class_weights: is for classes"]),
        (["monitor=val/rmse"], WORDS, ["is not a metric of classes", "val/log_loss", "use monitor=auto"]),
        (["monitor=val/accuracy"], NUMBERS, ["is not a metric of numbers", "val/mae"]),
        (
            ["model.preprocessing.target=log"],
            WORDS,
            ["has no meaning for classes such as those of column 'y'"],
        ),
        (["model.preprocessing.target=log"], NUMBERS, ["20 rows have a target of 0 or less"]),
        (
            ["data.class_weights={yess: 2}"],
            WORDS,
            ["data.class_weights.yess: is not a class of column 'y'", "one of 'no', 'yes'", "mean yes?"],
        ),
        (
            ["loss=mse", "monitor=val/mae", "data.class_weights={maybe: 1}"],
            WORDS,
            ["loss=mse", "monitor=val/mae", "data.class_weights.maybe"],
        ),
        (["loss=cross_entropy"], table([0.5, 1.5], "z"), ["but the targets are numbers", "remove it"]),
    ],
)
def test_what_does_not_fit_is_refused(overrides: list[str], over: Table, said: list[str]) -> None:
    with pytest.raises(UserError) as error:
        check_task(config(*overrides), over)
    for words in said:
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["data.class_weights={no: 0}"], "all training rows have weight 0"),
        (["monitor=val/auroc"], "is not defined: the val set has no row of 'no'"),
    ],
)
def test_classes_that_a_set_lacks_are_refused_where_they_are_needed(overrides: list[str], said: str) -> None:
    rows, of_no, of_yes = np.arange(ROWS), np.arange(0, ROWS, 2), np.arange(1, ROWS, 2)
    run, classes = config(*overrides), WORDS.schema.classes

    def absent(split: Split) -> dict[str, list[str]]:
        return {part: absent_classes(WORDS, of_part) for part, of_part in split.parts().items()}

    check_split(run, classes, absent(Split(rows, rows, rows)))
    with pytest.raises(UserError, match=said):
        check_split(run, classes, absent(Split(of_no, of_yes, rows)))


def test_a_positive_class_is_for_classes() -> None:
    run = config("data=csv", "data.path=t.csv", "data.target=y", "data.positive=yes")
    check_task(run, WORDS)
    with pytest.raises(UserError, match=r"data\.positive: is for classes"):
        check_task(run, NUMBERS)
