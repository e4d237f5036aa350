import numpy as np
import polars as pl
import pytest
from support import table_of

from mlplab.data.hidden_codes import hidden_codes

NUMBERS, REPEATS = 200, 6


def noted(effect: np.ndarray, **changes: pl.Expr) -> list[str]:
    """The columns with a note, of a table whose target is this effect of the number of `key`, and noise."""
    drawn, key = np.random.default_rng(0), np.repeat(np.arange(NUMBERS), REPEATS)
    noise = drawn.normal(size=len(key))
    frame = pl.DataFrame({"key": 7 * key, "x": drawn.normal(size=len(key)), "y": effect[key] + noise})
    table = table_of(frame.with_columns(**changes))
    notes = dict(hidden_codes(table, np.arange(len(key))))
    assert all(f"data.columns.{name}=categorical" in note for name, note in notes.items())
    return [*notes]


ITS_OWN = 2 * np.random.default_rng(1).normal(size=NUMBERS)
SMOOTH = np.linspace(0, 30, NUMBERS) + 5 * np.sin(np.linspace(0, 9, NUMBERS))


def test_numbers_with_effects_of_their_own_may_be_codes() -> None:
    assert noted(ITS_OWN) == ["key"]
    assert noted(1e6 * np.exp(ITS_OWN), key=pl.when(pl.col("x") < 1).then("key")) == ["key"]
    assert noted(ITS_OWN, y=pl.when(pl.col("y") < 0).then(pl.lit("no")).otherwise(pl.lit("yes"))) == ["key"]


@pytest.mark.parametrize("effect", [SMOOTH, 0 * SMOOTH, 1e9 * SMOOTH], ids=["smooth", "none", "exact"])
def test_smooth_effects_and_none_get_no_note(effect: np.ndarray) -> None:
    assert noted(effect) == []


KEY, ROW = pl.col("key"), pl.int_range(pl.len())
OFTEN_ZERO = pl.when(ROW % 5 > 0).then(0).otherwise(ROW * 7919 % 99_991)


@pytest.mark.parametrize(
    "changes",
    [
        {"key": KEY / 3},
        {"key": KEY % 28},
        {"key": ROW},
        # Amounts with many zeros, of which few others repeat.
        {"key": OFTEN_ZERO, "y": pl.col("y") + 5 * (OFTEN_ZERO > 0) * pl.col("x")},
        # Targets with many ties, in a file that is sorted by the column.
        {"y": pl.when(ROW * 7919 % 20 > 0).then(0.0).otherwise(pl.col("x"))},
    ],
    ids=["fractions", "few", "each once", "many zeros", "ties"],
)
def test_other_numbers_get_no_note(changes: dict[str, pl.Expr]) -> None:
    assert noted(ITS_OWN, **changes) == []


def test_rows_of_weight_0_and_names_of_times_do_not_count() -> None:
    assert noted(ITS_OWN, key=KEY.alias("year")) == ["key"]
    key = np.repeat(np.arange(NUMBERS), REPEATS)
    frame = pl.DataFrame(
        {"key": key, "y": ITS_OWN[key] + np.arange(len(key)) * 0.1 % 1, "w": (key < 20) * 1.0}
    )
    for weight, names in (("w", []), (None, ["key"])):
        table = table_of(frame, weight=weight)
        assert [name for name, _ in hidden_codes(table, np.arange(len(key)))] == names
