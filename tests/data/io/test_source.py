from collections.abc import Sequence
from datetime import date, datetime, time
from pathlib import Path

import polars as pl
import pytest

from mlplab.data.io.source import Scan, Source, opened
from mlplab.errors import UserError


def source(*values: object) -> Source:
    """A source with a file for each of these values of a column."""
    return Source("d", [Scan(f"{i}", pl.LazyFrame({"a": [values[i]]})) for i in range(len(values))])


@pytest.mark.parametrize(
    ("values", "families"),
    [
        ((1, datetime(2024, 1, 31)), ("number", "Datetime")),
        ((date(2024, 1, 31), 1.5), ("Date", "number")),
        ((1, True), ("number", "Boolean")),
        ((date(2024, 1, 31), time(5, 17)), ("Date", "Time")),
        (("1", 1), ("text", "number")),
    ],
)
def test_columns_that_differ_in_type_are_refused(values: Sequence[object], families: Sequence[str]) -> None:
    said = r"1: has different columns than 0, .*'?a \({1}\)'?, expected '?a \({0}\)'?".format(*families)
    with pytest.raises(UserError, match=said):
        source(*values)


def test_numbers_of_several_types_and_nulls_are_read_together() -> None:
    assert source(1, 2.5, None).rows.collect()["a"].to_list() == [1, 2.5, None]
    assert source(None, "x").schema == {"a": pl.String()}


def test_csv_beside_parquet_with_numbers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a\n1\n", encoding="utf-8")
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "2.parquet")
    with pytest.raises(UserError, match=r"2.parquet: has different columns .* \(text\)"), opened(tmp_path):
        pass
