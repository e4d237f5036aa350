"""The tables that settings are chosen on, and those that a seed draws."""

import numpy as np
import polars as pl
import pytest

from mlplab.errors import UserError

pytest.importorskip("pandas")
from benchmarks import quality_tables as listed

DEVELOPMENT, POOL = listed.entries_of("development"), listed.entries_of("pool")


def test_no_table_is_in_two_lists() -> None:
    codes = [{of["source"] for of in listed.entries_of(name).values()} for name in ("codes", "other_codes")]
    sources = {entry["source"] for entry in DEVELOPMENT.values()}
    assert not codes[0] & codes[1]
    assert not set.union(*codes) & (sources | POOL.keys())
    assert not sources & POOL.keys()
    names = [source.partition("/")[2].lower() for source in (*sources, *POOL)]
    twice = {name for name in names if names.count(name) > 1}
    assert twice == {"diamonds", "ncbirths"}  # of two shops, and of two years
    shipped = ("concrete", "energy", "yacht", "iris", "wine", "brca", "biopsy", "penguins", "peng")
    assert not {*names} & {*shipped}


def test_texts_of_numbers_are_numbers() -> None:
    pandas = pytest.importorskip("pandas")
    assert listed.series(pandas.Series(["1.5", ".", None], name="x")).to_list() == [1.5, None, None]
    assert listed.series(pandas.Series(["1.5", ".", "a"], name="x")).to_list() == ["1.5", None, "a"]
    assert listed.series(pandas.Series([True, False], name="x")).to_list() == ["True", "False"]
    frame = pl.DataFrame({"a": [1.0, 2], "id": [7.0, 8], "y": [0.0, 1]})
    table = listed.BenchmarkTable("t", frame, [], codes=["id"])
    assert table.x.dtypes.map(str).tolist() == ["float64", "category"]


def test_a_seed_draws_the_same_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed, "table_of", lambda name, entry, splits: name)
    drawn = [*listed.real_tables(50, 36)]
    assert drawn == [*listed.real_tables(50, 36)] != [*listed.real_tables(50, 37)]
    assert len({*drawn}) == 50
    assert drawn[:2] == ["AER/PSID1982", "AER/USSeatBelts"]
    of_numbers = [*listed.real_tables(20, 37, tasks=("numbers",))]
    assert {POOL[name]["task"] for name in of_numbers} == {"numbers"}
    with pytest.raises(UserError, match=r"draw.*1000.*at most"):
        [*listed.real_tables(1000, 0)]


def test_tables_are_split_once_and_for_all() -> None:
    [table] = listed.listed_tables("development", ["clusters_noisy"])
    assert (len(table.frame), table.tests[0].sum(), table.classes) == (1300, 1000, ["class 0", "class 1"])
    several = listed.table_of("clusters_noisy", DEVELOPMENT["clusters_noisy"], splits=3).tests
    np.testing.assert_array_equal(several[0], table.tests[0])
    assert [test.sum() for test in several] == [1000] * 3
    assert len({test.tobytes() for test in several}) == 3
    [again] = listed.listed_tables("development", ["clusters_noisy"])
    assert table.frame.equals(again.frame)
    with pytest.raises(UserError, match="no such table"):
        [*listed.listed_tables("development", ["clusters", "klusters"])]
