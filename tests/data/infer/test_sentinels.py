"""Numbers that may stand for missing values."""

import logging
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from support import table_of

from mlplab.data.infer.sentinels import sentinels

DRAW = np.random.default_rng(0)
AGES = DRAW.integers(18, 75, 200)
SIZES = DRAW.normal(12, 3, 200)
DEGREES = DRAW.normal(0, 15, 200)


def found(values: Sequence[float], offset: float = 0.0) -> dict[str, int]:
    cells = np.array(values, np.float64)
    whole = cells[~np.isnan(cells)]
    return sentinels((cells - offset).astype(np.float32), whole.min(), whole.max(), offset)


@pytest.mark.parametrize("offset", [0.0, 12.3])
@pytest.mark.parametrize(
    ("values", "sentinel", "times"),
    [
        (AGES, -1, 5),
        (AGES, -9, 5),
        (AGES, 99, 5),
        (AGES, 999, 5),
        (SIZES, -999, 2),
        (SIZES, 9999, 2),
        (SIZES, -99.9, 3),
        (DEGREES, -999, 2),
        (DEGREES, 999.9, 2),
        ([0.0, 1.0, 2.0, 3.0], 99, 90),
        ([0.0, 1.0, 2.0, *[17.0] * 50], 99, 2),
    ],
)
def test_sentinels(values: Sequence[float], sentinel: float, times: int, offset: float) -> None:
    assert found([*values, *[sentinel] * times, np.nan], offset) == {f"{sentinel:g}": times}


def test_several_sentinels() -> None:
    assert found([*AGES, *[-1] * 3, *[999] * 4]) == {"-1": 3, "999": 4}
    assert found([*range(11), *[98] * 3, 99]) == {"98": 3, "99": 1}  # each gives another reason


@pytest.mark.parametrize(
    "values",
    [
        [*AGES, -999],  # once
        [*DEGREES, -1, -1, -9, -9, -99],  # other values are negative
        [-1, *[i / 10 for i in range(-9, 30)] * 3],
        [*range(100)] * 3,  # up to 99
        [*range(10)] * 30,  # up to 9
        [-1, 0, 1] * 50,
        [-1, 1] * 50,
        [1, 2, 99] * 9,
        [*range(9, 1000, 10), 999, 999],  # prices
        np.append(DRAW.integers(0, 95, 900), [99, 99, 99]),
        np.exp(DRAW.normal(4, 1, 900)).round(),
    ],
)
def test_no_sentinels(values: Sequence[float]) -> None:
    assert found(values) == {}


def warnings_of(
    caplog: pytest.LogCaptureFixture, columns: dict[str, Sequence[object]], **spec: object
) -> list[str]:
    logging.getLogger("mlplab").propagate = True
    table_of(pl.DataFrame(columns), **spec)
    return caplog.messages


def test_the_remedy_names_the_sentinels_of_all_columns(caplog: pytest.LogCaptureFixture) -> None:
    columns = {"a": [*range(20), -999, -999], "b": [*range(20), 999, 999], "y": [*range(0, 60, 3), -99, -99]}
    keys = """'data.na_values=["?","-999","999","-99"]'"""
    assert warnings_of(caplog, columns, na_values=("?",)) == [
        f"t: column 'a': -999 in 2 cells may stand for a missing value; if so: {keys} (in all columns)",
        f"t: column 'b': 999 in 2 cells may stand for a missing value; if so: {keys} (in all columns)",
        "t: column 'y': -99 in 2 cells may stand for a missing value; if so: "
        f"{keys} data.missing_target=drop (in all columns)",
    ]
    caplog.clear()
    na_values = ("?", "-999", "999", "-99")
    assert warnings_of(caplog, columns, na_values=na_values, drop_missing_targets=True) == []
