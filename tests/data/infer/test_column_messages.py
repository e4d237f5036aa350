"""Messages about bad cells, and whether their remedies work."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from commands.mistakes import message_of
from support import config, table_of

from mlplab.config import TrainConfig
from mlplab.data.load_table import load_table
from mlplab.errors import UserError

ROWS = 100
NUMBERS = [str(i / 8) for i in range(ROWS)]
FEW = ["0", "1", "2"]

CATEGORIES = "if its values are categories: data.columns.a=categorical"
PLAIN = "write plain numbers"
CORRECT = "correct it, or remove such rows"
KIND = "or set its kind: data.columns.a=categorical (or drop)"
DROP = "data.columns.a=drop leaves the column out"
MISSING = "if it stands for a missing value: 'data.na_values"


def refusal(folder: Path, **columns: Sequence[object]) -> list[str]:
    """The lines of the message about a file with these columns, repeated, beside the target."""
    columns = {**columns, **({} if "y" in columns else {"y": range(ROWS)})}
    lines = [",".join(str(cells[i % len(cells)]) for cells in columns.values()) for i in range(ROWS)]
    (folder / "t.csv").write_text("\n".join([",".join(columns), *lines]))
    with pytest.raises(UserError) as raised:
        table_of(folder / "t.csv")
    return str(raised.value).splitlines()


@pytest.mark.parametrize(
    ("cells", "remedies"),
    [
        ([*FEW, "3+", "?"], [CATEGORIES, MISSING, PLAIN, DROP]),
        ([*FEW, "x", *FEW * 50], [CATEGORIES, MISSING, CORRECT, DROP]),  # once
        ([*[str(100 + i % 30) for i in range(99)], "136A"], [CATEGORIES, PLAIN, DROP]),  # many codes
        ([*NUMBERS[1:], "12 kg"], ["write 12, without the unit", KIND]),
        ([*NUMBERS[1:], '"2,5"'], ["if a comma marks decimals", KIND]),
        ([*NUMBERS[1:], "low"], [MISSING, CORRECT, KIND]),
        (["low" if i % 10 == 0 else number for i, number in enumerate(NUMBERS)], [CORRECT, KIND]),  # too many
        ([f"~{i}" if i % 3 == 0 else number for i, number in enumerate(NUMBERS)], [PLAIN, KIND]),
        *(([*FEW, sign], [MISSING, PLAIN, KIND]) for sign in ("?", "...")),
        *(([*FEW, word], [MISSING, CORRECT, KIND]) for word in ("n.a.", "#N/A", "unknown", "<NA>")),
    ],
)
def test_the_most_likely_remedy_comes_first(tmp_path: Path, cells: list[str], remedies: list[str]) -> None:
    _, found = refusal(tmp_path, a=cells)
    parts = found.strip().split("; ")
    assert len(parts) == len(remedies)
    assert all(part.startswith(remedy) for part, remedy in zip(parts, remedies, strict=True))


@pytest.mark.parametrize("kind", ["ordinal", "date", "numeric", "boolean", "%d.%m.%Y", ("a", "b")])
def test_long_texts_are_cut(kind: str | tuple[str, ...]) -> None:
    """Of 300 notes, a message would otherwise show all."""
    notes = [f"customer {number} called and said:\n{'so ' * 50}" for number in range(300)]
    frame = pl.DataFrame({"note": notes, "y": range(300)})
    listed = {} if isinstance(kind, str) else {"note": kind}
    declared = {"note": "ordinal" if listed else kind}
    message = message_of(lambda: table_of(frame, declared=declared, levels=listed))
    assert "so " * 20 not in message
    assert "data.columns.note=" in message


def csv_config(*words: str) -> TrainConfig:
    return config("data=csv", "data.target=y", *words)


def refused(*words: str) -> str:
    """The message of a table that is refused."""
    with pytest.raises(UserError) as raised:
        load_table(csv_config(*words))
    return str(raised.value)


def typed_words(message: str, pattern: str) -> list[str]:
    """The words of remedies, as typed in a shell."""
    return [word for remedy in re.findall(pattern, message) for word in shlex.split(remedy)]


def test_all_remedies_together_work(tmp_path: Path) -> None:
    lines = [f"{i / 8},{i % 5},{i % 3},{i / 2}" for i in range(ROWS)]
    for row, cells in ((3, "?,,,1"), (7, "n.a.,3+,,2"), (9, "-,-,none,??"), (50, ",3+,,3"), (51, ",,,n/d")):
        lines[row] = cells
    lines += [f"1,3+,{i % 3},5" for i in range(20)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,c,y", *lines]))
    path = f"data.path={tmp_path / 't.csv'}"
    message = refused(path, 'data.na_values=["??"]')
    assert message.count("\n  ") == 5  # of the target, one for bad cells and one for missing ones
    pattern = r"(?:'data\.na_values=.*?'|data\.columns\.\w+=categorical)(?: data\.missing_target=drop)?"
    remedies = [line for line in message.splitlines() if line.startswith("  ")]
    words = {word for line in remedies for word in typed_words(line, pattern)[:2]}
    words -= {f"data.columns.{name}=categorical" for name in "ac"}
    na_values = 'data.na_values=["??","?","n.a.","-","none","n/d"]'
    assert words == {na_values, "data.columns.b=categorical", "data.missing_target=drop"}
    assert len(load_table(csv_config(path, *sorted(words))).rows) == len(lines) - 2


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_infinite_cells_can_be_declared_missing(tmp_path: Path, suffix: str) -> None:
    cells = [*NUMBERS[: ROWS - 9], *["-inf", "Infinity", "1e999"] * 3]
    table = pl.DataFrame({"a": cells, "b": [i % 7 for i in range(ROWS)], "y": NUMBERS})
    path = tmp_path / f"t.{suffix}"
    if suffix == "csv":
        table.write_csv(path)
    else:
        table.cast({"a": pl.Float64, "y": pl.Float64}).write_parquet(path)
    message = refused(f"data.path={path}")
    assert "is not a finite number; 9 such cells" in message
    words = typed_words(message, r"'data\.na_values=\[.*?\]'")
    load_table(csv_config(f"data.path={path}", *words))


@pytest.mark.parametrize("bad", ["?", "inf", "low"])
def test_bad_and_missing_targets_are_refused_together(tmp_path: Path, bad: str) -> None:
    lines = [f"{i % 7},{target}" for i, target in enumerate([*NUMBERS[:-3], bad, "", ""])]
    (tmp_path / "t.csv").write_text("\n".join(["a,y", *lines]))
    path = f"data.path={tmp_path / 't.csv'}"
    message = refused(path)
    assert f"line {ROWS - 1}, data row {ROWS - 2}: is" in message
    assert f"line {ROWS}, data row {ROWS - 1}: a value is missing; 2 such rows" in message
    assert "data.missing_target=drop leaves such rows out" in message
    words = typed_words(message, r"'data\.na_values=\[.*?\]' data\.missing_target=drop")
    assert len(load_table(csv_config(path, *words)).rows) == ROWS - 3


def test_bad_and_missing_weights_are_refused_together(tmp_path: Path) -> None:
    table = pl.DataFrame({"a": NUMBERS, "w": ["1", "x", "-1", ""] * (ROWS // 4), "y": NUMBERS})
    table.write_csv(tmp_path / "t.csv")
    with pytest.raises(UserError) as raised:
        table_of(tmp_path / "t.csv", weight="w")
    assert [fault.what for fault in raised.value.faults] == [
        "is a text, not a number; 25 such cells in this column",
        "is missing or negative; 50 such rows",
    ]
