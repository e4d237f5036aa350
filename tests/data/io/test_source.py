from collections.abc import Sequence
from datetime import date, datetime, time
from pathlib import Path

import polars as pl
import pytest
from support import file_of

from mlplab.data.io.source import Scan, Source, opened
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


def test_files_with_other_names_or_types_are_refused(tmp_path: Path) -> None:
    file_of(tmp_path, "a\n1\n", "1.csv")
    other = file_of(tmp_path, "b\n1\n", "2.csv")
    with pytest.raises(UserError, match=r"2.csv: .*b \(text\), expected a \(text\)"), opened(tmp_path):
        pass
    other.unlink()
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "2.parquet")
    with pytest.raises(UserError, match=r"2.parquet: .*a \(number\), expected a \(text\)"), opened(tmp_path):
        pass


def test_numbers_of_several_types_and_nulls_are_read_together() -> None:
    assert source(1, 2.5, None).rows.collect()["a"].to_list() == [1, 2.5, None]
    assert source(None, "x").schema == {"a": pl.String()}
