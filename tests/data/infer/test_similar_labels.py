"""Categories that differ only by spaces or case."""

import logging

import polars as pl
import pytest
from support import table_of

from mlplab.data.infer.similar_labels import similar_labels_note


def test_similar_labels_are_named(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("mlplab").propagate = True
    labels = ["Male", "male ", "female", "New  York", "new york"]
    table_of(pl.DataFrame({"a": labels * 4, "y": range(0, 60, 3)}))
    note = "categories that differ only by spaces or case: 'Male', 'male'; 'New  York', 'new york'"
    assert caplog.messages == [f"t: column 'a': {note}"]


def test_many_similar_labels_are_counted() -> None:
    labels = pl.Series([text for each in "abcde" for text in (each, each.upper(), f"{each}x")])
    assert similar_labels_note(labels).endswith("'A', 'a'; 'B', 'b'; 'C', 'c'; and 2 more such groups")
    assert similar_labels_note(pl.Series(["a", "b", "ab", "a b"])) == ""
