import re
import shlex
from pathlib import Path

import polars as pl
import pytest
from commands.mistakes import message_of
from support import config, table_of

from mlplab.data.load_table import load_table
from mlplab.errors import UserError

ROWS = 100
NUMBERS = [str(i / 8) for i in range(ROWS)]
FEW = ["0", "1", "2"]
WORDS = ("data=csv", "data.target=y", "data.path=t.csv")
CATEGORIES = "if its values are categories: data.columns.a=categorical"
PLAIN = "write plain numbers"
CORRECT = "correct it, or remove such rows"
KIND = "or set its kind: data.columns.a=categorical (or drop)"
DROP = "data.columns.a=drop leaves the column out"
MISSING = "if it stands for a missing value: 'data.na_values"


@pytest.mark.parametrize(
    ("cells", "remedies"),
    [
        ([*FEW, "3+", "?"], [CATEGORIES, MISSING, PLAIN, DROP]),
        ([*FEW, "x", *FEW * 50], [CATEGORIES, MISSING, CORRECT, DROP]),  # once
        ([*[str(100 + i % 30) for i in range(99)], "136A"], [CATEGORIES, PLAIN, DROP]),  # many codes
        ([*NUMBERS[1:], "12 kg"], ["write 12, without the unit", KIND]),
        ([*NUMBERS[1:], "low"], [MISSING, CORRECT, KIND]),
        ([f"~{i}" if i % 3 == 0 else number for i, number in enumerate(NUMBERS)], [PLAIN, KIND]),
        *(([*FEW, text], [MISSING, remedy, KIND]) for text, remedy in (("?", PLAIN), ("<NA>", CORRECT))),
    ],
)
def test_the_most_likely_remedy_comes_first(cells: list[str], remedies: list[str]) -> None:
    frame = pl.DataFrame({"a": [cells[i % len(cells)] for i in range(ROWS)], "y": range(ROWS)})
    _, found = message_of(lambda: table_of(frame)).splitlines()
    parts = found.strip().split("; ")
    assert len(parts) == len(remedies)
    assert all(part.startswith(remedy) for part, remedy in zip(parts, remedies, strict=True))


@pytest.mark.parametrize("kind", ["ordinal", "date", "numeric", "boolean", "%d.%m.%Y", ("a", "b")])
def test_long_texts_are_cut(kind: str | tuple[str, ...]) -> None:
    notes = [f"customer {number} called and said:\n{'so ' * 50}" for number in range(300)]
    frame = pl.DataFrame({"note": notes, "y": range(300)})
    listed = {} if isinstance(kind, str) else {"note": kind}
    declared = {"note": "ordinal" if listed else kind}
    message = message_of(lambda: table_of(frame, declared=declared, levels=listed))
    assert "so " * 20 not in message
    assert "data.columns.note=" in message


def test_all_remedies_together_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"{i / 8},{i % 5},{i % 3},{i / 2}" for i in range(ROWS)]
    for row, cells in ((3, "?,,,1"), (7, "n.a.,3+,,2"), (9, "-,-,none,??"), (50, ",3+,,3"), (51, ",,,n/d")):
        lines[row] = cells
    lines += [f"1,3+,{i % 3},5" for i in range(20)]
    Path("t.csv").write_text("\n".join(["a,b,c,y", *lines]))
    message = message_of(lambda: load_table(config(*WORDS, 'data.na_values=["??"]')))
    assert "line 53, data row 52: is" in message
    assert "line 11, data row 10: a value is missing" in message
    assert message.count("\n  ") == 5  # of the target, one for bad cells and one for missing ones
    pattern = r"(?:'data\.na_values\..*?'|data\.columns\.\w+=categorical)(?: data\.missing_target=drop)?"
    remedies = [line for line in message.splitlines() if line.startswith("  ")]
    words = {word for line in remedies for word in shlex.split(" ".join(re.findall(pattern, line)))[:2]}
    words -= {f"data.columns.{name}=categorical" for name in "ac"}
    by_column = {"a": '["?","n.a.","-"]', "b": '["-"]', "c": '["none"]', "y": '["n/d"]'}
    na_values = {f"data.na_values.{name}={texts}" for name, texts in by_column.items()}
    assert words == {*na_values, "data.columns.b=categorical", "data.missing_target=drop"}
    run = config(*WORDS, *sorted(words), 'data.na_values=["??"]')
    assert len(load_table(run).rows) == len(lines) - 2


@pytest.mark.parametrize("dtype", [pl.String, pl.Float64])
def test_infinite_cells_can_be_declared_missing(dtype: pl.DataType) -> None:
    cells = pl.Series([*NUMBERS[: ROWS - 9], *["-inf", "Infinity", "1e999"] * 3]).cast(dtype)
    frame = pl.DataFrame({"a": cells, "y": range(ROWS)})
    message = message_of(lambda: table_of(frame))
    assert "is not a finite number; 9 such cells" in message
    [word] = shlex.split(re.findall(r"'data\.na_values\.a=\[.*?\]'", message)[0])
    of_columns = config(*WORDS, word).data.na_values_by_column
    assert table_of(frame, na_values_by_column=of_columns).x.shape == (ROWS, 1)


def test_bad_and_missing_weights_are_refused_together() -> None:
    frame = pl.DataFrame({"a": NUMBERS, "w": ["1", "x", "-1", ""] * (ROWS // 4), "y": NUMBERS})
    with pytest.raises(UserError) as raised:
        table_of(frame, weight="w")
    bad, missing = (fault.what for fault in raised.value.faults)
    assert bad == "is a text, not a number; 25 such cells in this column"
    assert missing == "is missing or negative; 50 such rows"
