"""The script predict on tables of all kinds of columns."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from support import Ended, without_notes

Command = Callable[..., Ended]

TEXTS = ["red", 'a "b", c', "two\nlines", "é;|\t"]
FRAME = pl.DataFrame(
    {
        "row": range(60),
        "^x.*$": [None if i % 9 == 4 else i / 8 for i in range(60)],
        "a, b": [None if i % 7 == 3 else i % 2 == 0 for i in range(60)],
        "*": [None if i % 8 == 5 else TEXTS[i % 4] for i in range(60)],
        "day": [datetime(2024, 1, 31).date() + timedelta(days=11 * i) for i in range(60)],
        "moment": [datetime(2024, 1, 31) + timedelta(hours=7.25 * i) for i in range(60)],
        "y": [float(i) ** 1.5 for i in range(60)],
        "z": [float(i % 5) for i in range(60)],
    }
)
SMALL = ("model.hidden=[8]", "trainer.max_epochs=1", "ensemble=1", "baselines=[]", "name=r")


def write(frame: pl.DataFrame, path: Path) -> None:
    """As CSV or Parquet, by its ending."""
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)


@pytest.mark.parametrize("trained_on", ["t.csv", "t.parquet"])
def test_rows_of_any_kind_are_predicted_in_their_order(
    run_script: Command, tmp_path: Path, trained_on: str
) -> None:
    write(FRAME, tmp_path / trained_on)
    ended = run_script("train", "data=csv", f"data.path={trained_on}", "data.target=[y,z]", *SMALL)
    assert ended.status == 0, ended.err
    order = np.random.default_rng(0).permutation(60)
    new = FRAME.drop("y", "z")[order]
    predicted = []
    for name in ("n.csv", "n.parquet"):
        write(new, tmp_path / name)
        ended = run_script("predict", "run=outputs/r", f"input={name}", f"output=o-{name}")
        assert ended.status == 0, ended.err
        assert not without_notes(ended.err)
        read = pl.read_csv if name == "n.csv" else pl.read_parquet
        schema = {"schema_overrides": new.schema} if name == "n.csv" else {}
        back = read(tmp_path / f"o-{name}", **schema)
        assert back.columns == [*new.columns, "prediction_y", "prediction_z"]
        assert_frame_equal(back.select(pl.nth(range(6))), new)
        predicted.append(back.select("prediction_y", "prediction_z").to_numpy())
    np.testing.assert_array_equal(predicted[0], predicted[1])
    ended = run_script("predict", "run=outputs/r", f"input={trained_on}", "output=own.csv")
    assert re.search(r"predicted 60 rows in \S+ s\n", ended.err)
    assert len(np.unique(predicted[0][:, 0])) == 60


@pytest.mark.parametrize("header", [",a,b", "a,b"])
def test_a_row_index_is_written_back_and_changes_no_prediction(
    run_script: Command, tmp_path: Path, header: str
) -> None:
    for name, more in (("new", [""] * 41), ("table", [",y", *(f",{i * i}" for i in range(40))])):
        cells = ["a,b", *(f"{i},{i % 3}" for i in range(40))]
        rows = [row + end for row, end in zip(cells, more, strict=True)]
        names = [header + more[0], *(f'"r ""{i}""",{row}' for i, row in enumerate(rows[1:]))]
        (tmp_path / f"{name}.csv").write_text("\n".join(rows))
        (tmp_path / f"indexed-{name}.csv").write_text("\n".join(names))
    predicted = []
    for table in ("table", "indexed-table"):
        train = ("data=csv", f"data.path={table}.csv", "data.target=y", *SMALL[:-1], f"name={table}")
        assert run_script("train", *train).status == 0
        for new in ("new", "indexed-new"):
            arguments = (f"run=outputs/{table}", f"input={new}.csv", "output=o.csv", "overwrite=true")
            ended = run_script("predict", *arguments)
            assert (ended.status, without_notes(ended.err)) == (0, "")
            back = pl.read_csv(tmp_path / "o.csv")
            index = [""] if new == "indexed-new" else []
            assert back.columns == [*index, "a", "b", "prediction"]
            assert all(back[name].to_list() == [f'r "{i}"' for i in range(40)] for name in index)
            predicted.append(back["prediction"].to_list())
    assert all(each == predicted[0] for each in predicted)


def test_text_stays_as_it_was_written(run_script: Command, tmp_path: Path) -> None:
    rows = [f"{i},{i}.50,red,{i}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,c,y", *rows]) + "\n")
    table = ("data=csv", "data.path=t.csv", "data.target=y", "data.columns.c=drop")
    assert run_script("train", *table, *SMALL).status == 0
    plain = ["+1,1.50,red", "2e0,.5,", ",-0.0,blue"]
    others = ['3," 4.10 ","a, ""b"""', 'NA,5,""', '4,6,"two\nlines"', "5,7,=1+1", "-6,8,-3%"]
    for name, lines in (("plain", plain), ("others", plain + others)):
        (tmp_path / f"{name}.csv").write_text("\n".join(["a,b,c", *lines]) + "\n")
        ended = run_script("predict", "run=outputs/r", f"input={name}.csv", f"output=o-{name}.csv")
        assert ended.status == 0, ended.err
        [header, *written] = (tmp_path / f"o-{name}.csv").read_text().rstrip().split("\n")
        assert header == "a,b,c,prediction"
        expected = [*plain, *(others if name == "others" else [])]
        kept = "\n".join(expected).replace('" 4.10 "', " 4.10 ").split("\n")
        for line, start in zip(written, kept, strict=True):
            assert line.startswith(start)
