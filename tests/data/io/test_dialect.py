import csv
import logging
import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlplab.data.io.dialect import CsvOptions, Dialect, header_names, look
from mlplab.errors import UserError

PLAIN = Dialect(",", '"', ".", True)
LOOK = CsvOptions()


def write(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_bytes(text.encode())
    return path


def looked(folder: Path, text: str, given: CsvOptions = LOOK) -> Dialect:
    return look(write(folder, text), given, "t")


def refusal(folder: Path, text: str, given: CsvOptions = LOOK) -> str:
    with pytest.raises(UserError) as told:
        looked(folder, text, given)
    return str(told.value)


def names(folder: Path, text: str, dialect: Dialect = PLAIN) -> list[str]:
    return header_names(write(folder, text), dialect, "t")


def refused_names(folder: Path, text: str) -> str:
    with pytest.raises(UserError) as told:
        names(folder, text)
    return str(told.value)


def typed(remedy: str) -> object:
    """What Hydra takes an override for that was typed in a shell as a remedy says."""
    (word,) = shlex.split(remedy)
    (override,) = OverridesParser.create().parse_overrides([word])
    return override.value()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a,b\n1,2\n", PLAIN),
        ("\ufeffa;b\r\n1;2\r\n", Dialect(";", '"', ".", True)),
        ("a\tb|c\n1\t2\n", Dialect("\t", '"', ".", True)),
        ("a|b\n1|2", Dialect("|", '"', ".", True)),
        ("\n\na;b\n1,5;2\n\n", Dialect(";", '"', ",", True)),
        ("a;b\n-1,176;2\n0,5;2\n", Dialect(";", '"', ",", True)),
        ("a;b\n1,5;2.5\n", Dialect(";", '"', ".", True)),
        ('a,b\n"1,5",2\n', Dialect(",", '"', ",", True)),
        ("a,b\n'x, y',2\n", Dialect(",", "'", ".", True)),
        ("a,b\nit's,that's\n", PLAIN),
        ("a,b\n'x',\"y\"\n", PLAIN),
        ("a;b;c\n1;2;3\n1;2\n", Dialect(";", '"', ".", True)),  # a line that is too short
        ('a;b\n"1;2\n', Dialect(";", '"', ".", True)),  # a quote that is not closed
        ("a,b\n'x',1\n", Dialect(",", "'", ".", True)),
        ('a,b\n\'x\',1\n"say ""no""",2\n', Dialect(",", '"', ".", True)),
        ("y\n1\n", PLAIN),
        ("", PLAIN),
        ("a b\n1 2\n", PLAIN),
    ],
)
def test_how_a_file_is_written_is_found(tmp_path: Path, text: str, found: Dialect) -> None:
    assert looked(tmp_path, text) == found


def test_what_is_given_decides(tmp_path: Path) -> None:
    given = CsvOptions(delimiter=" ", quote="", decimal=",", header=False)
    assert looked(tmp_path, "a;b 1\nc;d 2\n", given) == Dialect(" ", None, ",", False)
    assert looked(tmp_path, "1,2\n3,4\n", CsvOptions(header=True)) == PLAIN
    assert looked(tmp_path, "a;b\n1,176;2\n", CsvOptions(decimal=".")).decimal == "."
    assert looked(tmp_path, "a;b\n1,176;2\n", CsvOptions(decimal=",")).decimal == ","


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    width = draw(st.integers(2, 5))
    word = st.text("abcdefgh", min_size=1, max_size=6)
    number = st.floats(-1e6, 1e6).map(lambda value: f"{value:.2f}")
    cell = st.one_of(st.text("abcxyz '", min_size=1).filter(lambda text: text[0] != "'"), number)
    header = draw(st.lists(word, min_size=width, max_size=width))
    rows = draw(st.lists(st.lists(cell, min_size=width, max_size=width), min_size=2, max_size=6))
    return [header, *rows, ["1.5"] * width]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=tables(),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    decimal=st.sampled_from(".,"),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_the_csv_module_writes_is_found_again(
    tmp_path: Path, table: list[list[str]], delimiter: str, quoting: int, decimal: str, end: str
) -> None:
    path = tmp_path / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end)
        writer.writerows([[cell.replace(".", decimal) for cell in row] for row in table])
    dialect = look(path, CsvOptions(), "t")
    assert dialect == Dialect(delimiter, '"', decimal, True)


def test_a_comma_before_three_digits_is_ambiguous(tmp_path: Path) -> None:
    told = refusal(tmp_path, "a;b\n1,176;2\n-12,000;\n")
    assert told.startswith("error: t: a comma may mark decimals or thousands (found '1,176')")
    decimals, thousands = told.splitlines()[1].split("; ")
    assert typed(decimals.removeprefix("  for decimals: ")) == ","
    assert typed(thousands.removeprefix("for thousands: ")) == "."


@pytest.mark.parametrize("other", ["0,176", "1,17", "1234,567"])
def test_any_other_cell_settles_it(tmp_path: Path, other: str) -> None:
    assert looked(tmp_path, f"a;b\n1,176;2\n{other};3\n").decimal == ","


