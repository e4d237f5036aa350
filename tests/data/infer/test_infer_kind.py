from collections.abc import Sequence

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


def column(numbers: Sequence[float], odd: str, every: int) -> list[str]:
    """Numbers, of which every so many are another text."""
    return [odd if row % every == every // 2 else str(number) for row, number in enumerate(numbers)]


FEW = [row % 5 for row in range(ROWS)]
LONG = [10**20 + number for number in FEW]
MANY, MEASURED = RNG.integers(50, size=ROWS).tolist(), RNG.normal(size=ROWS).round(3).tolist()
CATEGORIES = [
    *(column(FEW, odd, 9) for odd in ("5+", ">4", "2a", "K", "none", "do not know it")),
    column(FEW, "rotary", ROWS // 2),
    *(column(FEW, odd, ROWS) for odd in ("6+", "<0")),  # once
    column(MANY, "17b", 50),
]
MISTAKES = [
    *(column(FEW, odd, 9) for odd in ("?", "unknown", "-", "1,2")),
    *(column(FEW, odd, ROWS) for odd in ("x", "2a", "none", "error")),
    *(column(MANY, odd, 50) for odd in ("60+", "low", "5 kg")),
    column(MANY, "17b", ROWS),
    column(LONG, "none", 2),
    *(column(MEASURED, odd, 10) for odd in ("<0.01", "trace", "12a")),
]


@pytest.mark.parametrize(
    ("cells", "found"), [*((cells, True) for cells in CATEGORIES), *((cells, False) for cells in MISTAKES)]
)
def test_texts_among_numbers_are_categories_or_mistakes(cells: list[str], found: bool) -> None:
    texts = sorted(set(cells))
    codes = np.array([texts.index(cell) for cell in cells], np.float32)
    assert infer_kind(pl.Series(texts), ROWS, ROWS) == "numeric"
    assert are_categories(pl.Series(texts), codes) == found


def test_a_column_with_categories_is_an_input_or_a_target(caplog: pytest.LogCaptureFixture) -> None:
    frame = pl.DataFrame({"x": column(FEW, "K", 9), "y": range(ROWS)})
    [made] = table_of(frame).schema.inputs
    assert (made.kind, made.categories) == ("categorical", ("0", "1", "2", "3", "4", "K"))
    assert table_of(frame, target="x").schema.classes == made.categories
    assert "read as categories, because of 'K' beside numbers; to read numbers instead," in caplog.text
    assert "such cells as missing: 'data.na_values.x=[\"K\"]'" in caplog.text
    assert table_of(frame, na_values=("K",)).schema.inputs[0].kind == "numeric"
    for target, numbers in (("y", {"declared": {"x": "numeric"}}), ("x", {"task": "regression"})):
        with pytest.raises(UserError, match=REFUSED):
            table_of(frame, target=target, **numbers)
    for target in ("x", "y"):
        with pytest.raises(UserError, match=REFUSED):
            table_of(frame.with_columns(x=pl.Series(column(FEW, "?", 9))), target=target)


@pytest.mark.parametrize("word", ["unknown", "refused"])
def test_a_column_of_incomes_is_refused_however_often_they_are_unknown(word: str) -> None:
    incomes = [word if row % 125 == 0 else str(RNG.integers(10**5)) for row in range(5000)]
    with pytest.raises(UserError, match="is a text, not a number; 40 such cells"):
        table_of(pl.DataFrame({"x": incomes, "y": range(5000)}))
