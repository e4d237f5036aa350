"""Tables with mistakes, which are refused, and tables with oddities, which are trained on.

The numbers are those of the list of bad input.
"""

import datetime as dt
import logging
import os
import re
import shlex
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from commands.mistakes import Command, Mistake, assert_refused, each, message_of, mistake
from support import Ended, assert_short_answer, values

from mlplab.commands.describe import described
from mlplab.config import TrainConfig, parse
from mlplab.data.cache import DataCache
from mlplab.errors import UserError

TRAIN = ("data=csv", "data.path=t.csv", "data.target=y", "model=linear", "trainer.max_epochs=1")


def table(cells: Callable[[int], str], header: str = "a,b,y", rows: int = 40) -> str:
    return "\n".join([header, *(cells(i) for i in range(rows))]) + "\n"


def column(cell: Callable[[int], object]) -> str:
    return table(lambda i: f"{i % 13},{cell(i)},{i / 2}")


def target(cell: Callable[[int], object], rows: int = 40) -> str:
    return table(lambda i: f"{i / 3},{i * i % 7},{cell(i)}", rows=rows)


GOOD = column(lambda i: i * i % 7)
THOUSANDS = column(lambda i: f'"{i + 1},{i + 100}"')
READ = "column 'b': read as numbers written like 1,234.5: '1,100' is 1100"
FRAME = pl.DataFrame({"a": [i % 13 for i in range(40)], "y": [i / 2 for i in range(40)]})
DATES = [dt.date(2024, 1, 1) + dt.timedelta(i) for i in range(40)]
DAYS = column(lambda i: f"0{i % 9 + 1}/0{i * 2 % 9 + 1}/2024")
LISTS = {"t.parquet": FRAME.with_columns(b=pl.lit([1]))}
LATER = {"d/1.csv": GOOD, "d/2.csv": GOOD + "1,?,3\n"}
NAMES = GOOD.replace("a,b", "it's 🙂,x=y.z", 1) + "u,v,3\n"
LEFT_OUT = "has no column that can be an input"
SPLIT = "data/split=file data.split.path=s"
PARQUET = "data.path=t.parquet"

REFUSED = [
    mistake("1 file missing", {"tt.csv": GOOD}, "", "t.csv: no such file | did you mean tt.csv?"),
    mistake("2 a directory", {"t.csv/x": ""}, "", "t.csv: is a folder without CSV or Parquet files"),
    mistake("3 empty file", "", "", "t.csv: is empty | a header line and rows of data"),
    mistake("4 header only", "a,b,y\n", "", "t.csv: has a header but no rows | give it rows"),
    mistake("18 thousands", THOUSANDS, "", 'decimals or thousands | b="1,234.5"\' | or data.decimal=.'),
    mistake("18 several", GOOD + "-,x,3\n", "", "'a', line 42 | values.a=[\"-\"]' | values.b=[\"x\"]'"),
    mistake("21 long integer", GOOD + f"1,{2**64},3\n", "", "line 42 | more than 64 bits | columns.b=drop"),
    mistake("21 target", target(lambda i: 2**64 + i % 3), "", "64 bits | data.columns.y=categorical keeps"),
    mistake("24 truncated Parquet", {"t.parquet": b"PAR1" + bytes(300)}, PARQUET, "as Parquet | copy it"),
    mistake("25 target", GOOD, "data.target=yy", "no column 'yy'; its columns are y, a, b | data.target=y?"),
    mistake("32 no inputs", table(lambda i: f"id{i},,{i}"), "", f"{LEFT_OUT} | 'a': an identifier | 'b'"),
    mistake("33 few rows", "a,b,y\n1,2,3\n4,5,6\n", "", "are empty | train 2, val 0, test 0 | split.val"),
    mistake("34 part", {"t.csv": GOOD, "s": "val\n" * 30 + "test\n" * 10}, SPLIT, "s: the train set is"),
    mistake("37 length", {"t.csv": GOOD, "s": "train\n" * 30}, SPLIT, "s: has 30 words, but the table"),
    mistake("37 word", {"t.csv": GOOD, "s": "train\n" * 39 + "tset"}, SPLIT, "word 40: unknown word"),
    mistake("38 group", GOOD, "data/split=group data.split.group=aa", "no column 'aa' | data.split.group=a?"),
    mistake("75 days or months", DAYS, "", "day and month cannot | b=%d/%m/%Y or, if the month | b=%m"),
    mistake("target left out", GOOD, "data.columns.y=drop", "data.columns.y=drop: contradicts data.target=y"),
    mistake("no weights", column(lambda i: 0), "data.weight=b", "all weights are 0"),
    mistake("odd names", NAMES, "", "column 'it's 🙂', line 42 | column 'x=y.z', line 42 | data.columns.it"),
    mistake("lists", LISTS, PARQUET, "'b': has type List(Int64) | data.columns.b=drop"),
    mistake("date target", {"t.parquet": FRAME.with_columns(y=pl.Series(DATES))}, PARQUET, "has type Date"),
    mistake("no columns", {"t.parquet": pl.DataFrame()}, PARQUET, "has no column 'y'; its columns are none"),
    mistake("no such column", GOOD, "data.columns.bb=drop", "'bb' | data.columns.b"),
    mistake("one level", GOOD, "data.columns.b=[x]", "data.columns.b: takes two levels or more"),
    mistake("no kind", GOOD, "data.columns.b=number", "'number' is not a kind | numeric"),
    mistake("a fault in a second file", LATER, "data.path=d", "d/2.csv, column 'b', line 42"),
]

