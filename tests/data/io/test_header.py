import logging
from pathlib import Path

import pytest

from mlplab.data.io.dialect import Dialect, parse_rows, read_beginning
from mlplab.data.io.header import column_names
from mlplab.errors import UserError

PLAIN = Dialect(",", '"', ".", True)


def names(folder: Path, text: str, dialect: Dialect = PLAIN) -> list[str]:
    path = folder / "t.csv"
    path.write_bytes(text.encode())
    return column_names(next(parse_rows(read_beginning(path, "t"), ",", '"'), []), dialect, "t")


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(UserError) as refused:
        names(folder, text)
    return str(refused.value)


def test_columns_are_named_by_the_header_or_their_number(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert names(tmp_path, '\ufeff\n"a, ""b""",y\n1,2\n') == ['a, "b"', "y"]
        assert names(tmp_path, "1,2,3\n", Dialect(",", '"', ".", False)) == [
            "column_1",
            "column_2",
            "column_3",
        ]
        assert not caplog.messages
        assert names(tmp_path, 'a, b ,"c\n d"\n1,2,3\n') == ["a", "b", "c d"]
    assert caplog.messages == ["t: removed spaces or line breaks from column names: b, c d"]


@pytest.mark.parametrize("text", ["", "\ufeff", "\n\r\n"])
def test_an_empty_file_is_refused(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, text) == "error: t: is empty (expected a header line and rows of data)"


def test_faults_of_names_are_reported_together(tmp_path: Path) -> None:
    message = refusal(tmp_path, ",a, a,b,b, ,a\n")
    assert "t: has 3 columns 'a'" in message
    assert "t: has 2 columns 'b'" in message
    assert "t: has no name for column 6" in message
