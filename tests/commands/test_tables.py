"""Tables with mistakes, which are refused, and tables with oddities, which are trained on."""

import datetime as dt
import gzip
import io
import logging
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from commands.mistakes import Files, Mistake, assert_refused, contents, each, message_of, prepare, write_files
from support import ROOT, Ended, assert_short_answer, process, values

from mlplab.cli.overrides import check_overrides, readable
from mlplab.commands.describe import Description, describe
from mlplab.config import parse
from mlplab.data.cache import DataCache
from mlplab.errors import UserError

TRAIN = ("data=csv", "data.path=t.csv", "data.target=y", "model=linear", "trainer.max_epochs=1")


def table(cells: Callable[[int], str], header: str = "a,b,y", rows: int = 40, end: str = "\n") -> str:
    """A CSV file with a row for each number."""
    return end.join([header, *(cells(i) for i in range(rows))]) + end


def column(cell: Callable[[int], object], name: str = "b") -> str:
    """A good table but for its second column."""
    return table(lambda i: f"{i % 13},{cell(i)},{i / 2}", f"a,{name},y")


def target(cell: Callable[[int], object], rows: int = 40) -> str:
    """A good table but for its target."""
    return table(lambda i: f"{i / 3},{i * i % 7},{cell(i)}", rows=rows)


