"""The figure of importance: a valid specification that draws all names and values."""

import pytest
import vl_convert

from mlplab.figures.importance import MAX_COLUMNS, importance

ODD = ["a.b[0]", "a\\:b", "<b>'\"", "x" * 300, "größe", "a,b"]


@pytest.mark.parametrize("count", [1, 6, 30])
def test_importance(count: int) -> None:
    columns = [(ODD[place] if place < len(ODD) else f"c{place}", 5.0 - place, 0.5) for place in range(count)]
    specification = importance(columns, "RMSE in units of y", ["t.csv: 9 rows"]).to_dict()
    shown = specification["data"]["values"]
    assert [row["name"] for row in shown] == [name for name, _, _ in columns[:MAX_COLUMNS]]
    assert ("the first 20 of 30 columns" in specification["title"]["subtitle"]) == (count > MAX_COLUMNS)
    assert "RMSE in units of y" in specification["description"]
    assert vl_convert.vegalite_to_svg(specification).startswith("<svg")
