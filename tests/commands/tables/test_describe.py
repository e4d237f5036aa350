"""How the columns of a table are described."""

import gzip
import re
from pathlib import Path

import polars as pl
import pytest
from commands.mistakes import Command
from support import Ended, assert_short_answer, config

from mlplab.commands.describe import described

CSV = ("data=csv", "data.path=t.csv")

COLUMNS = {
    "size": [1.5, 2.0, None, 4.0] * 10,
    "rooms": [1, 2, 3, 2] * 10,
    "kind": ["house", "flat", "house", None] * 10,
    "sold": [f"2024-0{1 + number % 9}-11" for number in range(40)],
    "garden": ["true", "false", "true", "true"] * 10,
    "key": [f"k{number}" for number in range(40)],
    "country": ["x"] * 40,
    "nothing": [None] * 40,
    "größe [m²]": [20 + number // 2 for number in range(40)],
    "price": [number - 0.5 for number in range(40)],
}
TABLE = pl.DataFrame(COLUMNS, strict=False)


@pytest.fixture
def describe(run_script: Command, tmp_path: Path) -> Command:
    TABLE.write_csv(tmp_path / "t.csv")
    return lambda *arguments: run_script("describe", *arguments)


def lines(ended: Ended) -> dict[str, list[str]]:
    """The cells of each line, and the note below, by the column's name."""
    printed = ended.out.splitlines()
    cells = [[*map(str.strip, line.strip("│").split("│"))] for line in printed if "│" in line]
    below = dict(line.split(": ", 1) for line in printed if ": " in line and "│" not in line)
    return {name: [*rest, below.get(name, "")] for name, *rest in cells}


def test_each_column_has_a_line(describe: Command, tmp_path: Path) -> None:
    ended = describe(*CSV, "data.target=price")
    assert ended.status == 0, ended
    assert ended.out.startswith("t.csv: 40 rows\n")
    found = lines(ended)
    assert list(found) == TABLE.columns
    assert found["size"] == ["numeric", "10 (25.0%)", "3", "1.5 … 4", "1.5", ""]
    assert found["rooms"] == ["numeric", "", "3", "1 … 3", "1", ""]
    assert found["kind"] == ["categorical", "10 (25.0%)", "2", "", "house", ""]
    assert found["sold"][:3] == ["date", "", "9"]
    assert found["garden"] == ["boolean", "", "2", "", "true", ""]
    kinds = [found[name][0] for name in ("key", "country", "nothing", "price")]
    assert kinds == ["identifier", "constant", "empty", "numeric (target)"]
    assert "left out: an identifier: 40 different texts in 40 rows" in found["key"][-1]
    assert not (tmp_path / "outputs").exists()
    kinds = ["rooms=categorical", "key=drop", "größe [m²]=categorical", "kind=[tent,flat,house,villa]"]
    found = lines(describe(*CSV, *(f"data.columns.{kind}" for kind in kinds)))
    assert [found[name][0] for name in ("rooms", "größe [m²]")] == ["categorical"] * 2
    assert found["kind"] == ["ordinal", "10 (25.0%)", "2", "tent … villa", "house", ""]
    assert found["key"][-1] == "left out: as declared in data.columns"


def test_what_training_would_refuse_is_shown(describe: Command, tmp_path: Path) -> None:
    bad = TABLE.with_columns(rooms=pl.Series(["1", "?", "3", "2"] * 10), price=pl.lit(None))
    bad.write_csv(tmp_path / "bad.csv")
    ended = describe("data=csv", "data.path=bad.csv", "data.target=price")
    assert ended.status == 2
    assert lines(ended)["rooms"][-1] == "refused: is not a finite number; 10 such cells in this column"
    assert "bad.csv, column 'rooms', line 3, data row 2: is not a finite number" in ended.err
    assert "all values are missing" in ended.err
    ended = describe(*CSV, "data.target=country")
    assert ended.out.splitlines()[-1] == "task: none, as country has a single class: 'x' 40"
    ended = describe(*CSV, "data.target=price", "model.preprocessing.target=log")
    assert (ended.status, "1 rows have a target of 0 or less" in ended.err) == (2, True)
    ended = describe(*CSV, "data/split=group", "data.split.group=country")
    assert (ended.status, lines(ended)["price"][0]) == (2, "numeric")
    assert "data.split.group: has too few groups" in ended.err


def test_row_indices_whole_numbers_notes_and_the_time_of_a_split(describe: Command, tmp_path: Path) -> None:
    sizes, kinds = pl.int_range(40) * 2_564_101 + 5, pl.Series(["flat", "Flat"] * 20)
    TABLE.with_columns(size=sizes, kind=kinds).with_row_index("").write_csv(tmp_path / "t.csv")
    found = lines(describe(*CSV))
    assert list(found) == ["(no name)", *TABLE.columns]
    assert found["(no name)"][0] == "row index"
    assert "left out: the row index" in found["(no name)"][-1]
    assert found["size"][3] == "5 … 99999944"
    assert found["price"][0] == "numeric"  # the target is optional
    assert found["kind"][-1].startswith("'Flat', 'flat' differ only by case or inner spaces and are separate")
    ended = describe(*CSV, "data.target=price", "data/split=time", "data.split.time=sold")
    assert (ended.status, lines(ended)["sold"][:3]) == (0, ["date (input, time)", "", "9"])


def test_a_path_needs_no_key_and_a_function_no_path(describe: Command, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    TABLE.write_csv(tmp_path / "folder/t.csv")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))
    words = ("data.path=t.csv", "t.csv", "data=t.csv", "t.csv.gz", "folder")
    printed = [describe(word, "data.target=price").out.splitlines()[1:] for word in words]
    assert printed == [printed[0]] * len(words)
    assert len(printed[0]) > len(TABLE.columns)
    assert list(lines(describe("data=synthetic", "data.function=sine"))) == ["x1", "target"]
    several = describe("-m", "data=synthetic", "data.seed=1,2")
    assert_short_answer(several, ["data.seed: several values for one run"])


