"""Runs as one file: what it holds, what it leaves out, and files that mlplab has not written."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support import Ended, assert_short_answer, without_notes

import mlplab
from mlplab.runs import checkpoint
from mlplab.runs.run_file import unpack
from mlplab.runs.trained.run_files import RunFiles

pytestmark = pytest.mark.usefixtures("full_speed")

Command = Callable[..., Ended]

SMALL = ("data.split.seed=1", "trainer.max_epochs=3", "baselines=[]", "figures=none", "ensemble=2")
ROWS = 400
DRAWN = np.random.default_rng(0)
FRAME = pl.DataFrame(
    {
        "x": DRAWN.normal(size=ROWS),
        "secret": [f"name {number % 20}" for number in range(ROWS)],
        "y": DRAWN.normal(size=ROWS),
    }
)


@pytest.fixture(scope="module")
def run() -> mlplab.FinishedRun:
    return mlplab.train(FRAME, "y", overrides=SMALL, progress=False)


def test_a_file_predicts_as_its_run(run: mlplab.FinishedRun, tmp_path: Path) -> None:
    path = run.save(tmp_path / "a.mlplab")
    loaded = mlplab.load(path)
    assert isinstance(loaded, mlplab.FinishedRun)
    assert loaded.metrics == run.metrics
    assert loaded.config == run.config
    assert loaded.schema == run.schema
    predicted, expected = (each.predict(FRAME, interval=0.9) for each in (loaded, run))
    assert isinstance(predicted, pl.DataFrame)
    assert predicted.equals(expected)
    again = loaded.save(tmp_path / "again.mlplab")
    with zipfile.ZipFile(path) as one, zipfile.ZipFile(again) as other:
        names = [name for name in one.namelist() if name != "model.md"]
        assert [one.read(name) for name in names] == [other.read(name) for name in names]
    assert loaded.folder is None
    assert isinstance(loaded._source, RunFiles)
    folder = loaded._source.folder
    del loaded
    assert not folder.exists()


def test_a_file_is_little_more_than_the_weights(run: mlplab.FinishedRun, tmp_path: Path) -> None:
    [trained] = run.model.runs
    weights = sum(tensor.numel() * tensor.element_size() for tensor in trained.state.values())
    assert run.save(tmp_path / "a.mlplab").stat().st_size <= 1.3 * weights + 100_000


def test_what_a_file_contains_of_the_table(run: mlplab.FinishedRun, tmp_path: Path) -> None:
    unpack(run.save(tmp_path / "a.mlplab"), tmp_path / "a")
    unpack(run.save(tmp_path / "b.mlplab", seen=True), tmp_path / "b")
    without, with_seen = (checkpoint.load(tmp_path / name / "checkpoints/best.ckpt") for name in "ab")
    assert without.keys() == with_seen.keys() - {"seen"}
    assert "training" not in without
    page = (tmp_path / "a/model.md").read_text(encoding="utf-8")
    for words in ("all categories of secret", "the median", "quantiles of each", "up to 1,000 errors"):
        assert words in page
    assert "hashes of the rows" not in page
    assert "hashes of the rows" in (tmp_path / "b/model.md").read_text(encoding="utf-8")


def test_rows_of_training_are_recognised_only_with_their_hashes(
    run: mlplab.FinishedRun, run_script: Command, tmp_path: Path
) -> None:
    FRAME.write_csv(tmp_path / "t.csv")
    run.save(tmp_path / "a.mlplab")
    run.save(tmp_path / "b.mlplab", seen=True)
    without = run_script("evaluate", "run=a.mlplab", "data.path=t.csv")
    assert "which rows were in training is unknown" in without.err
    assert "all rows, perhaps not a test" in without.out
    assert mlplab.load("a.mlplab").evaluate(FRAME).keys() >= {"unchecked/rmse", "rows"}
    with_seen = run_script("evaluate", "run=b.mlplab", "data.path=t.csv")
    assert "were in training or validation and are left out" in with_seen.err
    assert mlplab.load("b.mlplab").evaluate(FRAME)["test/rmse"] > 0


def test_what_is_unknown_stays_unknown(
    run: mlplab.FinishedRun, run_script: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a file that is saved again nor a warm start makes test rows of rows that nobody knows."""
    FRAME.write_csv(tmp_path / "t.csv")
    loaded = mlplab.load(run.save(tmp_path / "a.mlplab"))
    assert isinstance(loaded, mlplab.FinishedRun)
    with pytest.raises(mlplab.UserError, match="saved without the hashes of rows in training"):
        loaded.save(tmp_path / "b.mlplab", seen=True)
    table = ("data=csv", "data.path=t.csv", "data.target=y", "trainer.max_epochs=2", "baselines=[]")
    warm = run_script("train", *table, "figures=none", "init_from=a.mlplab", "hydra.run.dir=warm")
    assert warm.status == 0
    assert "which rows were in its training cannot be told" in warm.out
    assert mlplab.load("warm").evaluate("t.csv").keys() >= {"unchecked/rmse"}


