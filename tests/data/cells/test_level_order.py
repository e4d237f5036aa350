import shlex
from typing import Any

import numpy as np
import polars as pl
import pytest
from commands.mistakes import message_of
from support import config, table_of

from mlplab.data.cells.level_order import known_order
from mlplab.data.new_rows import FrameTransformer
from mlplab.data.table import Table


@pytest.mark.parametrize(
    "levels",
    [
        "low, Medium, HIGH, very_high",
        "Low income, Lower middle income, Upper middle income, High income",
        "strongly disagree, disagree, neutral, agree, strongly agree",
        "never, rarely, sometimes, often, always",
        "None, Mild, Moderate, Severe",
        "less than high school, high school, some college, Bachelor's degree, Master's degree, PhD",
        "1st, 2nd, 3rd",
        "5mg, 10mg, 200mg",
        "2 – 9 yrs, 10 – 19 yrs, 100 – 119 yrs",
        "$1 to 2, $10 to 20, $100 to 1000",
        "[0;5], [6;9], [10;11]",
        "<12 yrs, 12 yrs, 13-15 yrs, 16 yrs, >16 yrs",
        "under 18, 18 to 64, 65 and over",
        "0, 1, 2, 3+",
        "4 or less, 5, 6, 10 or more",
        "No change, 1-10%, 11-20%",
    ],
)
def test_known_orders(levels: str) -> None:
    expected = tuple(levels.split(", "))
    assert known_order(sorted(expected)) == known_order(expected[::-1]) == expected


@pytest.mark.parametrize(
    "texts",
    [
        "red, green, blue",
        "low, medium, red",
        "low, medium, high, unknown",
        "site 1, site 2, site 3",
        "0-10, 5-15",
        "2-1, 1-2",
        "1a, 1b, 2a",
    ],
)
def test_other_texts_have_no_known_order(texts: str) -> None:
    assert known_order(texts.split(", ")) == ()


def ordinal(cells: list[str | None], *levels: str) -> Table:
    frame = pl.DataFrame({"a": (cells * 30)[:30], "y": range(30)})
    return table_of(frame, declared={"a": "ordinal"}, levels={"a": levels} if levels else {})


@pytest.mark.parametrize("levels", [(), ("low", "medium", "high", "very high")])
def test_a_level_is_its_rank(levels: tuple[str, ...]) -> None:
    table = ordinal(["high", "low", None, "medium"], *levels)
    [column] = table.schema.inputs
    assert column.categories == (levels or ("low", "medium", "high"))
    assert (column.missing, table.schema.category_counts) == (True, (0,))
    np.testing.assert_array_equal(table.x[:4, 0], [2, 0, np.nan, 1])


def test_new_rows_have_unknown_levels(caplog: pytest.LogCaptureFixture) -> None:
    transformer = FrameTransformer(ordinal(["1", "2", "3+"]).schema, "new", np.float32, decimal_comma=False)
    x = transformer.features(pl.DataFrame({"a": ["3+", " 2", "4", None]}))
    np.testing.assert_array_equal(x[:, 0], [2, 1, np.nan, np.nan])
    transformer.warn()
    assert "not seen in training are treated as missing: '4' (1)" in caplog.text


def test_a_note_offers_a_known_order_unless_the_kind_is_declared(caplog: pytest.LogCaptureFixture) -> None:
    frame = pl.DataFrame({"my size": ["small", "large", "medium"] * 10, "y": [row / 8 for row in range(30)]})
    assert table_of(frame).schema.inputs[0].categories == ("large", "medium", "small")
    assert "'small', 'medium', 'large'; to use it: 'data.columns.my size=ordinal'" in caplog.text
    caplog.clear()
    table_of(frame, declared={"my size": "categorical"})
    assert not caplog.text


def test_the_order_of_answers_is_offered_without_refused_ones(caplog: pytest.LogCaptureFixture) -> None:
    answers = ["20-30", "under 20", "Refused", "Don't know", "over 30"] * 6
    frame = pl.DataFrame({"a": answers, "y": [row / 8 for row in range(30)]})
    table_of(frame)
    offer = caplog.text.partition("'under 20', '20-30', 'over 30'; to use it: ")[2]
    [kind, missing] = shlex.split(offer.partition("\n")[0])
    run = config("data=csv", "data.path=t", "data.target=y", kind, missing)
    found = table_of(
        frame, declared=dict(run.data.columns), na_values_by_column=run.data.na_values_by_column
    ).x
    np.testing.assert_array_equal(found[:5, 0], [1, 0, np.nan, np.nan, 2])


@pytest.mark.parametrize("answers", [["5 years", "unknown", "not sure"], ["under 20", "over 20", "Refused"]])
def test_the_order_of_two_answers_is_not_offered(
    answers: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    table_of(pl.DataFrame({"a": answers * 10, "y": [row / 8 for row in range(30)]}))
    assert not caplog.text


ODD = [["a b", "<12", "25–34", "x,y", "it's", 'say "x"'], ["[0, 10)", "$5", "c=d", "back\\", "1.50", "no"]]


@pytest.mark.parametrize("name", ["my column", "a=größe [m²]"])
@pytest.mark.parametrize("listed", [(), ("one", "two")])
@pytest.mark.parametrize("texts", ODD)
def test_the_remedy_works_when_typed(name: str, listed: tuple[str, ...], texts: list[str]) -> None:
    frame = pl.DataFrame({name: texts * 5, "y": range(30)})
    spec: dict[str, Any] = {"declared": {name: "ordinal"}, "levels": {name: listed} if listed else {}}
    message = message_of(lambda: table_of(frame, **spec))
    assert ("the levels lack" if listed else "is not known") in message
    [word] = shlex.split(message.partition("the lowest first: ")[2].partition("; if it stands")[0])
    run = config("data=csv", "data.path=t", "data.target=y", word)
    assert set(run.data.columns[name]) == {*listed, *texts}  # type: ignore[union-attr]


def test_a_word_for_missing_values_is_told_from_levels() -> None:
    message = message_of(lambda: ordinal(["low", "unknown", "high", "medium"]))
    assert '["low","medium","high","unknown"]' in message
    assert "if it stands for a missing value: 'data.na_values.a=[\"unknown\"]'" in message
    assert ordinal(["mild", "none", "severe"]).schema.inputs[0].categories == ("none", "mild", "severe")


@pytest.mark.parametrize("levels", [["<1", "1–2", "$3"], ["<10 %", "10%–20%", ">20%"]])
def test_levels_need_no_quotes(levels: list[str]) -> None:
    run = config("data=csv", "data.path=t", "data.target=y", f"data.columns.a=[{','.join(levels)}]")
    assert run.data.columns == {"a": levels}  # type: ignore[union-attr]
