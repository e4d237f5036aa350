import numpy as np
import polars as pl
import pytest
from support import table_of

from mlplab.data.hidden_codes import hidden_codes

NUMBERS, REPEATS = 200, 6


def noted(effect: np.ndarray, columns: int = 1, **changes: pl.Expr) -> list[str]:
    """The columns with a note, of a table whose target is this effect of the number of `key`, and noise."""
    drawn, key = np.random.default_rng(0), np.repeat(np.arange(NUMBERS), REPEATS)
    noise = drawn.normal(size=len(key))
    frame = pl.DataFrame({"key": 7 * key, "x": drawn.normal(size=len(key)), "y": effect[key] + noise})
    table = table_of(frame.with_columns(**changes))
    notes = hidden_codes(table, np.arange(0, len(key)))
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


def test_fractions_few_numbers_and_numbers_that_do_not_repeat_get_no_note() -> None:
    for key in (pl.col("key") / 3, pl.col("key") % 28, pl.int_range(pl.len())):
        assert noted(ITS_OWN, key=key) == []
