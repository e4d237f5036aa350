"""Figures of importance and partial dependence: valid specifications that draw all names and values."""

from typing import Any

import pytest
import vl_convert

from mlplab.figures.importance import MAX_COLUMNS, importance, partial_dependence

ODD = ["a.b[0]", "a\\:b", "<b>'\"", "x" * 300, "größe", "a,b"]


def dependences(outputs: list[str]) -> list[dict[str, Any]]:
    predictions = {name: [0.1, 0.2 + place, 0.05] for place, name in enumerate(outputs)}
    kinds = (("numeric", [1.5, 2, 1e9]), ("categorical", ["red", *ODD[:2]]), ("numeric", [0, 1, 2]))
    return [
        {"column": ODD[place], "kind": kind, "values": values, "predictions": predictions}
        for place, (kind, values) in enumerate(kinds)
    ]


@pytest.mark.parametrize("count", [1, 6, 30])
def test_importance(count: int) -> None:
    columns = [(ODD[place] if place < len(ODD) else f"c{place}", 5.0 - place, 0.5) for place in range(count)]
    specification = importance(columns, "RMSE in units of y", ["t.csv: 9 rows"]).to_dict()
    shown = specification["data"]["values"]
    assert [each["column"] for each in shown] == [name for name, _, _ in columns[:MAX_COLUMNS]]
    assert ("the first 20 of 30 columns" in specification["title"]["subtitle"]) == (count > MAX_COLUMNS)
    assert "RMSE in units of y" in specification["description"]
    assert vl_convert.vegalite_to_svg(specification).startswith("<svg")


@pytest.mark.parametrize(
    ("outputs", "of_classes", "title"),
    [
        (["y"], False, "mean prediction of y"),
        (["y", "z"], False, "the first of 2 targets"),
        (["no", "yes"], True, "mean probability of yes"),
        ([f"k{place}" for place in range(12)], True, "the first of 12 classes"),
    ],
)
def test_partial_dependence(outputs: list[str], of_classes: bool, title: str) -> None:
    specification = partial_dependence(dependences(outputs), of_classes=of_classes).to_dict()
    assert len(specification["concat"]) == 3
    assert title in str(specification)
    assert ("the first of" in str(specification["title"])) == ("first" in title)
    assert vl_convert.vegalite_to_svg(specification).startswith("<svg")
