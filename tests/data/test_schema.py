import json

import polars as pl
import pytest
from support import table_of

from mlplab.data.schema import Column, Schema, column_rows


def test_a_schema_survives_json() -> None:
    columns = {
        "cat": [["p", "q", "r"][i % 3] for i in range(30)],
        "bool": [None, *[bool(i % 2) for i in range(29)]],
        "date": [f"{1 + i % 28:02}.{1 + i % 12:02}.20{10 + i} {i % 24:02}:17" for i in range(30)],
        **{"left": ["x"] * 30, "y": [*range(29), None], "z": range(30), "w": range(30)},
    }
    frame = pl.DataFrame(columns, strict=False)
    schema = table_of(
        frame, ["y", "z"], weight="w", na_values_by_column={"z": ("?",)}, drop_missing_targets=True
    ).schema
    assert (schema.names, schema.targets, schema.weight) == (["cat", "bool", "date"], ("y", "z"), "w")
    assert len(schema.category_counts) == len(schema.missing) == len(schema.offsets) == 9
    for each in (schema, Schema((Column("x", "numeric"),), ("y",), ("1", "2"), "number")):
        assert Schema.from_plain(json.loads(json.dumps(each.plain()))) == each


@pytest.mark.parametrize(("classes", "task"), [("ab", "binary"), ("abc", "multiclass"), ("", "regression")])
def test_classes_decide_the_task(classes: str, task: str) -> None:
    schema = Schema((), ("y",), tuple(classes))
    assert (schema.task, schema.outputs) == (task, len(classes) or 1)


def test_a_damaged_schema_is_named_in_a_line() -> None:
    plain = Schema((Column("a", "numeric"),), ("y",)).plain()
    with pytest.raises(ValueError, match=r"^schema\.inputs\.0\.kind: .*'numeric'.*$"):
        Schema.from_plain({**plain, "inputs": [{"name": "a", "kind": "words"}]})


def test_each_column_has_a_row() -> None:
    inputs = (
        Column("n", "numeric", missing=True),
        Column("c", "categorical", categories=tuple("abcdefghijklm")),
        Column("d", "date", format="%d.%m.%Y", parts=("year", "month_sin")),
    )
    schema = Schema(inputs, ("y",), classes=("no", "yes"), weight="w", left_out={"id": "is an index"})
    assert list(column_rows(schema)) == [
        ("y", "target", "classes", "2 classes: no, yes"),
        ("w", "weight", "numeric", ""),
        ("n", "input", "numeric", "has missing values"),
        ("c", "input", "categorical", "13 categories: a, b, c, d, e, f, g, h, i, j, k, l, … (13 in all)"),
        ("d", "input", "date", "format %d.%m.%Y; read as year, month_sin"),
        ("id", "left out", "", "is an index"),
    ]
    assert next(column_rows(Schema((), ("y",)))) == ("y", "target", "numeric", "")
