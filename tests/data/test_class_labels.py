"""The numbers of classes in tables other than the one in training."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplab.config.data import number_label
from mlplab.data.class_labels import BOOLEAN_LABELS, ClassKind, class_numbers, find_label, label_values
from mlplab.data.parse import parse_str

TEXTS = st.text(min_size=1, max_size=6)
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-99, 99).map(float)
CELLS: st.SearchStrategy[tuple[ClassKind, list[Any]]] = st.one_of(
    st.tuples(st.just("text"), st.lists(TEXTS, min_size=1, max_size=20)),
    st.tuples(st.just("number"), st.lists(FLOATS, min_size=1, max_size=20)),
    st.tuples(st.just("boolean"), st.lists(st.booleans(), min_size=1, max_size=5)),
)


@given(CELLS)
def test_cells_have_the_number_of_their_label_and_labels_come_back(
    drawn: tuple[ClassKind, list[Any]],
) -> None:
    kind, cells = drawn
    if kind == "text":
        expected = parse_str(pl.Series(cells), ()).to_list()
    else:
        expected = [str(cell).lower() if kind == "boolean" else number_label(cell) for cell in cells]
    labels = BOOLEAN_LABELS if kind == "boolean" else sorted({each for each in expected if each is not None})
    numbers = [None if each is None else labels.index(each) for each in expected]
    written = [pl.Series(cells), pl.Series([f" {cell} " for cell in cells])]
    for each in written:
        assert class_numbers(each, labels, kind, ()).to_list() == numbers
    if labels:
        again = label_values(labels, kind)
        assert class_numbers(again, labels, kind, ()).to_list() == list(range(len(labels)))


@pytest.mark.parametrize(
    ("labels", "kind", "dtype"),
    [
        (["no", "yes"], "text", pl.String),
        (["0", "1"], "text", pl.String),
        (["-1", "10"], "number", pl.Int64),
        (["0.5", "1"], "number", pl.Float64),
        (["false", "true"], "boolean", pl.Boolean),
    ],
)
def test_values_are_those_of_a_table(labels: list[str], kind: ClassKind, dtype: pl.DataType) -> None:
    values = label_values(labels, kind)
    assert values.dtype == dtype
    assert [str(value).lower() for value in values] == [
        "1.0" if dtype == pl.Float64 and label == "1" else label for label in labels
    ]


@pytest.mark.parametrize(
    ("cells", "labels", "kind", "numbers"),
    [
        (["yes", "Yes", "no", None, "", "NA", "maybe"], ["no", "yes"], "text", [1, None, 0, *[None] * 4]),
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
    assert class_numbers(pl.Series(cells), labels, kind, ()).to_list() == numbers


def test_missing_values_and_decimal_commas_are_those_of_the_table() -> None:
    assert class_numbers(pl.Series(["?", "a"]), ["?", "a"], "text", ("?",)).to_list() == [None, 1]
    commas = class_numbers(pl.Series(["0,5", "1"]), ["0.5", "1"], "number", (), decimal_comma=True)
    assert commas.to_list() == [0, 1]


def test_true_and_false_in_text_are_recognised_however_a_table_writes_them() -> None:
    for cells in ([True, False], ["TRUE", "false"]):
        assert class_numbers(pl.Series(cells), ["False", "True"], "text", ()).to_list() == [1, 0]
    assert class_numbers(pl.Series(["Yes"]), ["no", "yes"], "text", ()).to_list() == [None]


@pytest.mark.parametrize(
    ("wanted", "labels", "found"),
    [
        ("yes", ["no", "yes"], "yes"),
        ("true", ["False", "True"], "True"),
        ("Yes", ["yes", "YES"], None),
        ("YES", ["yes", "YES"], "YES"),
        ("maybe", ["no", "yes"], None),
    ],
)
def test_a_label_is_found_by_its_letters_if_only_one_has_them(
    wanted: str, labels: list[str], found: str | None
) -> None:
    assert find_label(wanted, labels) == found
