"""New data for a trained run: what is refused, and what is predicted with a warning."""

import datetime as dt
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from commands.mistakes import Files, Mistake, assert_refused, each
from support import Ended, assert_short_answer, train_into, without_notes

Command = Callable[..., Ended]

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

REFUSED: list[Mistake] = [
    Mistake(
        "39 missing column",
        new("1.5,red,2024-02-03,true", header="a,c,d,f"),
        PREDICT,
        ("n.csv: lacks the column m", "the columns of training: a, c, d, f, m"),
    ),
    Mistake(
        "41 renamed column",
        new(ROW, header="aa,c,d,f,m"),
        PREDICT,
        ("n.csv: lacks the column a", "found instead: aa", "rename 'aa' → 'a'?"),
    ),
    Mistake(
        "42 a word where numbers were",
        new(ROW, "high,red,2024-02-03,true,7"),
        PREDICT,
        ("n.csv, column 'a', data row 2: is not a finite number", "'high'", "leave it empty"),
    ),
    Mistake(
        "42 late",
        new(*[ROW] * 60_000, f"x{ROW}"),
        PREDICT,
        ("column 'a', data row 60001", "'x1.5'"),
    ),
    Mistake(
        "42 numbers where words were",
        new("1.5,3,2024-02-03,true,7"),
        PREDICT,
        ("n.csv, column 'c': contains numbers", "'3'", "one of 'blue', 'green', 'red'"),
    ),
    Mistake(
        "42 no date",
        new("1.5,red,03.02.2024,true,7"),
        PREDICT,
        ("column 'd', data row 1: is not a date", "'03.02.2024'", "2024-01-31"),
    ),
    Mistake(
        "42 no truth value",
        new("1.5,red,2024-02-03,yes,7"),
        PREDICT,
        ("column 'f', data row 1", "'yes'", "true or false"),
    ),
    Mistake("45 zero rows", new(), PREDICT, ("n.csv: has no rows to predict", "give it rows")),
    Mistake("45 empty lines", new("", ""), PREDICT, ("n.csv: has no rows to predict",)),
    Mistake(
        "46 no target when evaluating",
        new(ROW),
        EVALUATE,
        ("n.csv: has no target column 'y'", "a, c, d, f, m", "scripts/predict.py"),
    ),
    Mistake(
        "46 a missing target",
        new(f"{ROW},", header=HELD),
        EVALUATE,
        ("column 'y', line 2", "a value is missing"),
    ),
    Mistake(
        "47 output exists",
        new(ROW),
        (*PREDICT[:3], "output=n.csv"),
        ("output=n.csv: already exists", "overwrite=true"),
    ),
    Mistake(
        "47 is a folder",
        new(ROW),
        (*PREDICT[:3], "output=r", "overwrite=true"),
        ("output=r: already exists", "give a file"),
    ),
    Mistake(
        "48 output folder missing",
        new(ROW),
        (*PREDICT[:3], "output=no/o.csv"),
        ("the folder no does not exist", "create it first"),
    ),
    Mistake("9 short row to predict", new(ROW, "1,red"), PREDICT, ("n.csv, line 3: the line has 2 fields",)),
    Mistake(
        "its own column",
        new(f"{ROW},1", header=f"{COLUMNS},prediction"),
        PREDICT,
        ("has a column 'prediction'",),
    ),
]