def test_an_ensemble_of_a_sweep_is_one_file(run_script: Command, tmp_path: Path) -> None:
    FRAME.write_csv(tmp_path / "t.csv")
    table = ("data=csv", "data.path=t.csv", "data.target=y", "hydra.sweep.dir=s", "model.hidden=[4]")
    assert run_script("train", "-m", *SMALL, *table, "seed=1,2,3").status == 0
    assert run_script("evaluate", "run=s", "select=4").status == 0
    for run, name in (("s", "best"), ("s/ensemble-4.json", "chosen")):
        ended = run_script("export", f"run={run}", f"output={name}.mlplab")
        assert (ended.status, "it contains no rows" in ended.out) == (0, True)
        loaded, expected = mlplab.load(f"{name}.mlplab"), mlplab.load(run)
        np.testing.assert_array_equal(loaded.predict(FRAME), expected.predict(FRAME))
        assert isinstance(expected, mlplab.FinishedRun) or expected.save("python.mlplab").exists()
        assert run_script("results", f"{name}.mlplab").status == 0
    assert_short_answer(
        run_script("export", "run=s", "output=best.mlplab"), ["already exists", "overwrite=true"]
    )


def test_keys_of_another_kind_of_file(run: mlplab.FinishedRun, run_script: Command, tmp_path: Path) -> None:
    run.save(tmp_path / "a.mlplab")
    for words, said in (
        (["output=b.mlplab", "interval=0.9"], "interval"),
        (["seen=true"], "seen"),
        (["output=b.txt"], "give a .onnx or .mlplab file"),
    ):
        assert_short_answer(run_script("export", "run=a.mlplab", *words), [said])


def broken(path: Path, kind: str) -> None:
    """A file as mlplab would not write it, at `path`; it was written to `good.mlplab` beside it."""
    good = path.with_name("good.mlplab")
    if kind == "text":
        path.write_text("no archive")
    elif kind == "cut":
        path.write_bytes(good.read_bytes()[:-500])
    elif kind == "encrypted":  # as its directory says, bit 0 of each entry's flags
        content = bytearray(good.read_bytes())
        for match in re.finditer(b"PK\x01\x02", content):
            content[match.start() + 8] |= 1
        path.write_bytes(content)
    else:
        compression = zipfile.ZIP_DEFLATED if kind == "compressed" else zipfile.ZIP_STORED
        with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w", compression) as target:
            for name in source.namelist():
                target.writestr(name, source.read(name))
            if kind not in ("compressed", "twice"):
                names = {"up": "../evil.txt", "absolute": "/tmp/evil.txt", "other": "code.py"}
                target.writestr(names[kind], "x")
            if kind == "twice":
                with pytest.warns(UserWarning, match="Duplicate name"):
                    target.writestr("metrics.json", source.read("metrics.json"))


@pytest.mark.parametrize(
    "kind", ["text", "cut", "compressed", "encrypted", "up", "absolute", "other", "twice"]
)
def test_files_that_mlplab_has_not_written(
    run: mlplab.FinishedRun, run_script: Command, tmp_path: Path, kind: str
) -> None:
    FRAME.write_csv(tmp_path / "t.csv")
    run.save(tmp_path / "good.mlplab")
    broken(tmp_path / "bad.mlplab", kind)
    ended = run_script("predict", "run=bad.mlplab", "input=t.csv", "output=o.csv")
    assert_short_answer(ended, ["bad.mlplab: is damaged", "save the run again"])
    assert not (tmp_path.parent / "evil.txt").exists()


def test_messages_name_the_file(run: mlplab.FinishedRun, run_script: Command, tmp_path: Path) -> None:
    FRAME.write_csv(tmp_path / "t.csv")
    path = run.save(tmp_path / "a.mlplab")
    ended = run_script("predict", f"run={path.name}", "input=t.csv", "output=o.csv", "sets=0.9")
    assert_short_answer(ended, ["a.mlplab: predicts numbers, which have no prediction sets"])
    assert "mlplab-" not in without_notes(ended.err)
    missing = run_script("report", "gone.mlplab")
    assert_short_answer(missing, ["gone.mlplab: no such file"])
