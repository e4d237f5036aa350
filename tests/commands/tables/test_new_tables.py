"""New data for a trained run: what is refused, or warned of."""

import datetime as dt
import shutil
from pathlib import Path

import polars as pl
import pytest
from commands.mistakes import Command, Files, Mistake, assert_refused, each, mistake, write_files
from support import assert_short_answer, train_into, without_notes

COLUMNS = "a,c,d,f,m"
ROW = "1.5,red,2024-02-03,true,7"
TRAINED = f"{COLUMNS},y\n" + "".join(
    f"{i / 4},{('red', 'green', 'blue')[i % 3]},2024-0{i % 9 + 1}-1{i % 7},"
    f"{'true' if i % 2 else 'false'},{'' if i == 5 else i % 6},{i}\n"
    for i in range(40)
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "t.csv").write_text(TRAINED)
    table = ("data=csv", f"data.path={folder / 't.csv'}", "data.target=y")
    train_into(folder / "r", [*table, "model=linear", "trainer.max_epochs=1"])
    return folder / "r/0"


@pytest.fixture
def here(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "r")
    return tmp_path


def new(*lines: str, header: str = COLUMNS) -> Files:
    return {"n.csv": "\n".join([header, *lines]) + "\n"}


PREDICT = ("predict", "run=r", "input=n.csv", "output=o.csv")
EVALUATE = ("evaluate", "run=r", "data.path=n.csv")
HELD = f"{COLUMNS},y"

SHORT = "1,red,2024-02-03,true"

REFUSED = [
    mistake(
        "39 column", new(SHORT, header="a,c,d,f"), PREDICT, "lacks the column m | missing_columns=impute"
    ),
    mistake("41 renamed", new(ROW, header="aa,c,d,f,m"), PREDICT, "lacks the column a | rename 'aa' → 'a'?"),
    mistake("42 word", new(ROW, f"x{ROW}"), PREDICT, "data row 2: is not a finite number | 'x1.5'"),
    mistake("42 late", new(*[ROW] * 66_000, f"x{ROW}"), PREDICT, "column 'a', data row 66001 | 'x1.5'"),
    mistake("42 truth value", new("1,red,2024-02-03,yes,7"), PREDICT, "'f', data row 1 | 'yes' | true or"),
    mistake("45 zero rows", new(), PREDICT, "n.csv: has no rows to predict | give it rows"),
    mistake("46 no target", new(ROW), EVALUATE, "'y' (found the columns a, c, d, f, m) | scripts/predict.py"),
    mistake("46 missing", new(f"{ROW},", header=HELD), EVALUATE, "column 'y', line 2 | a value is missing"),
    mistake("47 file", new(ROW), (*PREDICT[:3], "output=n.csv"), "n.csv: already exists | overwrite=true"),
    mistake("47 folder", new(ROW), (*PREDICT[:3], "output=r", "overwrite=true"), "already exists | give a"),
    mistake(
        "47 a new folder", new(ROW), (*PREDICT[:3], "output=o/"), "is a folder | give a file | output=o/…"
    ),
    mistake(
        "50 key of predict", new(ROW), (*EVALUATE[:2], "input=n.csv"), "input: | did you mean data.path?"
    ),
    mistake("50 unknown key", new(ROW), (*EVALUATE[:2], "x=1"), "the keys here are: run, runs, data.path,"),
    mistake("48 no folder", new(ROW), (*PREDICT[:3], "output=no/o.csv"), "folder no does not exist | create"),
    mistake("9 short row", new(ROW, "1,red"), PREDICT, "n.csv, line 3: the line has 2 fields"),
]

UNKNOWN = "n.csv, column 'c': categories not seen in training are treated as missing: 'pink' (1)"
EXTRA = "n.csv: ignoring columns not seen in training: z"
IMPUTED = "n.csv: imputed missing values (median or mode) in columns that had none in training: a (1)"

LACKING = "n.csv: lacks columns, of which all cells count as missing: m"

TAKEN = {
    "40 extra": (new(f"{ROW},x", header=f"{COLUMNS},z"), PREDICT, EXTRA),
    "43 category": (new(ROW, ROW.replace("red", "pink")), PREDICT, UNKNOWN),
    "44 missing values": (new(ROW, ",red,2024-02-03,true,NA"), PREDICT, IMPUTED),
    "39 imputed": (new(SHORT, header="a,c,d,f"), (*PREDICT, "missing_columns=impute"), LACKING),
    "42 numbers as text": (new('"1.5",red,2024-02-03,TRUE,7.0'), PREDICT, ""),
    "70 index": (new(f"9,{ROW}", header=f",{COLUMNS}"), PREDICT, ""),
    "70 index and target": (new(f"1,{ROW},9", f"2,{ROW},8", header=f",{HELD}"), EVALUATE, ""),
}
"""What is odd: the new file, the command, and the warning."""


@each(REFUSED)
def test_a_mistake_gets_a_short_answer(run_script: Command, here: Path, mistake: Mistake) -> None:
    assert_refused(mistake, here, run_script)


@pytest.mark.parametrize(("files", "arguments", "warned"), TAKEN.values(), ids=TAKEN)
def test_oddities_are_predicted_with_a_warning(
    succeed: Command, here: Path, files: Files, arguments: tuple[str, ...], warned: str
) -> None:
    write_files(here, files)
    printed = without_notes(succeed(*arguments).err).splitlines()
    assert printed == ([f"warning: {warned}"] if warned else [])


def test_unknown_categories_are_missing(succeed: Command, here: Path) -> None:
    write_files(here, new(ROW.replace("red", "pink"), ROW.replace("red", "")))
    succeed(*PREDICT)
    unknown, missing = pl.read_csv("o.csv")["prediction"]
    assert unknown == missing


def test_types_that_cannot_be_used_are_refused(succeed: Command, run_script: Command, here: Path) -> None:
    frame = pl.DataFrame({"a": [1], "c": "red", "d": dt.date(2024, 2, 3), "f": True, "m": 7, "z": [[1]]})
    frame.write_parquet(here / "n.parquet")
    predict = ("predict", "run=r", "input=n.parquet")
    said = ("column 'z': has type List(Int64), which CSV does not support", ".parquet")
    assert_short_answer(run_script(*predict, "output=o.csv"), said)
    succeed(*predict, "output=o.parquet")
    assert pl.read_parquet("o.parquet")["z"].to_list() == [[1]]
    frame.with_columns(a="d").write_parquet(here / "n.parquet")
    said = ("n.parquet, column 'a': has type Date", "a number such as 1176.2")
    assert_short_answer(run_script(*predict, "output=p.parquet"), said)