OF_DESCRIBE = {"1", "18", "25", "32", "33", "37", "38"}
"""Numbers of mistakes that `describe` finds in another place than training."""

IDENTIFIER = "an identifier: 40 different texts in 40 rows; to use it: data.columns.b=categorical"

TAKEN = {
    "7 other columns have points": (column(lambda i: f'"0,{i}"'), "", "written like 1.234,5: '0,0' is 0"),
    "18 all columns of thousands": (THOUSANDS, "data.decimal=.", READ),
    "21 a float": (GOOD + "1,9223372036854775808.0,3\n", "", ""),
    "31 an identifier": (column(lambda i: f"id{i}"), "", f"leaving out column 'b': {IDENTIFIER}"),
    "79 200 classes": (target(lambda i: f"c{i % 200:03}", rows=2000), "", ""),
}
"""What is odd: the file, arguments beside those of TRAIN, and the warnings."""


@cache
def run_of(*arguments: str) -> TrainConfig:
    return parse(values(*TRAIN, *arguments))


def describe(run: TrainConfig) -> None:
    if faults := described(run).faults:
        raise UserError(*faults)


def assert_typeable(message: str) -> None:
    """What a message tells to type on a command line can be typed there."""
    remedies = " ".join(line for line in message.splitlines() if line.startswith("  "))
    for words in re.findall(r"'data\..+?'(?=[\s;,?]|$)|data\.[\w.]+=[^\s;,?]+", remedies):
        if "…" not in words and "<" not in words:
            [word] = shlex.split(words)
            given = (word,) if not word.startswith("data.split") else ()
            assert run_of(*given).data.name == "csv"


@each(REFUSED)
def test_a_mistake_gets_a_short_message_with_remedies_to_type(here: Path, mistake: Mistake) -> None:
    messages = []

    def run(*_: str) -> Ended:
        messages.append(message_of(lambda: DataCache().data(run_of(*mistake.arguments))))
        return Ended(2, "", messages[0])

    assert_refused(mistake, here, run)
    assert_typeable(messages[0])
    if mistake.name.partition(" ")[0] in OF_DESCRIBE:
        assert message_of(lambda: describe(run_of(*mistake.arguments))) == messages[0]


@each([mistake for mistake in REFUSED if mistake.name in ("18 several", "34 part")])
def test_the_commands_print_that_message(run_script: Command, tmp_path: Path, mistake: Mistake) -> None:
    trained = assert_refused(mistake, tmp_path, lambda *words: run_script("train", *TRAIN, *words))
    described = run_script("describe", *TRAIN, *mistake.arguments)
    assert (described.status, described.err) == (2, trained.err)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_pipe_is_not_waited_for(command: Command, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    assert_short_answer(command(*TRAIN), ("t.csv: is not a regular file", "save it as a file"))


def test_a_path_is_that_of_a_csv_unless_an_experiment_has_chosen(succeed: Command, command: Command) -> None:
    Path("t.csv").write_text(GOOD)
    succeed("train", "-m", "seed=1,2", "ensemble=1", "baselines=[]", *TRAIN[1:])
    assert_short_answer(command("experiment=article", "data.path=t.csv"), ("data.path belongs to data=csv",))


@pytest.mark.parametrize(("files", "arguments", "warned"), TAKEN.values(), ids=TAKEN)
def test_oddities_are_read_with_a_warning(
    here: Path, caplog: pytest.LogCaptureFixture, files: str, arguments: str, warned: str
) -> None:
    (here / "t.csv").write_text(files)
    DataCache().data(run_of(*arguments.split()))
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == bool(warned)
    assert all(warned in warning for warning in warnings)


def test_training_warns_of_oddities_in_a_few_lines(succeed: Command) -> None:
    names = ["a", *(f"x{i}" for i in range(30)), "y"]
    text = table(lambda i: f"{i / 3}{',1' * 30},{'rare' if i == 7 else 'ab'[i % 2]}", ",".join(names), 60)
    Path("t.csv").write_text(f"{text}{'1,' * 31}NA\n")
    ended = succeed("train", *TRAIN, "data.missing_target=drop", "ensemble=1", "baselines=[]")
    assert "t.csv: 61 rows (1 without a target are left out), " in ended.out
    warnings = [line for line in (ended.out + ended.err).splitlines() if line.startswith("warning: ")]
    assert sum("t.csv: leaving" in line for line in warnings) == 11
    assert any("leaving out 20 more such columns: x10, x11" in line for line in warnings)
    assert "warning: the test set has no row of 'rare': it does not count" in "".join(warnings)
