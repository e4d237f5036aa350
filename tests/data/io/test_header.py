import logging

import pytest

from mlplab.data.io.dialect import Dialect
from mlplab.data.io.header import column_names
from mlplab.errors import UserError

PLAIN = Dialect(",", '"', ".", True)


def test_columns_are_named_by_the_header_or_their_number(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert column_names(['a, "b"', "y"], PLAIN, "t") == ['a, "b"', "y"]
        assert column_names(["1", "2"], Dialect(",", '"', ".", False), "t") == ["column_1", "column_2"]
        assert not caplog.messages
        assert column_names(["a", " b ", "c\n d"], PLAIN, "t") == ["a", "b", "c d"]
    assert caplog.messages == ["t: removed spaces or line breaks from column names: b, c d"]


@pytest.mark.parametrize(
    ("fields", "messages"),
    [
        ([], ["is empty (expected a header line and rows of data)"]),
        (["", "a", " a", "b", "b", " ", "a"], ["3 columns 'a'", "2 columns 'b'", "no name for column 6"]),
    ],
    ids=["empty", "names"],
)
def test_faults_are_reported_together(fields: list[str], messages: list[str]) -> None:
    with pytest.raises(UserError) as refused:
        column_names(fields, PLAIN, "t")
    assert all(message in str(refused.value) for message in messages)