@pytest.mark.parametrize("width", [80, 120])
def test_it_is_readable_on_a_terminal(describe: Command, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    names = [f"mean_of_sensor_{number}_over_the_last_hours" for number in range(25)]
    columns = {name: [number + index / 8 for number in range(40)] for index, name in enumerate(names)}
    keys = [f"k{number}" + "x" * 70 for number in range(40)]
    pl.DataFrame({**columns, "key": keys}).write_csv("t.csv")
    for name, value in {"FORCE_COLOR": "1", "TERM": "dumb", "COLUMNS": str(width), "LINES": "99"}.items():
        monkeypatch.setenv(name, value)
    printed = re.sub(r"\x1b\[[0-9;]*m", "", describe(*CSV).out).splitlines()
    assert max(map(len, printed)) <= width
    cells = [line.split("│")[1].strip() for line in printed if line.startswith("│")]
    assert "".join(cells) == "".join([*names, "key"])  # whole, if folded
    assert "data.columns.key=categorical" in " ".join(printed).replace("│", " ")


def test_distinct_values_are_counted_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlplab.commands.describe.MOST_CELLS", 30_000)
    number = pl.int_range(20_000, eager=True)
    frame = pl.DataFrame({"number": number, "few": number % 1000, "text": "a" + (number % 7).cast(pl.String)})
    description = described(config("data=frame", "data.target=few"), frame)
    assert description.distinct == {"number": "10,000+", "few": "1,000+", "text": "7"}


def test_distinct_values_and_examples_are_of_cells_that_are_not_missing() -> None:
    dates = ["", "2024-01-05", "2024-01-06", "2024-01-05", "2024-02-05"]
    frame = pl.DataFrame({"x": ["NA", "0.5", "0", "0", "0"], "d": dates, "k": [*"abcda"]})
    description = described(config("data=frame", "data.target=k"), frame)
    assert description.distinct == {"x": "2", "d": "3", "k": "4"}
    assert description.examples == {"x": "0.5", "d": "2024-01-05", "k": "a"}