def test_commas_do_not_separate_and_mark_decimals(tmp_path: Path) -> None:
    told = refusal(tmp_path, "a,b\n1,5\n", CsvOptions(decimal=","))
    assert told.startswith("error: t: commas cannot both separate columns and mark decimals")
    assert looked(tmp_path, 'a,b\n"1,5",5\n', CsvOptions(decimal=",")).delimiter == ","


def test_a_file_without_names_is_told(tmp_path: Path) -> None:
    told = refusal(tmp_path, "1;-2,5;1e3\n1;2,5;3\n")
    assert "error: t: has no header row (found '1;-2,5;1e3', expected names of columns)" in told
    assert "data.header=false calls the columns column_1, column_2" in told
    assert "data.header=true" in told
    assert looked(tmp_path, ",1,2\n0,1,2\n").header  # as pandas writes numbered columns


def test_a_wrong_delimiter_is_told(tmp_path: Path) -> None:
    told = refusal(tmp_path, "a;b;y\n1;2;3\n", CsvOptions(delimiter=","))
    assert "t: the columns seem to be separated by semicolons" in told
    assert "found one column 'a;b;y', expected columns separated by commas" in told
    remedy, _, rest = told.splitlines()[1].strip().partition(", ")
    assert typed(remedy) == ";"
    assert rest == "or leave data.delimiter out"
    assert refusal(tmp_path, "a\tb\n", CsvOptions(delimiter=";")).endswith("\n  leave data.delimiter out")


def test_all_faults_are_told_together(tmp_path: Path) -> None:
    told = refusal(tmp_path, "1;2\n3;4\n", CsvOptions(delimiter="|", header=None, decimal="."))
    assert "separated by semicolons" in told
    assert len(refusal(tmp_path, "1;2\n1,176;2\n").splitlines()) == 4


def test_an_old_macintosh_is_told(tmp_path: Path) -> None:
    assert "its lines end with carriage returns alone" in refusal(tmp_path, "a,b\r1,2\r")


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("größe,y\n1,2\n".encode("cp1252"))
    with pytest.raises(UserError, match="t, line 1: byte 0xf6 is not UTF-8 text"):
        look(tmp_path / "t.csv", CsvOptions(), "t")


def test_a_long_header_is_read_whole(tmp_path: Path) -> None:
    many = [f"column number {number}" for number in range(20_000)]
    text = ";".join(many) + "\n" + ";".join(["1,5"] * 20_000) + "\n"
    dialect = looked(tmp_path, text)
    assert dialect == Dialect(";", '"', ",", True)
    assert names(tmp_path, text, dialect) == many


def test_only_the_beginning_is_read(tmp_path: Path) -> None:
    assert looked(tmp_path, "a;b\n" + "x;1\n" * 50_000 + "1,5;2\n" * 10).decimal == "."


def test_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert names(tmp_path, '\ufeff\n"a, ""b""",y\n1,2\n') == ['a, "b"', "y"]
        assert names(tmp_path, "1,2,3\n", Dialect(",", '"', ".", False)) == [
            "column_1",
            "column_2",
            "column_3",
        ]
        assert not caplog.messages
        assert names(tmp_path, 'a, b ,"c\n d"\n1,2,3\n') == ["a", "b", "c d"]
    told = "t: spaces around names of columns, and line breaks in them, are left out: b, c d"
    assert caplog.messages == [told]


@pytest.mark.parametrize("text", ["", "\ufeff", "\n\r\n"])
def test_an_empty_file_is_told(tmp_path: Path, text: str) -> None:
    assert refused_names(tmp_path, text) == "error: t: is empty (expected a header line and rows of data)"


def test_faults_of_names_are_told_together(tmp_path: Path) -> None:
    told = refused_names(tmp_path, ",a, a,b,b, ,a\n")
    assert "t: has 3 columns 'a'" in told
    assert "t: has 2 columns 'b'" in told
    assert "t: has no name for column 6" in told


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_first_column_without_a_name_is_the_row_index(tmp_path: Path, delimiter: str, quote: str) -> None:
    header, lines = ["a", "y"], [[f"{quote}r{i}{quote}", f"{i}.5", "2"] for i in range(3)]
    given = CsvOptions(delimiter=delimiter if delimiter == " " else None)
    for above, short in ((['""', *header], False), (header, True)):  # as write.csv and write.table have it
        text = "".join(delimiter.join(line) + "\n" for line in (above, *lines))
        dialect = looked(tmp_path, text, given)
        assert dialect == Dialect(delimiter, '"', ".", True, short_header=short)
        assert names(tmp_path, text, dialect) == ["", "a", "y"]


@pytest.mark.parametrize(
    "lines",
    [
        ["r1,1,2", "r1,3,4"],  # row names are unique
        ["1,2,", "3,4,"],  # a delimiter at the end of each line
        ["r1,1,2", ",3,4"],
        ["r1,1,2", "r2,3"],
        ["r1,1,2"],
    ],
)
def test_further_fields_that_are_no_row_names_are_none(tmp_path: Path, lines: list[str]) -> None:
    assert not looked(tmp_path, "\n".join(["a,y", *lines])).short_header
