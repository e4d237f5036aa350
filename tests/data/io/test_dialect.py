from dataclasses import replace
from pathlib import Path

import pytest
from commands.mistakes import message_of

from mlplab.config import DETECT, CsvFormat
from mlplab.data.io.dialect import Dialect, column_names, detect_dialect, parse_rows, read_beginning

PLAIN = Dialect(",", '"', ".", True)
SEMICOLON, DECIMAL_COMMA = replace(PLAIN, delimiter=";"), Dialect(";", '"', ",", True)


def csv_format(**given: object) -> CsvFormat:
    return DETECT.model_copy(update=given)


def detected(text: str, options: CsvFormat = DETECT) -> Dialect:
    return detect_dialect(text, options, "t")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a,b\n1,2\n", PLAIN),
        ("a;b\r\n1;2\r\n", SEMICOLON),
        ("a\tb|c\n1\t2\n", replace(PLAIN, delimiter="\t")),
        ("\n\na;b\n1,5;2\n\n", DECIMAL_COMMA),
        ("a;b\n-1,176;2\n0,5;2\n", DECIMAL_COMMA),  # another cell settles it
        ("a;b\n1,176;2\n-12,000;\n", SEMICOLON),  # the column decides
        ("a;b\n1,5;2.5\n", SEMICOLON),
        ('a,b\n"1,5",2\n', replace(PLAIN, decimal=",")),
        ('"a b"|"c"\r\n"it\'s"|"-1,50"\r\n"x\' "|"2,75"\r\n', Dialect("|", '"', ",", True)),
        ("a;b;c\n1;2;3\n1;2\n", SEMICOLON),  # a line that is too short
        ('a;b\n"1;2\n', SEMICOLON),  # a quote that is not closed
        ("y\n1\n", PLAIN),
        (",1,2\n0,1,2\n", PLAIN),  # as pandas writes numbered columns
    ],
)
def test_a_dialect_is_detected(text: str, found: Dialect) -> None:
    assert detected(text) == found


def test_options_decide() -> None:
    options = csv_format(delimiter=" ", quote="", decimal=",", header=False)
    assert detected("a;b 1\nc;d 2\n", options) == Dialect(" ", None, ",", False)
    assert detected("1,2\n3,4\n", csv_format(header=True)) == PLAIN
    for mark in (".", ","):
        assert detected("a;b\n1,176;2\n", csv_format(decimal=mark)).decimal == mark


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("1;-2,5;1e3\n1;2,5;3\n", DETECT, "has no header row (found '1;-2,5;1e3', expected column names)"),
        ("1;2\n3;4\n", csv_format(delimiter="|"), "the columns seem to be separated by ';'"),
        ("sep=;\na;b\n1;2\n", DETECT, "the first line does not name the columns (found 'sep=;'"),
    ],
)
def test_no_header_or_another_delimiter_is_refused(text: str, options: CsvFormat, message: str) -> None:
    assert f"t: {message}" in message_of(lambda: detected(text, options))


def test_the_beginning_is_a_long_header_and_a_few_lines_of_utf_8(tmp_path: Path) -> None:
    header = ";".join(f"column number {number}" for number in range(20_000)) + "\n"
    (tmp_path / "t.csv").write_text(f"\ufeff{header}" + "x;1\n" * 50_000 + "1,5;2\n")
    beginning = read_beginning(tmp_path / "t.csv")
    assert beginning.startswith(header)
    assert "1,5" not in beginning


@pytest.mark.parametrize("delimiter", [",", "\t", " "])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_first_column_without_a_name_is_the_row_index(delimiter: str, quote: str) -> None:
    header, lines = ["a", "y"], [[f"{quote}r{i}{quote}", f"{i}.5", "2"] for i in range(3)]
    for above, short in ((['""', *header], False), (header, True)):  # as write.csv and write.table have it
        text = "".join(delimiter.join(line) + "\n" for line in (above, *lines))
        dialect = detected(text, csv_format(delimiter=delimiter if delimiter == " " else None))
        assert dialect == Dialect(delimiter, '"', ".", True, short_header=short)
        assert column_names(next(parse_rows(text, delimiter, '"')), dialect, "t") == ["", "a", "y"]


@pytest.mark.parametrize("lines", ["r1,1,2\nr1,3,4", "1,2,\n3,4,", "r1,1,2\n,3,4", "r1,1,2\nr2,3", "r1,1,2"])
def test_other_longer_lines_have_no_row_names(lines: str) -> None:
    assert not detected(f"a,y\n{lines}").short_header


def test_columns_are_named_by_the_header_or_their_number(caplog: pytest.LogCaptureFixture) -> None:
    assert column_names(["1", "2"], replace(PLAIN, header=False), "t") == ["column_1", "column_2"]
    assert not caplog.messages
    assert column_names(["a", " b ", "c\n d"], PLAIN, "t") == ["a", "b", "c d"]
    assert caplog.messages == ["t: removed spaces or line breaks from column names: b, c d"]


def test_all_names_that_are_missing_or_not_unique_are_reported() -> None:
    message = message_of(lambda: column_names(["", "a", " a", "b", "b", " ", "a"], PLAIN, "t"))
    for fault in ("3 columns 'a'", "2 columns 'b'", "no name for column 6"):
        assert fault in message
