"""The columns of a table in words."""

from mlplab.data.column_table import column_rows
from mlplab.data.schema import Column, Schema


def test_each_column_has_a_row() -> None:
    inputs = (
        Column("n", "numeric", missing=True),
        Column("c", "categorical", categories=tuple("abcdefghi"), missing=True),
        Column("d", "date", format="%d.%m.%Y", parts=("year", "month_sin")),
    )
    schema = Schema(inputs, ("y",), classes=("no", "yes"), weight="w", left_out={"id": "is an index"})
    assert list(column_rows(schema)) == [
        ("y", "target", "classes", "2 classes: no, yes"),
        ("w", "weight", "numeric", ""),
        ("n", "input", "numeric", "has missing values"),
        (
            "c",
            "input",
            "categorical",
            "9 categories: a, b, c, d, e, f, g, h, … (9 in all); has missing values",
        ),
        ("d", "input", "date", "format %d.%m.%Y; read as year, month_sin"),
        ("id", "left out", "", "is an index"),
    ]
    assert next(column_rows(Schema((), ("y",)))) == ("y", "target", "numeric", "")
