"""Which whole numbers are offered as classes, and which look like identifiers."""

import numpy as np
import polars as pl
import pytest
from support import table_of

from mlplab.data.infer.whole_targets import are_codes, stands_for_names

OFFER = "whole values are predicted as numbers; if they are classes: task=multiclass"
IDENTIFIER = "a different whole number in each row, like a row number or an identifier"


def note(name: str, values: np.ndarray, caplog: pytest.LogCaptureFixture, **spec: str) -> str:
    """What is said about a target."""
    rng = np.random.default_rng(0)
    table_of(pl.DataFrame({"x": rng.normal(size=len(values)), name: values}), [name], **spec)
    return caplog.text


@pytest.mark.parametrize(
    "name",
    [
        "region",
        "StoreID",
        "statecode",
        "plot_no",
        "Injury.Type",
        "treatment",
        "occ_code",
        "AgeGroup",
        "Subj 2",
    ],
)
def test_a_name_says_that_numbers_stand_for_names(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert stands_for_names(name)
    regions = np.arange(100) % 4 + 1
    assert f"its 4 {OFFER}" in note(name, regions, caplog)
    caplog.clear()
    assert note(name, regions, caplog, task="regression") == ""


@pytest.mark.parametrize(
    "name",
    ["children", "year", "NumRooms", "group_size", "regions", "grade", "state_income", "number", "id7x", ""],
)
def test_other_names_say_that_they_are_numbers(name: str) -> None:
    assert not stands_for_names(name)


@pytest.mark.parametrize(
    ("counts", "codes"),
    [
        ([423, 215, 562], True),  # laws on seat belts: none, primary, secondary
        ([720, 12, 769], True),  # 2 is missing
        ([1384, 1202, 291, 48, 4], False),  # changes of trains
        ([37, 257, 607, 542, 85], False),  # a rating
        ([100, 90, 100], False),  # chance
        ([400, 100] * 5, False),  # even years
    ],
)
def test_numbers_with_two_peaks_are_codes_if_they_are_few(counts: list[int], codes: bool) -> None:
    values = np.arange(len(counts), dtype=float)
    assert are_codes(values, np.array(counts)) == are_codes(values + 1, np.array(counts)) == codes
    assert not are_codes(values + 2, np.array(counts))


@pytest.mark.parametrize(
    ("name", "values", "warned"),
    [
        ("customer_id", np.random.default_rng(0).permutation(300) + 7, True),
        ("y", np.arange(300), True),
        ("population", np.random.default_rng(0).permutation(300) * 37, False),
        ("V1", np.random.default_rng(0).permutation(300), False),
        ("id", np.arange(300) // 30, False),
        ("id", np.arange(300) / 7, False),
    ],
)
def test_a_target_that_looks_like_an_identifier_is_a_warning(
    name: str, values: np.ndarray, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    assert (IDENTIFIER in note(name, values, caplog)) == warned
