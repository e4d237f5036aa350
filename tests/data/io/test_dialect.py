import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlplab.data.io.dialect import CsvOptions, Dialect, detect_dialect, read_beginning
from mlplab.data.io.header import column_names
from mlplab.errors import UserError

PLAIN = Dialect(",", '"', ".", True)
DETECT = CsvOptions()


def write(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_bytes(text.encode())
    return path


def detected(folder: Path, text: str, options: CsvOptions = DETECT) -> Dialect:
    return detect_dialect(read_beginning(write(folder, text), "t"), options, "t")[0]


def refusal(folder: Path, text: str, options: CsvOptions = DETECT) -> str:
    with pytest.raises(UserError) as refused:
        detected(folder, text, options)
    return str(refused.value)


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
        ('a,b\n\'x\',1\n"say ""no""",2\n', Dialect(",", '"', ".", True)),
        ("y\n1\n", PLAIN),
        ("", PLAIN),
        ("a b\n1 2\n", PLAIN),
    ],
)
def test_a_dialect_is_detected(tmp_path: Path, text: str, found: Dialect) -> None:
    assert detected(tmp_path, text) == found


def test_options_decide(tmp_path: Path) -> None:
    options = CsvOptions(delimiter=" ", quote="", decimal=",", header=False)
    assert detected(tmp_path, "a;b 1\nc;d 2\n", options) == Dialect(" ", None, ",", False)
    assert detected(tmp_path, "1,2\n3,4\n", CsvOptions(header=True)) == PLAIN
    assert detected(tmp_path, "a;b\n1,176;2\n", CsvOptions(decimal=".")).decimal == "."
    assert detected(tmp_path, "a;b\n1,176;2\n", CsvOptions(decimal=",")).decimal == ","
    assert detected(tmp_path, ",1,2\n0,1,2\n").header  # as pandas writes numbered columns


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
def test_the_dialect_of_the_csv_module_is_detected(
    tmp_path: Path, table: list[list[str]], delimiter: str, quoting: int, decimal: str, end: str
) -> None:
    path = tmp_path / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end)
        writer.writerows([[cell.replace(".", decimal) for cell in row] for row in table])
    dialect, first_row = detect_dialect(read_beginning(path, "t"), CsvOptions(), "t")
    assert first_row == [name.replace(".", decimal) for name in table[0]]
    assert dialect == Dialect(delimiter, '"', decimal, True)


@pytest.mark.parametrize("other", ["0,176", "1,17", "1234,567"])
def test_any_other_cell_settles_it(tmp_path: Path, other: str) -> None:
    assert detected(tmp_path, f"a;b\n1,176;2\n{other};3\n").decimal == ","


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a;b\n1,176;2\n-12,000;\n", DETECT, "a comma may mark decimals or thousands (found '1,176')"),
        ("1;-2,5;1e3\n1;2,5;3\n", DETECT, "has no header row (found '1;-2,5;1e3', expected column names)"),
        ("a;b;y\n1;2;3\n", CsvOptions(","), "the columns seem to be separated by ';' (found 'a;b;y')"),
        ("1;2\n3;4\n", CsvOptions("|"), "the columns seem to be separated by ';'"),
        ("sep=;\na;b\n1;2\n", DETECT, "the first line does not name the columns (found 'sep=;'"),
        ("a,b\r1,2\r", DETECT, "lines end in carriage returns only (old Mac format)"),
    ],
)
def test_what_is_ambiguous_or_contradicts_the_options_is_refused(
    tmp_path: Path, text: str, options: CsvOptions, message: str
) -> None:
    assert f"error: t: {message}" in refusal(tmp_path, text, options)


def test_all_faults_are_reported_together(tmp_path: Path) -> None:
    assert len(refusal(tmp_path, "1;2\n1,176;2\n").splitlines()) == 4


def test_bytes_that_are_not_text_are_reported(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("größe,y\n1,2\n".encode("cp1252"))
    with pytest.raises(UserError, match="t, line 1: byte 0xf6 is not UTF-8 text"):
        read_beginning(tmp_path / "t.csv", "t")


def test_a_long_header_is_read_whole(tmp_path: Path) -> None:
    many = [f"column number {number}" for number in range(20_000)]
    text = ";".join(many) + "\n" + ";".join(["1,5"] * 20_000) + "\n"
    beginning = read_beginning(write(tmp_path, text), "t")
    assert detect_dialect(beginning, DETECT, "t") == (Dialect(";", '"', ",", True), many)


def test_only_the_beginning_is_read(tmp_path: Path) -> None:
    assert detected(tmp_path, "a;b\n" + "x;1\n" * 50_000 + "1,5;2\n" * 10).decimal == "."


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_first_column_without_a_name_is_the_row_index(tmp_path: Path, delimiter: str, quote: str) -> None:
    header, lines = ["a", "y"], [[f"{quote}r{i}{quote}", f"{i}.5", "2"] for i in range(3)]
    options = CsvOptions(delimiter=delimiter if delimiter == " " else None)
    for above, short in ((['""', *header], False), (header, True)):  # as write.csv and write.table have it
        text = "".join(delimiter.join(line) + "\n" for line in (above, *lines))
        dialect, first_row = detect_dialect(read_beginning(write(tmp_path, text), "t"), options, "t")
        assert dialect == Dialect(delimiter, '"', ".", True, short_header=short)
        assert column_names(first_row, dialect, "t") == ["", "a", "y"]


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
def test_other_longer_lines_have_no_row_names(tmp_path: Path, lines: list[str]) -> None:
    assert not detected(tmp_path, "\n".join(["a,y", *lines])).short_header
