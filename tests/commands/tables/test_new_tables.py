"""New data for a trained run: what is refused, and what is predicted with a warning."""

import datetime as dt
import shutil
from pathlib import Path

import polars as pl
import pytest
from commands.mistakes import Command, Files, Mistake, assert_refused, each, mistake
from support import assert_short_answer, train_into, without_notes

COLUMNS = "a,c,d,f,m"
ROW = "1.5,red,2024-02-03,true,7"
TRAINED = f"{COLUMNS},y\n" + "".join(
    f"{i / 4},{('red', 'green', 'blue')[i % 3]},2024-0{i % 9 + 1}-1{i % 7},"
    f"{'true' if i % 2 else 'false'},{'' if i == 5 else i % 6},{i}\n"
    for i in range(40)
)
"""Numbers, words, dates, truth values and numbers of which one is missing."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "t.csv").write_text(TRAINED)
    table = ("data=csv", f"data.path={folder / 't.csv'}", "data.target=y")
    train_into(folder / "r", [*table, "model=linear", "trainer.max_epochs=1"])
    return folder / "r/0"


@pytest.fixture
def here(trained: Path, tmp_path: Path) -> Path:
    """A folder with a run."""
    shutil.copytree(trained, tmp_path / "r")
    return tmp_path


def rows(*rows: str, header: str = COLUMNS) -> str:
    return "\n".join([header, *rows]) + "\n"


def new(*lines: str, header: str = COLUMNS) -> Files:
    """The new file, with these rows."""
    return {"n.csv": rows(*lines, header=header)}


PREDICT = ("predict", "run=r", "input=n.csv", "output=o.csv")
EVALUATE = ("evaluate", "run=r", "data.path=n.csv")
HELD = f"{COLUMNS},y"

REFUSED = [
    mistake("39 column", new("1,red,2024-02-03,true", header="a,c,d,f"), PREDICT, "lacks the column m"),
    mistake("41 renamed", new(ROW, header="aa,c,d,f,m"), PREDICT, "lacks the column a | rename 'aa' → 'a'?"),
    mistake("42 word", new(ROW, f"x{ROW}"), PREDICT, "data row 2: is not a finite number | 'x1.5'"),
    mistake("42 late", new(*[ROW] * 66_000, f"x{ROW}"), PREDICT, "column 'a', data row 66001 | 'x1.5'"),
    mistake("42 truth value", new("1,red,2024-02-03,yes,7"), PREDICT, "'f', data row 1 | 'yes' | true or"),
    mistake("45 zero rows", new(), PREDICT, "n.csv: has no rows to predict | give it rows"),
    mistake("46 no target", new(ROW), EVALUATE, "n.csv: has no target column 'y' | scripts/predict.py"),
    mistake("46 missing", new(f"{ROW},", header=HELD), EVALUATE, "column 'y', line 2 | a value is missing"),
    mistake("47 file", new(ROW), (*PREDICT[:3], "output=n.csv"), "n.csv: already exists | overwrite=true"),
    mistake("47 folder", new(ROW), (*PREDICT[:3], "output=r", "overwrite=true"), "already exists | give a"),
    mistake("48 no folder", new(ROW), (*PREDICT[:3], "output=no/o.csv"), "folder no does not exist | create"),
    mistake("9 short row", new(ROW, "1,red"), PREDICT, "n.csv, line 3: the line has 2 fields"),
]

UNKNOWN = "n.csv, column 'c': categories not seen in training are treated as missing: 'pink' (1)"
EXTRA = "n.csv: ignoring columns not seen in training: z"
IMPUTED = "n.csv: imputed missing values (median or mode) in columns that had none in training: a (1)"

# What is odd, the new file, the command, and the warning.
TAKEN: list[tuple[str, str, tuple[str, ...], str]] = [
    ("40 extra", rows(f"{ROW},x", header=f"{COLUMNS},z"), PREDICT, EXTRA),
    ("43 category", rows(ROW, ROW.replace("red", "pink")), PREDICT, UNKNOWN),
    ("42 numbers", rows("1,3,2024-02-03,true,7"), PREDICT, UNKNOWN.replace("pink", "3")),
    ("44 missing values", rows(ROW, ",red,2024-02-03,true,NA"), PREDICT, IMPUTED),
    ("the target", rows(f"{ROW},9", header=HELD), PREDICT, ""),
    ("42 numbers as text", rows('"1.5",red,2024-02-03,TRUE,7.0'), PREDICT, ""),
    ("70 index", rows(f"9,{ROW}", header=f",{COLUMNS}"), PREDICT, ""),
    ("70 index and target", rows(f"1,{ROW},9", f"2,{ROW},8", header=f",{HELD}"), EVALUATE, ""),
]


@each(REFUSED)
def test_a_mistake_gets_a_short_answer(run_script: Command, here: Path, mistake: Mistake) -> None:
    assert_refused(mistake, here, run_script)


@pytest.mark.parametrize(("row", "text", "arguments", "warned"), TAKEN, ids=[case[0] for case in TAKEN])
def test_oddities_are_predicted_with_a_warning(
    run_script: Command, here: Path, row: str, text: str, arguments: tuple[str, ...], warned: str
) -> None:
    (here / "n.csv").write_text(text, encoding="utf-8")
    ended = run_script(*arguments)
    assert ended.status == 0, ended
    assert without_notes(ended.err).splitlines() == ([f"warning: {warned}"] if warned else [])


def test_unknown_categories_are_missing(run_script: Command, here: Path) -> None:
    (here / "n.csv").write_text(rows(ROW.replace("red", "pink"), ROW.replace("red", "")))
    assert run_script(*PREDICT).status == 0
    unknown, missing = pl.read_csv(here / "o.csv")["prediction"]
    assert unknown == missing


def test_types_that_training_or_csv_do_not_support_are_refused(run_script: Command, here: Path) -> None:
    frame = pl.DataFrame({"a": [1], "c": "red", "d": dt.date(2024, 2, 3), "f": True, "m": 7, "z": [[1]]})
    frame.write_parquet(here / "n.parquet")
    predict = ("predict", "run=r", "input=n.parquet")
    said = ("column 'z': has type List(Int64), which CSV does not support", ".parquet")
    assert_short_answer(run_script(*predict, "output=o.csv"), said)
    assert run_script(*predict, "output=o.parquet").status == 0
    assert pl.read_parquet(here / "o.parquet")["z"].to_list() == [[1]]
    frame.with_columns(a="d").write_parquet(here / "n.parquet")
    said = ("n.parquet, column 'a': has type Date", "a number such as 1176.2")
    assert_short_answer(run_script(*predict, "output=p.parquet"), said)
