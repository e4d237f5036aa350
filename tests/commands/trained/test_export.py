"""The script export: the model that it writes, and the page beside it, used without mlplab."""

import re
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from commands.mistakes import Command
from support import assert_short_answer, train_into, without_notes

import mlplab

SMALL = ("data=csv", "data.path=t.csv", "data.target=y", "trainer.max_epochs=1", "model.hidden=[4]")
COLUMNS = {
    "x": [None if row % 9 == 4 else row / 8 for row in range(200)],
    "is | it?": [row % 2 == 0 for row in range(200)],
    "colour": [None if row % 7 == 4 else ["red", "blue", "green"][row % 3] for row in range(200)],
    "day": [f"2024-{row % 12 + 1:02}-{row % 28 + 1:02}" for row in range(200)],
    "sold": [f"{row % 28 + 1}.{row % 12 + 1}.2024" for row in range(200)],
    "built": [f"{row % 30 + 1990}/{row % 12 + 1:02}" for row in range(200)],
    "opens": [f"{row % 24:02}:30" for row in range(200)],
    "y": [row**1.5 for row in range(200)],
}
FRAME = pl.DataFrame(COLUMNS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    FRAME.write_csv(folder / "t.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train_into(folder / "s", *([*SMALL, "baselines=[]", "ensemble=1", f"seed={seed}"] for seed in (0, 1)))
    return folder


def test_the_page_shows_how_to_use_the_model(
    succeed: Command, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained / "s" / "0"
    monkeypatch.chdir(trained)
    monkeypatch.setenv("COLUMNS", "80")
    ended = succeed("export", "run=s/0", "interval=0.9")
    assert without_notes(ended.err) == ""
    said = r"(?s)^model: s/0/model.onnx \(0.0\d MB\)\n.*: s/0/model.md\nchecked: on 200 rows"
    assert re.search(said, ended.out)
    page = (run / "model.md").read_text(encoding="utf-8")
    assert r"| `is \| it?` | float64 | 1 is true, 0 is false; NaN is missing |" in page
    assert "one of 'blue', 'green', 'red'; any other text" in page
    [example] = re.findall(r"(?s)```python\n(.*?)```", page)
    assert (example.count("\n") < 28, "mlplab" in example) == (True, False)
    FRAME.write_csv(run / "new.csv")
    monkeypatch.chdir(run)
    exec(example, names := dict[str, Any]())
    numbers = capsys.readouterr().out.strip("[]\n").split()
    assert [*map(float, numbers)] == pytest.approx(mlplab.load(run).predict(FRAME[:3]), rel=1e-5)
    assert names["outputs"]["lower"].shape == (200,)
    monkeypatch.chdir(trained)
    assert without_notes(succeed("export", "run=s", "runs=all").err) == "s: all 2 runs\n"
    assert "2 networks" in Path("s/model.md").read_text(encoding="utf-8")
    assert Path("s/model.onnx").is_file()


def test_files_of_others_stay_as_they_are(run_script: Command, trained: Path) -> None:
    export = ("export", f"run={trained / 's/0'}", f"data.path={trained / 't.csv'}")
    for name in (files := ("README.md", "a.onnx")):
        Path(name).write_text("mine")
    said = ["README.md: exists, and is not the page of README.onnx"]
    assert_short_answer(run_script(*export, "output=README.onnx"), said)
    assert_short_answer(run_script(*export, "output=a.onnx"), ["already exists", "overwrite=true"])
    assert run_script(*export[:2], "output=a.mlplab").status == 0
    assert_short_answer(run_script("export", "run=a.mlplab"), ["output=a.onnx: already exists"])
    assert {Path(name).read_text() for name in files} == {"mine"}


def test_a_model_is_checked_on_rows(
    succeed: Command, run_script: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, frame in {"empty": FRAME.clear(), "far": FRAME[:1].with_columns(x=pl.lit(1e9))}.items():
        frame.write_csv(f"{name}.csv")
    export = ("export", f"run={trained / 's/1'}")
    assert "on 1 row of a table" in succeed(*export, "data.path=far.csv").out
    for word, said in (
        ("data.path=gone.csv", ["gone.csv: no such file"]),
        ("sets=0.9", ["predicts numbers, which have no prediction sets", "use interval=0.9"]),
        ("data.path=empty.csv", ["empty.csv", "no rows"]),
        ("interval=0.9", ["t.csv: no such file", "other rows on which to check the model: data.path="]),
    ):
        assert_short_answer(run_script(*export, word), said)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    said = ["needs onnxruntime", "uv sync --extra onnx, or pip install onnxruntime"]
    assert_short_answer(run_script(*export), said)
