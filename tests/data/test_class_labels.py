from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from commands.mistakes import message_of
from support import config, table_of

from mlplab.data.cache import RunData
from mlplab.data.class_labels import check_split, check_task, find_label, parse_target
from mlplab.data.schema import ClassKind, Schema
from mlplab.data.splits.split import Split
from mlplab.data.table import Table
from mlplab.errors import UserError


@pytest.mark.parametrize(
    ("cells", "labels", "kind", "numbers"),
    [
        (["yes", "Yes", "no", None, "", "NA", "maybe"], ["no", "yes"], "text", [1, None, 0, *[None] * 4]),
        ([True, False], ["False", "True"], "text", [1, 0]),
        (["TRUE", "false"], ["False", "True"], "text", [1, 0]),
        (["1", "1.0", "01", "2", "x", "nan"], ["0", "1"], "number", [1, 1, 1, None, None, None]),
        ([0.5, 1.0, float("nan")], ["0.5", "1"], "number", [0, 1, None]),
        ([True, None, False], ["true", "false"], "boolean", [0, None, 1]),
        ([1, 0, 2], ["false", "true"], "boolean", [1, 0, None]),
    ],
)
def test_numbers_of_cells(cells: list[Any], labels: list[str], kind: ClassKind, numbers: list[Any]) -> None:
    assert parse_target(Schema((), ("y",), tuple(labels), kind), "y", pl.Series(cells)).to_list() == numbers


def test_missing_values_decimal_commas_and_letters_are_those_of_the_table() -> None:
    words = Schema((), ("y",), ("?", "a"), na_values=("?",))
    assert parse_target(words, "y", pl.Series(["?", "a"])).to_list() == [None, 1]
    numbers, cells = Schema((), ("y",), ("0.5", "1"), "number"), pl.Series(["0,5", "1"])
    assert parse_target(numbers, "y", cells, decimal_comma=True).to_list() == [0, 1]
    assert find_label("true", ["False", "True"]) == "True"
    assert find_label("Yes", ["yes", "YES"]) is None
    assert find_label("YES", ["yes", "YES"]) == "YES"


def table(target: Sequence[object], *more: str) -> Table:
    x, y = np.arange(60) / 7, pl.Series([target[row % len(target)] for row in range(60)])
    return table_of(pl.DataFrame({"x": x, "y": y, **dict.fromkeys(more, x + 1)}), ["y", *more])


NUMBERS, WORDS, ZEROS_AND_ONES = table([0.5, 1.5, -2]), table(["no", "yes"]), table([0, 1])


def test_keys_that_fit_are_accepted() -> None:
    words = ("loss=cross_entropy", "monitor=val/loss", "data.class_weights={no: 2}", "threshold=auto")
    check_task(config(*words), WORDS)
    check_task(config("data.class_weights={0: 2, 1: 0}"), ZEROS_AND_ONES)
    check_task(config("loss=mae", "monitor=val/r2"), NUMBERS)


@pytest.mark.parametrize(
    ("overrides", "over", "messages"),
    [
        (["loss=mse"], WORDS, ["loss=mse: is a loss of numbers, but column 'y' has classes: 'no', 'yes'"]),
        (["loss=huber"], ZEROS_AND_ONES, ["cross_entropy; or, if they are numbers: task=regression"]),
        (["loss=cross_entropy"], NUMBERS, ["is for classes, but 'y' is predicted", "task=multiclass"]),
        (["loss=cross_entropy"], table([0.5, 1.5], "z"), ["is for classes, but 'y', 'z'", "remove it"]),
        (["data.class_weights=balanced"], NUMBERS, ["data.class_weights: is for classes"]),
        (["monitor=val/rmse"], WORDS, ["is not a metric of classes", "val/log_loss", "use monitor=auto"]),
        (["monitor=val/accuracy"], NUMBERS, ["is not a metric of numbers", "val/mae"]),
        (["model.preprocessing.target=log"], WORDS, ["has no meaning for classes such as those of column"]),
        (["model.preprocessing.target=log"], NUMBERS, ["20 rows have a target of 0 or less"]),
        (["data.class_weights={yess: 2}"], WORDS, ["yess: is not a class of column 'y'", "mean yes?"]),
        (["loss=mse", "monitor=val/mae"], WORDS, ["loss=mse", "monitor=val/mae"]),
        (["threshold=auto"], NUMBERS, ["threshold=auto: has a meaning only for two classes", "number as"]),
        (["threshold=0.3"], table("abc"), ["has a meaning only", "3 classes", "remove it"]),
    ],
)
def test_keys_that_do_not_fit_are_refused(overrides: Sequence[str], over: Table, messages: list[str]) -> None:
    found = message_of(lambda: check_task(config(*overrides), over))
    assert [message for message in messages if message not in found] == []


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("data.class_weights={no: 0}", "all training rows have weight 0"),
        ("monitor=val/auroc", "is not defined: the val set has no row of 'no'"),
    ],
)
def test_classes_that_a_set_lacks_are_refused_where_they_are_needed(word: str, message: str) -> None:
    run, classes, rows = config(word), WORDS.schema.classes, np.arange(60)
    check_split(run, classes, {"train": (), "val": (), "test": ()})
    with pytest.raises(UserError, match=message):
        check_split(run, classes, RunData(WORDS, Split(rows[::2], rows[1::2], rows[:0])).absent_classes)
