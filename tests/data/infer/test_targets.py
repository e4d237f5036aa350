"""Whether a target is numbers or classes, which classes and in which order."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from commands.mistakes import message_of
from support import file_of, table_of

from mlplab.data.class_labels import label_values
from mlplab.data.infer.column_messages import similar_labels_note
from mlplab.data.schema import ClassKind
from mlplab.data.table import Table
from mlplab.errors import UserError

ROWS = 60


def table(target: list[Any], folder: Path | None = None, **spec: Any) -> Table:
    """A table with these targets, repeated; from a CSV file if there is a folder."""
    y = [target[row % len(target)] for row in range(ROWS)]
    frame = pl.DataFrame({"x": np.arange(ROWS) / 7, "y": y}, strict=False)
    return table_of(file_of(folder, frame.write_csv()) if folder else frame, **spec)


@pytest.mark.parametrize(
    ("target", "classes", "kind"),
    [
        (["yes", "no"], ("no", "yes"), "text"),
        ([True, False], ("false", "true"), "boolean"),
        ([1, 0], ("0", "1"), "number"),
        ([2.5, -1.0], ("-1", "2.5"), "number"),
        (["Jan", "Feb", "Mar"], ("Feb", "Jan", "Mar"), "text"),
    ],
)
def test_which_targets_are_classes(target: list[Any], classes: tuple[str, ...], kind: ClassKind) -> None:
    found = table(target)
    assert (found.schema.classes, found.schema.class_kind) == (classes, kind)
    values = label_values(classes, kind)
    expected = [float(each) if kind == "number" else each for each in target]
    assert [values[int(number)] for number in found.y[: len(target), 0]] == expected


def test_other_numbers_are_numbers(caplog: pytest.LogCaptureFixture) -> None:
    assert table([1.5, 2, 3]).schema.classes == ()
    assert table([3, 4, 5]).y[:4, 0].tolist() == [3, 4, 5, 3]
    assert caplog.text == ""


def test_declared_classes_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    for target, folder in (([10, 9, 2], None), (["10", "9", "2"], None), ([10, 9, 2], tmp_path)):
        found = table(target, folder, task="multiclass")
        assert (found.schema.classes, found.y[:3, 0].tolist()) == (("2", "9", "10"), [2, 1, 0])
    assert table(["1", "2", "3+"], tmp_path, task="multiclass").schema.classes == ("1", "2", "3+")


def test_many_classes_are_used_if_asked_for() -> None:
    labels = [f"class {number}" for number in range(31)]
    assert len(table(labels[:30], task="multiclass").schema.classes) == 30
    said = message_of(lambda: table(labels, task="multiclass"))
    assert "31 different values in 60 rows, too many to be classes" in said
    assert "task=multiclass" not in said


def test_the_positive_class_is_the_second() -> None:
    found = table(["yes", "no"], positive="no")
    assert (found.schema.classes, found.y[:2, 0].tolist()) == (("yes", "no"), [0, 1])
    assert table([1, 0], positive="0").schema.classes == ("1", "0")


def test_a_target_declared_categorical_keeps_its_texts(tmp_path: Path) -> None:
    texts = ["007", "01", "1e3"]
    for folder in (None, tmp_path):
        found = table(texts, folder, declared={"y": "categorical"}).schema
        assert (found.classes, found.class_kind) == (tuple(texts), "text")
        assert table(texts, folder, declared={"y": "numeric"}).y[:3, 0].tolist() == [7, 1, 1000]


def test_missing_targets_have_no_class() -> None:
    found = table(["a", None, "b"], drop_missing_targets=True)
    assert (found.schema.classes, len(found.rows)) == (("a", "b"), 2 * ROWS // 3)
    np.testing.assert_array_equal(found.y[:3, 0], [0, np.nan, 1])


@pytest.mark.parametrize(
    ("target", "spec", "said"),
    [
        (["a"], {}, "all values are 'a'"),
        ([f"id{i}" for i in range(ROWS)], {}, "if it is an identifier, choose a different data.target"),
        ([f"id{i}" for i in range(24)], {}, "if these are classes: task=multiclass; if it is an identifier"),
        ([f"2:31:{i}" for i in range(10, 40)], {}, "if these are durations: 'data.columns.y=\"1:30\"'"),
        ([f"2024-01-{i}" for i in range(1, 31)], {}, "write dates and times as numbers, such as days since"),
        ([i / 7 for i in range(ROWS)], {"task": "multiclass"}, "if it is a number: task=regression"),
        (["a", "b", "c"], {"task": "binary"}, "use task=multiclass"),
        (["yes", "no"], {"positive": "yess"}, "did you mean data.positive=yes?"),
        (["a", "b", "c"], {"positive": "a"}, "must be one of two classes"),
        (["yes", "no"], {"task": "regression"}, "if its values are classes: task=multiclass"),
        (["a", None, "b"], {}, "data.missing_target=drop"),
        (["yes", "no"], {"declared": {"y": "date"}}, "a target is numeric or categorical"),
        (["yes", "no"], {"declared": {"y": "categorical"}, "task": "regression"}, "such a target is numeric"),
        ([2**60, 2**60 + 2**10], {}, "data.columns.y=categorical"),
    ],
)
def test_other_targets_are_refused(target: list[Any], spec: dict[str, Any], said: str) -> None:
    assert said in message_of(lambda: table(target, **spec))


def test_several_targets_must_be_numbers() -> None:
    frame = pl.DataFrame({"x": range(ROWS), "y": ["a", "b"] * 30, "z": range(ROWS)})
    for rows, targets, spec, message in (
        (frame, "yz", {}, "if its values are classes: task=multiclass"),
        (frame.with_columns(pl.col("y") == "a"), "yz", {}, "has type Boolean, which cannot be read as num"),
        (frame, "zx", {"task": "multiclass"}, r"choose one: data\.target=z"),
    ):
        with pytest.raises(UserError, match=message):
            table_of(rows, list(targets), **spec)
    assert table_of(frame.with_columns(y=pl.col("z") % 2), ["y", "z"]).schema.classes == ()


def test_labels_that_differ_by_spaces_or_case_get_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert table(["yes", "Yes", "no", " yes "]).schema.classes == ("Yes", "no", "yes")
    assert "'Yes', 'yes' differ only by case or inner spaces and are separate classes" in caplog.text
    note = similar_labels_note(pl.Series(["New  York", "new york"]), "categories")
    assert note.startswith("'New  York', 'new")
    assert similar_labels_note(pl.Series(["a", "b", "ab", "a b"]), "categories") == ""
