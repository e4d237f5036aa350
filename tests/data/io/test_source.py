from collections.abc import Sequence
from datetime import date, datetime, time

import polars as pl
import pytest

from mlplab.data.io.source import Scan, Source
from mlplab.errors import UserError


def source(*values: object) -> Source:
    return Source("d", [Scan(f"{i}", pl.LazyFrame({"a": [values[i]]})) for i in range(len(values))])


@pytest.mark.parametrize(
    ("values", "families"),
    [
        ((1, datetime(2024, 1, 31)), ("number", "Datetime")),
        ((date(2024, 1, 31), 1.5), ("Date", "number")),
        ((1, True), ("number", "Boolean")),
        ((date(2024, 1, 31), time(5, 17)), ("Date", "Time")),
        (("1", 1), ("text", "number")),  # as of CSV beside Parquet
    ],
)
def test_columns_that_differ_in_type_are_refused(values: Sequence[object], families: Sequence[str]) -> None:
    said = r"1: has different columns than 0, .*'?a \({1}\)'?, expected '?a \({0}\)'?".format(*families)
    with pytest.raises(UserError, match=said):
        source(*values)


def test_numbers_of_several_types_and_nulls_are_read_together() -> None:
    assert source(1, 2.5, None).rows.collect()["a"].to_list() == [1, 2.5, None]
    assert source(None, "x").schema == {"a": pl.String()}
