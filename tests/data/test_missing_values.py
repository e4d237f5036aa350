"""Values that mean missing, in all columns or in one."""

from pathlib import Path

import polars as pl
import pytest
from support import config, table_of

from mlplab.config.data import CsvData
from mlplab.data.load_table import load_table
from mlplab.data.new_rows import FrameTransformer
from mlplab.errors import UserError

ROWS = 120
SURVEY = pl.DataFrame(
    {
        "resp_id": range(1, ROWS + 1),
        "age": [99 if row % 9 == 0 else 20 + row % 50 for row in range(ROWS)],
        "town": [["?", "north", "south", "99"][row % 4] for row in range(ROWS)],
        "income": [row * 7 % 31 for row in range(ROWS)],
    }
)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_values_of_a_column_are_numbers_elsewhere(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"survey.{ending}"
    getattr(SURVEY, f"write_{ending}")(path)
    words = ("data=csv", f"data.path={path}", "data.target=income")
    of_column, of_all = "data.na_values.age=[99]", 'data.na_values=["?"]'
    for order in ((of_column, of_all), (of_all, of_column)):
        run = config(*words, *order)
        table = load_table(run)
        age, town = table.schema.inputs
        assert (age.missing, town.categories) == (True, ("99", "north", "south"))
        assert "resp_id" in table.schema.left_out
        features = FrameTransformer(table.schema, "new", table.x.dtype.type, decimal_comma=False)
        assert (features.features(SURVEY)[:, 0] != table.x[:, 0]).sum() == (SURVEY["age"] == 99).sum()  # NaN
        assert type(run).model_validate(run.plain()) == run


def test_columns_with_values_of_their_own_must_exist() -> None:
    with pytest.raises(UserError, match=r"(?s)no column 'agee'.*did you mean data\.na_values\.age\?"):
        table_of(SURVEY, ["income"], na_values_by_column={"agee": ("99",)})


def test_what_is_typed_for_a_column_replaces_what_is_known_of_it() -> None:
    known = 'data.na_values=["?",{age:["98"],town:"99"}]'
    run = config("data=csv", "data.path=a.csv", "data.target=y", "data.na_values.age=[97]", known)
    assert isinstance(run.data, CsvData)
    assert run.data.na_values_of_all == ["?"]
    assert run.data.na_values_by_column == {"age": ["97"], "town": ["99"]}