# What is odd, the new file, the command, and the warnings.
TAKEN: list[tuple[str, str, tuple[str, ...], tuple[str, ...]]] = [
    (
        "40 extra column",
        rows(f"{ROW},x", header=f"{COLUMNS},z"),
        PREDICT,
        ("n.csv: ignoring columns not seen in training: z",),
    ),
    (
        "43 unknown category",
        rows(ROW, ROW.replace("red", "pink")),
        PREDICT,
        ("n.csv, column 'c': categories not seen in training are treated as missing: 'pink' (1)",),
    ),
    (
        "44 missing values",
        rows(ROW, ",red,2024-02-03,true,NA"),
        PREDICT,
        ("n.csv: imputed missing values (median or mode) in columns that had none in training: a (1)",),
    ),
    ("44 as in training", rows("1.5,red,2024-02-03,true,"), PREDICT, ()),
    ("with the target", rows(f"{ROW},9", header=HELD), PREDICT, ()),
    ("42 numbers as text", rows('"1.5",red,2024-02-03,TRUE,7.0'), PREDICT, ()),
    ("70 a row index", rows(f"9,{ROW}", header=f",{COLUMNS}"), PREDICT, ()),
    ("70 a row index when evaluating", rows(f"1,{ROW},9", f"2,{ROW},8", header=f",{HELD}"), EVALUATE, ()),
]


@each(REFUSED)
def test_a_mistake_gets_a_short_answer(run_script: Command, here: Path, mistake: Mistake) -> None:
    assert_refused(mistake, here, run_script)


@pytest.mark.parametrize(("row", "text", "arguments", "warned"), TAKEN, ids=[case[0] for case in TAKEN])
def test_oddities_are_predicted_with_a_warning(
    run_script: Command, here: Path, row: str, text: str, arguments: tuple[str, ...], warned: tuple[str, ...]
) -> None:
    (here / "n.csv").write_text(text, encoding="utf-8")
    ended = run_script(*arguments)
    assert ended.status == 0, ended
    assert without_notes(ended.err).splitlines() == [f"warning: {words}" for words in warned]


def test_columns_are_found_by_name_and_unknown_categories_are_missing(
    run_script: Command, here: Path
) -> None:
    predictions = []
    for text in (rows(ROW), rows("7,true,2024-02-03,red,1.5", header="m,f,d,c,a")):
        (here / "n.csv").write_text(text)
        assert run_script(*PREDICT, "overwrite=true").status == 0
        predictions.append(pl.read_csv(here / "o.csv")["prediction"].to_list())
    (here / "n.csv").write_text(rows(ROW.replace("red", "pink"), ROW.replace("red", "")))
    assert run_script(*PREDICT, "overwrite=true").status == 0
    unknown, missing = pl.read_csv(here / "o.csv")["prediction"]
    assert predictions[0] == predictions[1]
    assert unknown == missing


@pytest.mark.parametrize(("kind", "cell"), [("Date", dt.date(2024, 2, 3)), ("List(Int64)", [1])])
def test_a_type_that_training_had_nothing_like_is_refused(
    run_script: Command, here: Path, kind: str, cell: object
) -> None:
    frame = pl.DataFrame({"a": [cell], "c": ["red"], "d": [dt.date(2024, 2, 3)], "f": [True], "m": [7]})
    frame.write_parquet(here / "n.parquet")
    ended = run_script("predict", "run=r", "input=n.parquet", "output=o.parquet")
    assert_short_answer(ended, (f"n.parquet, column 'a': has type {kind}", "a number such as 1176.2"))


@pytest.mark.parametrize(("kind", "cell"), [("List(Int64)", [1]), ("Binary", b"x")])
def test_what_csv_cannot_hold_is_written_as_parquet(
    run_script: Command, here: Path, kind: str, cell: object
) -> None:
    frame = pl.DataFrame(
        {"a": [1], "c": ["red"], "d": [dt.date(2024, 2, 3)], "f": [True], "m": [7], "z": [cell]}
    )
    frame.write_parquet(here / "n.parquet")
    ended = run_script("predict", "run=r", "input=n.parquet", "output=o.csv")
    assert_short_answer(ended, (f"column 'z': has type {kind}, which CSV does not support", ".parquet"))
    assert run_script("predict", "run=r", "input=n.parquet", "output=o.parquet").status == 0
    assert pl.read_parquet(here / "o.parquet")["z"].to_list() == [cell]
