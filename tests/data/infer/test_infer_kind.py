"""The kind of a column of text; of numbers with a few other texts: categories, or mistakes."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from support import table_of

from mlplab.data.infer.infer_kind import are_categories, infer_kind
from mlplab.errors import UserError

ROWS = 400
RNG = np.random.default_rng(0)
REFUSED = "is not a finite number|is a text, not a number|is a number with a unit"


@pytest.mark.parametrize("words", ["yes no", "a b c", "1 x y", "2024-01-31 x y"])
def test_few_texts_in_many_rows_are_categories(words: str) -> None:
    assert infer_kind(pl.Series(words.split()), filled=1000, rows=1000) == "categorical"


def column(numbers: Callable[[int], object], odd: str, every: int) -> list[str]:
    """Numbers, of which every so many are another text."""
    return [odd if row % every == every // 2 else str(numbers(row)) for row in range(ROWS)]


def few(row: int) -> int:
    return row % 5


def long(row: int) -> int:
    return 10**20 + row % 5


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
    column(long, "none", 2),
    *(column(measured, odd, 10) for odd in ("<0.01", "trace", "12a")),
]


@pytest.mark.parametrize(
    ("cells", "found"), [*((cells, True) for cells in CATEGORIES), *((cells, False) for cells in MISTAKES)]
)
def test_texts_among_numbers_are_categories_or_mistakes(cells: list[str], found: bool) -> None:
    texts = sorted(set(cells))
    codes = np.array([texts.index(cell) for cell in cells], np.float32)
    assert infer_kind(pl.Series(texts), ROWS, ROWS) == "numeric"
    assert are_categories(pl.Series(texts), codes) == found


def test_a_column_with_categories_is_an_input_or_a_target(
    caplog: pytest.LogCaptureFixture,
) -> None:
    frame = pl.DataFrame({"x": column(few, "K", 9), "y": range(ROWS)})
    [made] = table_of(frame).schema.inputs
    assert (made.kind, made.categories) == ("categorical", ("0", "1", "2", "3", "4", "K"))
    assert table_of(frame, target="x").schema.classes == made.categories
    assert "read as categories, because of 'K' beside numbers; to read numbers instead," in caplog.text
    assert "such cells as missing: 'data.na_values=[\"K\"]'" in caplog.text
    assert table_of(frame, na_values=("K",)).schema.inputs[0].kind == "numeric"
    for target, numbers in (("y", {"declared": {"x": "numeric"}}), ("x", {"task": "regression"})):
        with pytest.raises(UserError, match=REFUSED):
            table_of(frame, target=target, **numbers)
    for target in ("x", "y"):
        with pytest.raises(UserError, match=REFUSED):
            table_of(frame.with_columns(x=pl.Series(column(few, "?", 9))), target=target)


@pytest.mark.parametrize("word", ["unknown", "refused"])
def test_a_column_of_incomes_is_refused_however_often_they_are_unknown(word: str) -> None:
    incomes = [word if row % 125 == 0 else str(RNG.integers(10**5)) for row in range(5000)]
    with pytest.raises(UserError, match="is a text, not a number; 40 such cells"):
        table_of(pl.DataFrame({"x": incomes, "y": range(5000)}))
