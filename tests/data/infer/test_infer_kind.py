"""The kind of a column of text; of numbers with a few other texts: categories, or mistakes."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from support import table_of

from mlplab.data.infer.infer_kind import infer_kind
from mlplab.errors import UserError

ROWS = 400
RNG = np.random.default_rng(0)


def column(numbers: Callable[[int], object], odd: str, every: int) -> list[str]:
    """Numbers, of which every so many are another text."""
    return [odd if row % every == every // 2 else str(numbers(row)) for row in range(ROWS)]


REFUSED = "is not a finite number|is a text, not a number|is a number with a unit"


def few(row: int) -> int:
    return row % 5


def many(row: int) -> int:
    return int(RNG.integers(50))


def measured(row: int) -> float:
    return round(RNG.normal(), 3)


CATEGORIES = [
    *(column(few, odd, 9) for odd in ("5+", ">4", "2a", "K", "none", "do not know it")),
    column(few, "rotary", ROWS // 2),
    *(column(few, odd, ROWS) for odd in ("6+", "<0")),  # once
    column(many, "17b", 50),
]
MISTAKES = [
    *(column(few, odd, 9) for odd in ("?", "unknown", "-", "1,2")),
    *(column(few, odd, ROWS) for odd in ("x", "2a", "none", "error")),
    *(column(many, odd, 50) for odd in ("60+", "low", "5 kg")),
    column(many, "17b", ROWS),
    *(column(measured, odd, 10) for odd in ("<0.01", "trace", "12a")),
]


@pytest.mark.parametrize("words", ["yes no", "a b c", "1 x y", "2024-01-31 x y"])
def test_few_texts_in_many_rows_are_categories(words: str) -> None:
    assert infer_kind(pl.Series(words.split()), filled=1000, rows=1000) == "categorical"


@pytest.mark.parametrize("cells", CATEGORIES, ids=lambda cells: f"{sorted(cells)[-1]}")
def test_categories_and_classes(cells: list[str]) -> None:
    frame = pl.DataFrame({"x": cells, "y": range(ROWS)})
    [column] = table_of(frame).schema.inputs
    assert (column.kind, column.categories) == ("categorical", tuple(sorted(set(cells))))
    if len(column.categories) < 20:
        assert table_of(frame, target="x").schema.classes == column.categories
    with pytest.raises(UserError, match=REFUSED):
        table_of(frame, declared={"x": "numeric"})
    with pytest.raises(UserError, match=REFUSED):
        table_of(frame, target="x", task="regression")


@pytest.mark.parametrize("cells", MISTAKES, ids=lambda cells: f"{sorted(cells)[-1]}")
def test_mistakes(cells: list[str]) -> None:
    for target in ("x", "y"):
        with pytest.raises(UserError, match=REFUSED):
            table_of(pl.DataFrame({"x": cells, "y": range(ROWS)}), target=target)


def test_a_column_of_incomes_is_refused_however_often_they_are_unknown() -> None:
    for word in ("unknown", "refused"):
        incomes = [word if row % 125 == 0 else str(RNG.integers(10**5)) for row in range(5000)]
        with pytest.raises(UserError, match="is a text, not a number; 40 such cells"):
            table_of(pl.DataFrame({"x": incomes, "y": range(5000)}))


def test_a_note_tells_how_to_read_numbers(caplog: pytest.LogCaptureFixture) -> None:
    frame = pl.DataFrame({"x": column(few, "K", 9), "y": range(ROWS)})
    table_of(frame)
    assert "read as categories, because of 'K' beside numbers; to read numbers instead," in caplog.text
    assert "such cells as missing: 'data.na_values=[\"K\"]'" in caplog.text
    assert table_of(frame, na_values=("K",)).schema.inputs[0].kind == "numeric"
