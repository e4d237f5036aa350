"""Which texts have an order, and how users declare one."""

import shlex
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import config, table_of

from mlplab.data.cells.levels import known_order
from mlplab.data.cells.parse import NA_VALUES
from mlplab.data.load_table import load_table
from mlplab.data.new_data import FrameTransformer
from mlplab.data.table import Table
from mlplab.errors import UserError

STYLES = ["{low}-{high}", "{low} – {high} yrs", "${low:,} to {high:,}", "({low}, {high}]", "{high}mg"]


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
        "<12 yrs, 12 yrs, 13-15 yrs, 16 yrs, >16 yrs",
        "under 18, 18 to 64, 65 and over",
        "0, 1, 2, 3+",
        "4 or less, 5, 6, 10 or more",
    ],
)
def test_known_orders(levels: str) -> None:
    expected = tuple(levels.split(", "))
    assert known_order(sorted(expected)) == known_order(expected[::-1]) == expected


@settings(max_examples=20)
@given(st.sampled_from(STYLES), st.lists(st.integers(0, 10**6), min_size=4, unique=True), st.randoms())
def test_ranges_are_in_the_order_of_their_numbers(style: str, ends: list[int], random: object) -> None:
    ends = sorted(ends)[: len(ends) // 2 * 2]
    levels = [style.format(low=low, high=high) for low, high in zip(ends[::2], ends[1::2], strict=True)]
    shuffled = random.sample(levels, len(levels))  # type: ignore[attr-defined]
    assert known_order(shuffled) == tuple(levels)


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
    """A table of 30 rows with these cells in its ordinal column."""
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


TEXTS = st.text(st.characters(codec="utf-8", categories=["L", "P", "S"]), min_size=1, max_size=6).filter(
    lambda text: text not in NA_VALUES
)
ODD = st.sampled_from(
    ["a b", "<12", "25–34", "x,y", "it's", 'say "x"', "[0, 10)", "$5", "c=d", "back\\", "1.50"]
)


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["a", "my column", "a=größe [m²]"]),
    st.lists(TEXTS | ODD, min_size=1, max_size=5, unique_by=str.casefold),
)
def test_the_remedy_works_when_typed(tmp_path: Path, name: str, texts: list[str]) -> None:
    texts = [*texts, "no scale has this"]
    rows = pl.DataFrame({name: (texts * 30)[:30], "y": range(30)})
    rows.write_parquet(tmp_path / "t.parquet")
    words = ["data=csv", f"data.path={tmp_path / 't.parquet'}", "data.target=y"]
    for kind, listed in (("[one,two]", {"one", "two"}), ("ordinal", set())):
        with pytest.raises(UserError) as raised:
            load_table(config(*words, f"data.columns.{name}={kind}"))
        assert ("the levels lack" if listed else "is not known") in str(raised.value)
        remedy = str(raised.value).partition("the lowest first: ")[2].partition("; if it stands")[0]
        table = load_table(config(*words, *shlex.split(remedy)))
        assert set(table.schema.inputs[0].categories) == {*listed, *texts}


def test_a_word_for_missing_values_is_told_from_levels() -> None:
    with pytest.raises(UserError, match="the levels lack 'unknown'") as raised:
        ordinal(["low", "unknown", "high", "medium"])
    assert '["low","medium","high","unknown"]' in str(raised.value)
    assert "if it stands for a missing value: 'data.na_values=[\"unknown\"]'" in str(raised.value)
    assert ordinal(["mild", "none", "severe"]).schema.inputs[0].categories == ("none", "mild", "severe")


@pytest.mark.parametrize("levels", [["<1", "1–2", "$3"], ["<10 %", "10%–20%", ">20%"]])
def test_levels_need_no_quotes(levels: list[str]) -> None:
    run = config("data=csv", "data.path=t", "data.target=y", f"data.columns.a=[{','.join(levels)}]")
    assert run.data.columns == {"a": levels}  # type: ignore[union-attr]
