"""The task of a table: labels and numbers of classes, and keys that do not fit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import config, table_of

from mlplab.config.data import number_label
from mlplab.data.cells.parse import parse_str
from mlplab.data.check_task import check_split, check_task
from mlplab.data.class_labels import BOOLEAN_LABELS, find_label, label_values, parse_target
from mlplab.data.schema import ClassKind, Schema
from mlplab.data.splits.split import Split
from mlplab.data.table import Table
from mlplab.errors import UserError

TEXTS = st.text(min_size=1, max_size=6)
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-99, 99).map(float)
CELLS: st.SearchStrategy[tuple[ClassKind, list[Any]]] = st.one_of(
    st.tuples(st.just("text"), st.lists(TEXTS, min_size=1, max_size=20)),
    st.tuples(st.just("number"), st.lists(FLOATS, min_size=1, max_size=20)),
    st.tuples(st.just("boolean"), st.lists(st.booleans(), min_size=1, max_size=5)),
)


@settings(max_examples=30)
@given(CELLS)
def test_cells_have_the_number_of_their_label_and_labels_come_back(
    drawn: tuple[ClassKind, list[Any]],
) -> None:
    kind, cells = drawn
    if kind == "text":
        expected = parse_str(pl.Series(cells), ()).to_list()
    else:
        expected = [str(cell).lower() if kind == "boolean" else number_label(cell) for cell in cells]
    labels = (
        BOOLEAN_LABELS if kind == "boolean" else sorted({label for label in expected if label is not None})
    )
    numbers = [None if label is None else labels.index(label) for label in expected]
    schema = Schema((), ("y",), tuple(labels), kind)
    if labels:
        for written in (pl.Series(cells), pl.Series([f" {cell} " for cell in cells])):
            assert parse_target(schema, "y", written).to_list() == numbers
        again = label_values(labels, kind)
        assert parse_target(schema, "y", again).to_list() == list(range(len(labels)))


@pytest.mark.parametrize(
    ("labels", "kind", "dtype"),
    [
        (["no", "yes"], "text", pl.String),
        (["0", "1"], "text", pl.String),
        (["-1", "10"], "number", pl.Int64),
        (["0.5", "1.0"], "number", pl.Float64),
        (["false", "true"], "boolean", pl.Boolean),
    ],
)
def test_values_are_those_of_a_table(labels: list[str], kind: ClassKind, dtype: pl.DataType) -> None:
    values = label_values(labels, kind)
    assert values.dtype == dtype
    assert [str(value).lower() for value in values] == labels


@pytest.mark.parametrize(
    ("cells", "labels", "kind", "numbers"),
    [
        (["yes", "Yes", "no", None, "", "NA", "maybe"], ["no", "yes"], "text", [1, None, 0, *[None] * 4]),
        ([True, False], ["False", "True"], "text", [1, 0]),
        (["TRUE", "false"], ["False", "True"], "text", [1, 0]),
        (["1", "1.0", "01", "2", "x", "nan"], ["0", "1"], "number", [1, 1, 1, None, None, None]),
        ([0, 1, 2, None], ["0", "1"], "number", [0, 1, None, None]),
        ([0.5, 1.0, float("nan")], ["0.5", "1"], "number", [0, 1, None]),
        (["TRUE", "false", "yes"], ["false", "true"], "boolean", [1, 0, None]),
        ([True, None, False], ["true", "false"], "boolean", [0, None, 1]),
        ([1, 0, 2], ["false", "true"], "boolean", [1, 0, None]),
        ([1.0, 2.0], ["1", "2"], "text", [0, 1]),
    ],
)
def test_other_cells_have_no_number(
    cells: list[object], labels: list[str], kind: ClassKind, numbers: list[int | None]
) -> None:
    schema = Schema((), ("y",), tuple(labels), kind)
    assert parse_target(schema, "y", pl.Series(cells)).to_list() == numbers


def test_missing_values_and_decimal_commas_are_those_of_the_table() -> None:
    words = Schema((), ("y",), ("?", "a"), na_values=("?",))
    assert parse_target(words, "y", pl.Series(["?", "a"])).to_list() == [None, 1]
    numbers = Schema((), ("y",), ("0.5", "1"), "number")
    commas = parse_target(numbers, "y", pl.Series(["0,5", "1"]), decimal_comma=True)
    assert commas.to_list() == [0, 1]


@pytest.mark.parametrize(
    ("wanted", "labels", "label"),
    [
        ("yes", ["no", "yes"], "yes"),
        ("true", ["False", "True"], "True"),
        ("Yes", ["yes", "YES"], None),
        ("YES", ["yes", "YES"], "YES"),
        ("maybe", ["no", "yes"], None),
    ],
)
def test_a_label_is_found_by_its_letters_if_only_one_has_them(
    wanted: str, labels: list[str], label: str | None
) -> None:
    assert find_label(wanted, labels) == label


ROWS = 60
X = np.arange(ROWS) / 7


def table(target: Sequence[object], *more: str) -> Table:
    """A table with these targets, repeated; further ones are numbers."""
    y = pl.Series([target[row % len(target)] for row in range(ROWS)])
    return table_of(pl.DataFrame({"x": X, "y": y, **dict.fromkeys(more, X + 1)}), ["y", *more])


NUMBERS, WORDS, ZEROS_AND_ONES = table([0.5, 1.5, -2]), table(["no", "yes"]), table([0, 1])
POSITIVE = ("data=csv", "data.path=t.csv", "data.target=y", "data.positive=yes")


@pytest.mark.parametrize(
    ("overrides", "over"),
    [
        ((), WORDS),
        ((), NUMBERS),
        (("loss=cross_entropy", "monitor=val/loss", "data.class_weights=balanced"), WORDS),
        (("data.class_weights={no: 2}",), WORDS),
        (("data.class_weights={0: 2, 1: 0}",), ZEROS_AND_ONES),
        (("loss=mae", "monitor=val/r2"), NUMBERS),
        (POSITIVE, WORDS),
        (("threshold=auto", "threshold_metric=f1"), WORDS),
    ],
)
def test_keys_that_fit_are_accepted(overrides: Sequence[str], over: Table) -> None:
    check_task(config(*overrides), over)


@pytest.mark.parametrize(
    ("overrides", "over", "messages"),
    [
        (["loss=mse"], WORDS, ["loss=mse: is a loss of numbers, but column 'y' has classes: 'no', 'yes'"]),
        (["loss=huber"], ZEROS_AND_ONES, ["cross_entropy; or, if they are numbers: task=regression"]),
        (["loss=cross_entropy"], NUMBERS, ["is for classes, but 'y' is predicted", "task=multiclass"]),
        (["loss=cross_entropy"], table([0.5, 1.5], "z"), ["is for classes, but 'y', 'z'", "remove it"]),
        (["data.class_weights=balanced"], NUMBERS, ["data.class_weights: is for classes"]),
        (POSITIVE, NUMBERS, ["data.positive: is for classes"]),
        (["monitor=val/rmse"], WORDS, ["is not a metric of classes", "val/log_loss", "use monitor=auto"]),
        (["monitor=val/accuracy"], NUMBERS, ["is not a metric of numbers", "val/mae"]),
        (["model.preprocessing.target=log"], WORDS, ["has no meaning for classes such as those of column"]),
        (["model.preprocessing.target=log"], NUMBERS, ["20 rows have a target of 0 or less"]),
        (["data.class_weights={yess: 2}"], WORDS, ["yess: is not a class of column 'y'", "mean yes?"]),
        (["loss=mse", "monitor=val/mae"], WORDS, ["loss=mse", "monitor=val/mae"]),
        (["threshold=auto"], NUMBERS, ["threshold=auto: has a meaning only for two classes", "number as"]),
        (
            ["threshold=0.3"],
            table("abc"),
            ["threshold=0.3: has a meaning only", "3 classes", "remove it"],
        ),
    ],
)
def test_keys_that_do_not_fit_are_refused(overrides: Sequence[str], over: Table, messages: list[str]) -> None:
    with pytest.raises(UserError) as error:
        check_task(config(*overrides), over)
    for message in messages:
        assert message in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.class_weights={no: 0}"], "all training rows have weight 0"),
        (["monitor=val/auroc"], "is not defined: the val set has no row of 'no'"),
        (["monitor=val/average_precision"], "is not defined: the val set has no row of 'no'"),
    ],
)
def test_classes_that_a_set_lacks_are_refused_where_they_are_needed(
    overrides: list[str], message: str
) -> None:
    rows, of_no, of_yes = np.arange(ROWS), np.arange(0, ROWS, 2), np.arange(1, ROWS, 2)
    run, classes = config(*overrides), WORDS.schema.classes

    def absent(split: Split) -> dict[str, list[str]]:
        return {part: WORDS.absent_classes(of_part) for part, of_part in split.parts().items()}

    check_split(run, classes, absent(Split(rows, rows, rows)))
    with pytest.raises(UserError, match=message):
        check_split(run, classes, absent(Split(of_no, of_yes, rows)))
