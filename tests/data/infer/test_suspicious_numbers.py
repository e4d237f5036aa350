from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support import table_of

from mlplab.data.infer.column_names import names_row_number, stands_for_names
from mlplab.data.infer.suspicious_numbers import counts_rows, sentinels
from mlplab.data.table import BLOCK

ROWS = 120


def frame(**columns: object) -> pl.DataFrame:
    source = np.random.default_rng(0)
    return pl.DataFrame({**columns, "a": source.normal(size=ROWS), "y": source.normal(size=ROWS)})


@pytest.mark.parametrize("count", [range(ROWS), range(ROWS, 0, -1), range(10, 1201, 10)])
def test_row_numbers_are_left_out(count: range, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = frame(id=list(count))
    rows.write_csv(tmp_path / "t.csv")
    for source in (tmp_path / "t.csv", rows.cast({"id": pl.Float64})):
        table = table_of(source)
        assert (table.schema.names, table.x.shape) == (["a"], (ROWS, 1))
    assert "leaving out column 'id': a row number" in caplog.text
    assert "data.columns.id=numeric keeps it" in caplog.text


def test_row_numbers_beyond_the_integers_of_float32() -> None:
    first, rows = 2.0**26, BLOCK + 100  # float32 has every eighth integer
    values = (first + np.arange(rows)).astype(np.float32)
    assert counts_rows(values, first, first + rows - 1)
    for row in (500, rows - 50):
        swapped = values.copy()
        swapped[[row, row + 20]] = values[[row + 20, row]]
        assert not counts_rows(swapped, first, first + rows - 1)


@pytest.mark.parametrize(
    "numbers",
    [
        [*range(1, ROWS), None],  # a gap
        [1, 0, *range(2, ROWS)],  # another order
        [*range(1, ROWS), ROWS + 5],  # another step
        [row / 4 for row in range(ROWS)],
    ],
)
def test_other_numbers_are_kept(numbers: list[object]) -> None:
    assert table_of(frame(id=numbers)).schema.names == ["id", "a"]


def test_names_of_row_numbers() -> None:
    say_so = "id,ID,PassengerId,customer_id,Patient ID,RowNumber,row,rownames,S.No,No.,#,index,obs,Case,seq"
    generated = "sample_id,Serial Number,Unnamed: 0,...1,column_1,V1,_c0,__index_level_0__"
    others = "t,age,rank,Day,day_of_year,time_index,atomic number,episode number,number of rooms,paid,grid"
    more = "s,x,X1,2019,order,period,sample size,price index,line width,week no,Idaho"
    assert [name for name in f"{say_so},{generated}".split(",") if not names_row_number(name)] == []
    assert [name for name in f"{others},{more}".split(",") if names_row_number(name)] == []


def test_declared_or_only_row_numbers_and_those_of_a_split_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    rows = frame(id=range(ROWS))
    assert table_of(rows, declared={"id": "numeric"}).schema.names == ["id", "a"]
    assert table_of(rows.drop("a")).schema.names == ["id"]
    assert table_of(rows, more_roles=[("id", "time")]).schema.names == ["id", "a"]
    assert table_of(rows.rename({"id": "age"})).schema.names == ["age", "a"]
    assert "leaving out" not in caplog.text


@pytest.mark.parametrize("start", [7, 10**14])
def test_different_whole_numbers_in_all_rows_get_a_note(start: int, caplog: pytest.LogCaptureFixture) -> None:
    numbers = start + np.random.default_rng(1).permutation(ROWS) * 3
    rows = frame(account=numbers)
    assert table_of(rows).schema.names == ["account", "a"]
    assert "column 'account': a different whole number in each row" in caplog.text
    assert "drop it: data.columns.account=drop" in caplog.text
    caplog.clear()
    table_of(rows, declared={"account": "numeric"})
    table_of(frame(account=[*numbers[:-1], numbers[0]], b=numbers / 4))
    assert caplog.text == ""


DRAW = np.random.default_rng(0)
AGES = DRAW.integers(18, 75, 200)
SIZES = DRAW.normal(12, 3, 200)
DEGREES = DRAW.normal(0, 15, 200)


def found(values: Sequence[float], offset: float = 0.0) -> dict[str, int]:
    cells = np.array(values, np.float64)
    whole = cells[~np.isnan(cells)]
    return sentinels((cells - offset).astype(np.float32), whole.min(), whole.max(), offset)


@pytest.mark.parametrize("offset", [0.0, 12.3])
@pytest.mark.parametrize(
    ("values", "sentinel", "times"),
    [
        (AGES, -1, 5),
        (SIZES, -99.9, 3),
        (DEGREES, -999, 2),
        ([0.0, 1.0, 2.0, 3.0], 99, 90),
        ([0.0, 1.0, 2.0, *[17.0] * 50], 99, 2),
    ],
)
def test_sentinels(values: Sequence[float], sentinel: float, times: int, offset: float) -> None:
    assert found([*values, *[sentinel] * times, np.nan], offset) == {f"{sentinel:g}": times}
    assert found([*range(11), *[98] * 3, 99], offset) == {"98": 3, "99": 1}  # each gives another reason


@pytest.mark.parametrize(
    "values",
    [
        [*AGES, -999],  # once
        [*DEGREES, -1, -1, -9, -9, -99],  # other values are negative
        [*range(100)] * 3,  # up to 99
        [*range(9, 1000, 10), 999, 999],  # prices
        np.append(DRAW.integers(0, 95, 900), [99, 99, 99]),
    ],
)
def test_no_sentinels(values: Sequence[float]) -> None:
    assert found(values) == {}


def test_the_remedy_names_the_sentinels_of_a_column(caplog: pytest.LogCaptureFixture) -> None:
    frame = pl.DataFrame({"a": [*range(20), -999, -999], "y": [3, *range(3, 60, 3), -99, -99]})
    table_of(frame, na_values=("?",))
    of_a, of_y = caplog.messages
    keys = ["""'data.na_values.a=["-999"]'""", """'data.na_values.y=["-99"]'"""]
    assert f"'a': -999 in 2 cells may stand for a missing value; if so: {keys[0]}" in of_a
    assert (
        f"'y': -99 in 2 cells may stand for a missing value; if so: {keys[1]} data.missing_target=drop"
        in of_y
    )
    caplog.clear()
    table_of(frame, na_values_by_column={"a": ("-999",), "y": ("-99",)}, drop_missing_targets=True)
    assert caplog.messages == []


IDENTIFIER = "a different whole number in each row, like a row number or an identifier"
NAMED = "region,StoreID,statecode,plot_no,Injury.Type,treatment,occ_code,AgeGroup,Subj 2"
OTHERS = "children,year,NumRooms,group_size,regions,grade,state_income,number,id7x,"


def test_a_name_says_that_numbers_stand_for_names(caplog: pytest.LogCaptureFixture) -> None:
    assert [name for name in NAMED.split(",") if not stands_for_names(name)] == []
    assert [name for name in OTHERS.split(",") if stands_for_names(name)] == []
    rows = frame(region=np.arange(ROWS) % 4 + 1)
    table_of(rows, "region", task="regression")
    assert caplog.text == ""
    table_of(rows, "region")
    assert "its 4 whole values are predicted as numbers; if they are classes: task=multiclass" in caplog.text


def test_whole_numbers_that_repeat_under_a_name_of_codes_are_categories(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = np.random.default_rng(0)
    codes, once = source.integers(7, 40, ROWS), source.permutation(ROWS)
    named = {"school": codes, "userId": codes + 10**9, "nr": 1.0 * codes, "schid": codes}
    declared = {"firm": codes, "time_zone": codes}
    others = {"school_id": once, "site": codes / 2, "state": codes - 20}
    amounts = "years_at_firm visits group_size nr_rooms paid distance_to_school rooms_per_household age_group"
    table = table_of(
        frame(**named, **declared, **others, **dict.fromkeys(amounts.split(), codes)),
        more_roles=[("time_zone", "time")],
        declared={"firm": "numeric"},
    )
    of_kind = [column.name for column in table.schema.inputs if column.kind == "categorical"]
    assert of_kind == [*named]
    categories = [str(code) for code in np.unique(codes)]
    assert table.schema.inputs[0].categories == tuple(sorted(categories))
    how = f"read as {len(categories)} categories, because of its name"
    assert f"'school': {how}; to read numbers instead: data.columns.school=numeric" in caplog.text
    assert "have an order" not in caplog.text


def test_a_target_that_looks_like_an_identifier_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    count, mixed = np.arange(ROWS), np.random.default_rng(0).permutation(ROWS)
    others = ("population", mixed * 37), ("V1", mixed), ("id", count // 30), ("id", count / 7)
    for name, values in (("customer_id", mixed + 7), ("target", count), *others):
        caplog.clear()
        table_of(frame(**{name: values}), name)
        assert (IDENTIFIER in caplog.text) == (name in ("customer_id", "target"))