GOOD = column(lambda i: i * i % 7)
WORDS = target(lambda i: ("no", "yes")[i % 3 % 2])
SEMICOLONS = GOOD.replace(",", ";")
COMMAS = SEMICOLONS.replace(".", ",")
LATE = column(lambda i: 2) + "1,2,3\n" * 5000
BOMB = gzip.compress(b"a,b,y\n" + b"1,2,3\n" * (2**28 // 6 + 10))
INDEX = "the first column, which has no name: the row index; to use it, give it a name in the header"
FRAME = pl.DataFrame({"a": [i % 13 for i in range(40)], "y": [i / 2 for i in range(40)]})
DATES = [dt.date(2024, 1, 1) + dt.timedelta(i) for i in range(40)]


def beginning(frame: pl.DataFrame, length: int) -> bytes:
    """Of a Parquet file."""
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()[:length]


def typed_column(values: pl.Series) -> Files:
    """A Parquet file with this as its second column."""
    return {"t.parquet": FRAME.with_columns(b=values)}


PARQUET = ("data.path=t.parquet",)
REFUSED: list[Mistake] = [
    Mistake("1 file missing", {"tt.csv": GOOD}, (), ("t.csv: no such file", "did you mean tt.csv?")),
    Mistake("2 a directory", {"t.csv/x": ""}, (), ("t.csv: is a folder without CSV or Parquet files",)),
    Mistake("3 empty file", {"t.csv": ""}, (), ("t.csv: is empty", "a header line and rows of data")),
    Mistake("4 header only", {"t.csv": "a,b,y\n"}, (), ("t.csv: has a header but no rows", "give it rows")),
    Mistake(
        "5 no header row",
        {"t.csv": GOOD.partition("\n")[2]},
        (),
        ("t.csv: has no header row", "'0,0,0.0'", "column names", "data.header=false"),
    ),
    Mistake(
        "6 another delimiter",
        {"t.csv": SEMICOLONS},
        ('data.delimiter=","',),
        ("t.csv: the columns seem to be separated by ';'", "'a;b;y'", "remove data.delimiter"),
    ),
    Mistake(
        "7 not decimal points", {"t.csv": COMMAS}, ("data.decimal=.",), ("'0,0'", "'data.decimal=\",\"'")
    ),
    Mistake(
        "8 long row",
        {"t.csv": GOOD + "1,2,3,4\n"},
        (),
        (
            "t.csv, line 42: the line has 4 fields, but the header has 3",
            "quote text that contains the delimiter",
        ),
    ),
    Mistake(
        "10 duplicate names",
        {"t.csv": GOOD.replace("a,b,y", "a,a ,y")},
        (),
        ("t.csv: has 2 columns 'a'", "a unique name"),
    ),
    Mistake(
        "11 blank name",
        {"t.csv": GOOD.replace("a,b,y", "a,,y")},
        (),
        ("t.csv: has no name for column 2", "give it a name in the header"),
    ),
    Mistake(
        "11 a separator at every end",
        {"t.csv": table(lambda i: f"{i};{i % 7};{i};", "a;b;y;", end="\r\n")},
        (),
        ("t.csv: has no name for column 4", "remove the delimiter at the end of each line"),
    ),
    Mistake(
        "13 a quote left open", {"t.csv": 'a,y\n1,2\n"3,4\n'}, (), ("t.csv, line 3: a quote is not closed",)
    ),
    Mistake(
        "14 bad UTF-8",
        {"t.csv": GOOD.encode() + b"1,\xff,3\n"},
        (),
        ("t.csv, line 42: byte 0xff is not UTF-8 text", "data.encoding=cp1252"),
    ),
    Mistake(
        "15 UTF-16 it is",
        {"t.csv": GOOD.encode("utf-16")},
        ("data.encoding=utf-8",),
        ("data.encoding=utf-16",),
    ),
    Mistake(
        "17 NUL byte", {"t.csv": GOOD + "1,\0,3\n"}, (), ("t.csv, line 42: has a NUL byte", "save the table")
    ),
    Mistake("17 late in the file", {"t.csv": column(lambda i: 7) * 200 + "1,\0,3\n"}, (), ("t.csv, line",)),
    Mistake(
        "18 text in a column of numbers",
        {"t.csv": GOOD + "1,?,3\n"},
        (),
        (
            "t.csv, column 'b', line 42, data row 41: is not a number",
            "found '?', expected a number",
            """'data.na_values=["?"]'""",
            "data.columns.b=categorical (or drop)",
        ),
    ),
    Mistake(
        "18 late in the file",
        {"t.csv": LATE + '4,"1,176.2",5\n'},
        (),
        ("t.csv, column 'b', line 5042, data row 5041", "'1,176.2'", """'data.na_values=["1,176.2"]'"""),
    ),
    Mistake(
        "18 several columns",
        {"t.csv": GOOD + "-,x,3\n"},
        (),
        (
            "column 'a', line 42",
            'if it stands for a missing value: \'data.na_values=["-","x"]\' (in all columns)',
            "column 'b', line 42",
            "if its values are categories: data.columns.b=categorical",
        ),
    ),
    Mistake(
        "19 infinite", {"t.csv": GOOD + "1,-inf,3\n"}, (), ("column 'b', line 42", "not a finite number")
    ),
    Mistake(
        "21 integers beyond 64 bits",
        {"t.csv": GOOD + "1,9223372036854775808,3\n"},
        (),
        (
            "column 'b', line 42, data row 41: is an integer of more than 64 bits",
            "'9223372036854775808'",
            "data.columns.b=identifier",
            "1.2e23",
        ),
    ),
    Mistake(
        "22 gzip under .csv",
        {"t.csv": gzip.compress(GOOD.encode())},
        (),
        ("t.csv: is a gzip archive", "rename it to end in .gz"),
    ),
    Mistake(
        "23 a bomb",
        {"t.csv.gz": BOMB},
        ("data.path=t.csv.gz",),
        ("t.csv.gz: expands from", "to more than 256 MiB", "decompress it yourself"),
    ),
    Mistake(
        "24 truncated Parquet", {"t.parquet": beginning(FRAME, 300)}, PARQUET, ("as Parquet", "copy it again")
    ),
    Mistake(
        "25 target column missing",
        {"t.csv": GOOD.replace("y", "price")},
        ("data.target=pryce",),
        ("t.csv: has no column 'pryce'; its columns are price, a, b", "did you mean data.target=price?"),
    ),
    Mistake(
        "26 target not numeric",
        {"t.csv": table(lambda i: f"{i},2,{'low' if i % 2 else 'high'}")},
        ("task=regression",),
        (
            "target column 'y', line 2, data row 1: is not a number; 40 such cells",
            "'high'",
            "if its values are classes: task=multiclass",
        ),
    ),
    Mistake(
        "keys of numbers with classes",
        {"t.csv": WORDS},
        ("loss=mae", "monitor=val/mae", "data.class_weights={yess: 2}"),
        (
            "loss=mae: is a loss of numbers, but column 'y' has classes: 'no', 'yes'",
            "use loss=cross_entropy",
            "monitor=val/mae: is not a metric of classes",
            "data.class_weights.yess: is not a class of column 'y' (expected one of 'no', 'yes')",
        ),
    ),
    Mistake(
        "keys of classes with numbers",
        {"t.csv": GOOD},
        ("loss=cross_entropy", "data.class_weights=balanced", "data.positive=1"),
        (
            "loss=cross_entropy: is for classes, but 'y' is predicted as a number",
            "data.class_weights: is for classes",
            "data.positive: is for classes",
            "task=multiclass",
        ),
    ),
    Mistake(
        "27 missing target values",
        {"t.csv": GOOD + "1,2,\n1,2,NA\n"},
        (),
        ("target column 'y', line 42, data row 41", "2 such rows", "data.missing_target=drop"),
    ),
    Mistake(
        "28 constant target",
        {"t.csv": table(lambda i: f"{i},{i % 3},7")},
        (),
        ("column 'y': all values are 7",),
    ),
    Mistake(
        "32 no usable columns",
        {"t.csv": table(lambda i: f"id{i},,{i}")},
        (),
        ("t.csv: has no column that can be an input", "'a': an identifier", "'b': all values are missing"),
    ),
    Mistake(
        "32 only targets", {"t.csv": GOOD}, ("data.target=[a,b,y]",), ("has no column that can be an input",)
    ),
    Mistake(
        "32 all left out",
        {"t.csv": GOOD},
        ("data.columns.a=drop", "data.columns.b=drop"),
        ("has no column that can be an input", "'a': as declared in data.columns"),
    ),
    Mistake(
        "33 fewer rows than the split needs",
        {"t.csv": "a,b,y\n1,2,3\n4,5,6\n"},
        (),
        ("data.split: the val, test sets are empty", "2 rows: train 2, val 0, test 0", "data.split.val"),
    ),
    Mistake("33 one row", {"t.csv": "a,b,y\n1,2,3\n"}, (), ("all values are 3", "more rows")),
    Mistake(
        "34 an empty part",
        {"t.csv": GOOD, "s": "train\n" * 30 + "val\n" * 10},
        ("data/split=file", "data.split.path=s"),
        ("s: the test set is empty", "40 rows: train 30, val 10, test 0"),
    ),
    Mistake(
        "35 one class only",
        {"t.csv": column(lambda i: "x")},
        ("data.split.stratify=b", "data.columns.b=drop"),
        ("data.split.stratify: has only one class (found 'x'", "data.split.stratify=null"),
    ),
    Mistake(
        "36 a class with one row",
        {"t.csv": column(lambda i: "u" if i == 7 else "vw"[i % 2])},
        ("data.split.stratify=b",),
        ("data.split.stratify: class 'u' has 1 rows (expected 3 or more)",),
    ),
    Mistake(
        "37 a split file of another length",
        {"t.csv": GOOD, "s": "train\n" * 30},
        ("data/split=file", "data.split.path=s"),
        ("s: has 30 words, but the table has 40 rows", "for each row of the table"),
    ),
    Mistake(
        "37 an unknown word",
        {"t.csv": GOOD, "s": "train\n" * 39 + "tset"},
        ("data/split=file", "data.split.path=s"),
        ("s, word 40: unknown word (found 'tset', expected train or val or test)",),
    ),
    Mistake(
        "38 group column missing",
        {"t.csv": GOOD.replace("b", "patient", 1)},
        ("data/split=group", "data.split.group=pateint"),
        ("t.csv: has no column 'pateint'", "did you mean data.split.group=patient?"),
    ),
    Mistake(
        "38 time column missing",
        {"t.csv": GOOD},
        ("data/split=time", "data.split.time=day"),
        ("t.csv: has no column 'day'; its columns are a, b, y", "data.split.time="),
    ),
    Mistake(
        "a title",
        {"t.csv": "Export of 2024\n\n" + SEMICOLONS},
        (),
        (
            "t.csv: the first line does not name the columns (found 'Export of 2024'",
            "delete the lines above",
        ),
    ),
    Mistake(
        "a delimiter at the end of each line",
        {"t.csv": table(lambda i: f"{i},1,{i},")},
        (),
        ("line 2: the line has 4 fields, but the header has 3",),
    ),
    Mistake(
        "spreadsheet", {"t.csv": b"PK\x03\x04" + bytes(99)}, (), ("t.csv: is a ZIP archive", "save it as CSV")
    ),
    Mistake("Parquet under .csv", {"t.csv": FRAME}, (), ("t.csv: is a Parquet file", "end in .parquet")),
    Mistake("CSV under .parquet", {"t.parquet": GOOD}, PARQUET, ("t.parquet: cannot be read", "end in .csv")),
    Mistake(
        "thousands",
        {"t.csv": column(lambda i: f"1 {100 + i}")},
        (),
        ("column 'b', line 2", "'1 100'", "separators"),
    ),
    Mistake("minus of print", {"t.csv": column(lambda i: f"−{i}")}, (), ("column 'b', line 2", "'−0'")),
    Mistake(
        "days or months",
        {"t.csv": column(lambda i: f"0{i % 9 + 1}/0{i * 2 % 9 + 1}/2024")},
        (),
        (
            "column 'b': day and month cannot be distinguished",
            "data.columns.b=%d/%m/%Y",
            "data.columns.b=%m/%d/%Y",
        ),
    ),
    Mistake(
        "mixed dates",
        {"t.csv": column(lambda i: f"2024-01-{i % 28 + 1:02}" if i % 3 else "31.1.2024")},
        (),
        ("column 'b', line 2", "is not a date like the others; 14 such cells", "%Y-%m-%d"),
    ),
    Mistake(
        "dates of another format",
        {"t.csv": column(lambda i: f"2024-02-{i % 28 + 1:02}")},
        ("data.columns.b=%d.%m.%Y",),
        ("column 'b', line 2", "expected one written as %d.%m.%Y"),
    ),
    Mistake(
        "yes and no",
        {"t.csv": column(lambda i: "yes")},
        ("data.columns.b=boolean",),
        ("neither true nor false",),
    ),
    Mistake(
        "no such kind",
        {"t.csv": GOOD},
        ("data.columns.b=number",),
        ("'number' is not a kind", "did you mean numeric?"),
    ),
    Mistake(
        "target left out",
        {"t.csv": GOOD},
        ("data.columns.y=drop",),
        ("data.columns.y=drop: contradicts data.target=y",),
    ),
    Mistake(
        "weight negative", {"t.csv": GOOD + "1,-1,3\n"}, ("data.weight=b",), ("weight column 'b', line 42",)
    ),
    Mistake(
        "weight of words",
        {"t.csv": GOOD + "1,x,3\n"},
        ("data.weight=b",),
        ("weight column 'b', line 42", "'x'"),
    ),
    Mistake("weights of nothing", {"t.csv": column(lambda i: 0)}, ("data.weight=b",), ("all weights are 0",)),
    Mistake(
        "a pattern for a name",
        {"t.csv": GOOD.replace("a,b", "^x.*$,*", 1) + "1,?,3\n"},
        (),
        ("column '*', line 42",),
    ),
    Mistake(
        "odd names",
        {"t.csv": GOOD.replace("a,b", "it's 🙂,x=y.z", 1) + "u,v,3\n"},
        (),
        ("column 'it's 🙂', line 42", "column 'x=y.z', line 42", "data.columns.it"),
    ),
    Mistake(
        "5,000 columns", {"t.csv": ",".join(f"x{i}" for i in range(5000)) + "\n"}, (), ("(5000 in all)",)
    ),
    Mistake(
        "lists", typed_column(pl.Series([[1]] * 40)), PARQUET, ("column 'b': has type List(Int64)", "b=drop")
    ),
    Mistake(
        "bytes", typed_column(pl.Series([b"x"] * 40)), PARQUET, ("column 'b': has type Binary", "b=drop")
    ),
    Mistake(
        "128 bits",
        typed_column(pl.Series([2**70 + i for i in range(40)])),
        PARQUET,
        ("column 'b', data row 1", "64"),
    ),
    Mistake(
        "an infinite one", typed_column(pl.Series([float("inf")] + [1.0] * 39)), PARQUET, ("'inf'", "missing")
    ),
    Mistake(
        "too large",
        typed_column(pl.Series([1e300 * i for i in range(40)])),
        PARQUET,
        ("too large for float32",),
    ),
    Mistake(
        "a date for a target",
        {"t.parquet": FRAME.with_columns(y=pl.Series(DATES))},
        PARQUET,
        ("has type Date, which cannot be read as target",),
    ),
    Mistake("no rows", {"t.parquet": FRAME.head(0)}, PARQUET, ("t.parquet: has a header but no rows",)),
    Mistake(
        "no columns", {"t.parquet": pl.DataFrame()}, PARQUET, ("has no column 'y'; its columns are none",)
    ),
    Mistake(
        "files of other columns",
        {"d/1.csv": GOOD, "d/2.csv": GOOD.replace("b", "c", 1)},
        ("data.path=d",),
        ("d/2.csv: has different columns than d/1.csv", "found c (text), expected b (text)"),
    ),
    Mistake(
        "files of other types",
        {"d/1.parquet": FRAME, "d/2.parquet": FRAME.with_columns(a=pl.Series(DATES))},
        ("data.path=d",),
        ("d/2.parquet: has different columns", "found a (Date), expected a (number)"),
    ),
    Mistake(
        "a fault in the second",
        {"d/1.csv": GOOD, "d/2.csv": GOOD + "1,?,3\n"},
        ("data.path=d",),
        ("d/2.csv, column 'b', line 42",),
    ),
    Mistake(
        "CSV and Parquet",
        {"d/1.csv": GOOD, "d/2.parquet": FRAME},
        ("data.path=d",),
        ("d/2.parquet: has different columns than d/1.csv",),
    ),
    Mistake("no file of the pattern", {"t.csv": GOOD}, ("data.path=*.parquet",), ("no file matches",)),
]

# What is odd, files, arguments beside those of TRAIN, and the warnings.
TAKEN: list[tuple[str, Files, tuple[str, ...], tuple[str, ...]]] = [
    ("7 decimal commas", {"t.csv": COMMAS}, (), ()),
    (
        "12 spaces around names",
        {"t.csv": GOOD.replace("a,b,y", " a ,b, y")},
        (),
        ("t.csv: removed spaces or line breaks from column names: a, y",),
    ),
    ("15 UTF-16", {"t.csv": GOOD.encode("utf-16")}, (), ()),
    ("16 BOM", {"t.csv": GOOD.encode("utf-8-sig")}, (), ()),
    ("20 nan", {"t.csv": GOOD + "1,nan,3\n1,NaN,3\n1,N/A,3\n"}, (), ()),
    ("21 a float", {"t.csv": GOOD + "1,9223372036854775808.0,3\n"}, (), ()),
    ("21 declared", {"t.csv": column(lambda i: 2**80 + i % 3)}, ("data.columns.b=categorical",), ()),
    ("27 dropped", {"t.csv": GOOD + "1,2,\n"}, ("data.missing_target=drop",), ()),
    (
        "29 a constant column",
        {"t.csv": column(lambda i: 3)},
        (),
        ("t.csv: leaving out column 'b': all values are 3",),
    ),
    (
        "30 all missing",
        {"t.csv": column(lambda i: "")},
        (),
        ("t.csv: leaving out column 'b': all values are missing",),
    ),
    (
        "31 an identifier",
        {"t.csv": column(lambda i: f"id{i}")},
        (),
        (
            "t.csv: leaving out column 'b': an identifier: 40 different texts in 40 rows, such as 'id0'; "
            "to use it: data.columns.b=categorical",
        ),
    ),
    (
        "70 an unnamed first column",
        {"t.csv": table(lambda i: f"{i},{i % 13},{i % 3},{i}", ",a,b,y")},
        (),
        (f"t.csv: leaving out {INDEX}",),
    ),
    (
        "70 R's row names",
        {"t.csv": table(lambda i: f"r{i},{i % 13},{i % 3},{i}")},
        (),
        (f"t.csv: leaving out {INDEX}",),
    ),
    ("mixed ends of lines", {"t.csv": GOOD.replace("2\n", "2\r\n")}, (), ()),
    ("quoted numbers", {"t.csv": table(lambda i: f'"{i % 13}","{i % 5}","{i}"')}, (), ()),
    (
        "a line break in a name",
        {"t.csv": GOOD.replace("b", '"b\nm²"', 1)},
        (),
        ("t.csv: removed spaces or line breaks from column names: b m²",),
    ),
    ("patterns for names", {"t.csv": GOOD.replace("a,b", "^x.*$,*", 1)}, (), ()),
    ("signs in a name", {"t.csv": GOOD.replace("y", "y=z", 1)}, ("data.target='y=z'",), ()),
    ("no header", {"t.csv": GOOD.partition("\n")[2]}, ("data.header=false", "data.target=column_3"), ()),
    ("yes and no", {"t.csv": column(lambda i: "yes" if i % 2 else "no")}, (), ()),
    ("two classes", {"t.csv": WORDS}, ("data.class_weights={yes: 2}", "data.positive=no"), ()),
    (
        "classes that differ by spaces and case",
        {"t.csv": target(lambda i: ("Yes", "yes ", "no")[i % 3])},
        (),
        ("t.csv: column 'y': categories that differ only by spaces or case: 'Yes', 'yes'",),
    ),
    (
        "a class of one row",
        {"t.csv": target(lambda i: "rare" if i == 7 else "ab"[i % 2], rows=60)},
        (),
        (),
    ),
    (
        "few whole numbers",
        {"t.csv": target(lambda i: i % 5)},
        (),
        (
            "t.csv: column 'y': its 5 whole values are predicted as numbers; if they are classes: "
            "task=multiclass (task=regression removes this line)",
        ),
    ),
    ("200 classes", {"t.csv": target(lambda i: f"c{i % 200:03}", rows=2000)}, (), ()),
    ("true and false", {"t.csv": column(lambda i: "True" if i % 2 else "FALSE")}, (), ()),
    ("one word and nothing", {"t.csv": column(lambda i: "x" if i % 2 else "")}, (), ()),
    (
        "dates declared",
        {"t.csv": column(lambda i: f"0{i % 9 + 1}/01/2024")},
        ("data.columns.b=%d/%m/%Y",),
        (),
    ),
    ("decimals", typed_column(pl.Series([Decimal(i) / 4 for i in range(40)])), PARQUET, ()),
    (
        "categories",
        typed_column(pl.Series([f"c{i % 3}" for i in range(40)], dtype=pl.Categorical)),
        PARQUET,
        (),
    ),
    ("dates", typed_column(pl.Series(DATES)), PARQUET, ()),
    ("truth values", typed_column(pl.Series([None, True, False, True] * 10)), PARQUET, ()),
    (
        "nothing",
        typed_column(pl.Series([None] * 40)),
        PARQUET,
        ("t.parquet: leaving out column 'b': all values are missing",),
    ),
    (
        "a folder",
        {"d/1.parquet": FRAME[:20], "d/2.parquet": FRAME[20:].cast({"a": pl.Float64})},
        ("data.path=d",),
        (),
    ),
]


def with_arguments(arguments: Sequence[str]) -> list[str]:
    """A command line in which none of these keys is given twice."""
    given = {argument.partition("=")[0] for argument in arguments}
    return [word for word in TRAIN if word.partition("=")[0] not in given] + list(arguments)


def composed(arguments: Sequence[str]) -> dict[str, Any]:
    """The values that a command line gives."""
    words = readable(with_arguments(arguments))
    check_overrides(words, multirun=False)
    return values(*words)


def described(arguments: Sequence[str]) -> Description:
    """What `describe.py` prints, or the error with which it ends."""
    description = describe(parse(composed(arguments)))
    if description.faults:
        raise UserError(*description.faults)
    return description


def assert_typeable(message: str) -> None:
    """What a message tells to type on a command line can be typed there."""
    remedies = " ".join(line for line in message.splitlines() if line.startswith("  "))
    for words in re.findall(r"'data\..+?'(?=[\s;,?]|$)|data\.[\w.]+=[^\s;,?]+", remedies):
        if "…" not in words and "<" not in words:
            [word] = shlex.split(words)
            given = (word,) if not word.startswith("data.split") else ()
            assert parse(composed(given)).data.name == "csv"


@each(REFUSED)
def test_training_and_describing_refuse_with_the_same_short_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mistake: Mistake
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(mistake, tmp_path)
    before = contents(tmp_path)
    message = message_of(lambda: DataCache().data(parse(composed(mistake.arguments))))
    assert_short_answer(Ended(2, "", message), mistake.said)
    assert message_of(lambda: described(mistake.arguments)) == message
    assert contents(tmp_path) == before
    assert_typeable(message)


WHOLE_COMMANDS = ("18 several columns", "24 truncated Parquet", "34 an empty part", "no such kind")


@each([mistake for mistake in REFUSED if mistake.name in WHOLE_COMMANDS])
def test_the_commands_print_that_message(
    run_script: Callable[..., Ended], tmp_path: Path, mistake: Mistake
) -> None:
    arguments = with_arguments(mistake.arguments)
    trained = assert_refused(mistake, tmp_path, lambda *_: run_script("train", *arguments))
    before = contents(tmp_path)
    described = run_script("describe", *arguments)
    assert (described.status, described.err) == (2, trained.err)
    assert contents(tmp_path) == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_pipe_is_not_waited_for(command: Callable[..., Ended], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    assert_short_answer(command(*TRAIN), ("t.csv: is not a regular file", "save it as a file"))


def test_a_process_says_the_same(tmp_path: Path) -> None:
    [mistake] = [each for each in REFUSED if each.name == "18 text in a column of numbers"]
    script = str(ROOT / "scripts/train.py")
    assert_refused(mistake, tmp_path, lambda *words: process([script, *with_arguments(words)], tmp_path))


@pytest.mark.parametrize(
    ("script", "flags"), [("train", ()), ("describe", ()), ("train", ("-m", "seed=1,2"))]
)
def test_a_path_is_that_of_a_csv(
    run_script: Callable[..., Ended], tmp_path: Path, script: str, flags: tuple[str, ...]
) -> None:
    write_files(tmp_path, {"t.csv": GOOD})
    ended = run_script(script, *flags, *TRAIN[1:])
    assert ended.status == 0, ended
    assert script == "train" or ended.out.startswith("t.csv: 40 rows")


def test_a_path_does_not_choose_against_an_experiment(command: Callable[..., Ended], tmp_path: Path) -> None:
    write_files(tmp_path, {"t.csv": GOOD})
    assert_short_answer(command("experiment=article", "data.path=t.csv"), ("data.path belongs to data=csv",))


def test_rows_without_a_target_are_counted(command: Callable[..., Ended], tmp_path: Path) -> None:
    write_files(tmp_path, {"t.csv": GOOD + "1,2,\n1,3,NA\n"})
    ended = command(*TRAIN, "data.missing_target=drop")
    assert ended.status == 0, ended
    assert "t.csv: 42 rows (2 without a target are left out), 2 columns → y; train 28" in ended.out


def test_many_columns_that_are_left_out_take_a_few_lines(
    command: Callable[..., Ended], tmp_path: Path
) -> None:
    names = [f"x{i}" for i in range(30)]
    cells = ",1" * 30
    write_files(tmp_path, {"t.csv": table(lambda i: f"{i}{cells},{i}", ",".join(["a", *names, "y"]))})
    lines = [line for line in command(*TRAIN).out.splitlines() if line.startswith("warning: t.csv: leaving")]
    assert len(lines) == 11
    assert lines[-1].startswith("warning: t.csv: leaving out 20 more such columns: x10, x11")


@pytest.mark.parametrize(("row", "files", "arguments", "warned"), TAKEN, ids=[case[0] for case in TAKEN])
def test_oddities_are_described_and_read(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    row: str,
    files: Files,
    arguments: tuple[str, ...],
    warned: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path, files)
    described(arguments)
    caplog.clear()
    DataCache().data(parse(composed(arguments)))
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == list(warned)


@pytest.mark.parametrize("row", ["31 an identifier", "a class of one row", "a folder"])
def test_the_commands_warn_of_oddities(run_script: Callable[..., Ended], tmp_path: Path, row: str) -> None:
    [(_, files, arguments, warned)] = [case for case in TAKEN if case[0] == row]
    if row == "a class of one row":
        warned = tuple(f"the {part} set has no row of 'rare': it does not count" for part in ("val", "test"))
    write_files(tmp_path, files)
    described = run_script("describe", *with_arguments(arguments))
    assert described.status == 0, described
    trained = run_script("train", *with_arguments(arguments))
    assert trained.status == 0, trained
    lines = [line for line in (trained.out + trained.err).splitlines() if line.startswith("warning: ")]
    warnings = [line for line in lines if "no better than the" not in line and "never predicted" not in line]
    assert warnings == [f"warning: {words}" for words in warned]
