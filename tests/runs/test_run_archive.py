"""Runs as one file: what it holds, what it leaves out, and files that mlplab has not written."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from faults.test_hostile import said_to_be_encrypted
from support import Command, assert_short_answer, without_notes

import mlplab
from mlplab.runs import checkpoint
from mlplab.runs.discovery import ChosenEnsemble
from mlplab.runs.run_archive import unpack
from mlplab.runs.trained.load import contained_values

pytestmark = pytest.mark.usefixtures("full_speed")

SMALL = ("data.split.seed=1", "trainer.max_epochs=3", "baselines=[]", "figures=none", "ensemble=2")

X, Y = np.random.default_rng(0).normal(size=(2, 400))
FRAME = pl.DataFrame({"x": X, "secret": [f"name {number % 20}" for number in range(400)], "y": Y})


@pytest.fixture(scope="module")
def run() -> mlplab.FinishedRun:
    return mlplab.train(FRAME, "y", overrides=SMALL, progress=False)


@pytest.fixture
def folder(run: mlplab.FinishedRun, tmp_path: Path) -> Path:
    """The table, and files without and with the hashes of rows in training."""
    FRAME.write_csv(tmp_path / "t.csv")
    run.save(tmp_path / "a.mlplab")
    run.save(tmp_path / "b.mlplab", seen=True)
    return tmp_path


def test_a_file_predicts_as_its_run(run: mlplab.FinishedRun, folder: Path) -> None:
    loaded = mlplab.load(path := folder / "a.mlplab")
    assert (loaded.metrics, loaded.config, loaded.schema) == (run.metrics, run.config, run.schema)
    assert loaded.predict(FRAME, interval=0.9).equals(run.predict(FRAME, interval=0.9))
    again = loaded.save(folder / "again.mlplab")
    with zipfile.ZipFile(path) as one, zipfile.ZipFile(again) as other:
        assert [one.read(name) for name in one.namelist()] == [other.read(name) for name in other.namelist()]
    weights = sum(tensor.numel() * tensor.element_size() for tensor in run.model.runs[0].state.values())
    assert path.stat().st_size <= 1.3 * weights + 100_000
    assert loaded.folder is None
    unpacked = loaded._source.folder
    del loaded
    assert not unpacked.exists()


def test_what_a_file_contains_of_the_table(run: mlplab.FinishedRun, folder: Path) -> None:
    for name in "ab":
        unpack(folder / f"{name}.mlplab", folder / name)
    without, with_seen = (checkpoint.load(folder / name / "checkpoints/best.ckpt") for name in "ab")
    assert without.keys() == with_seen.keys() - {"seen"}
    assert "training" not in without
    said = [contained_values(run.model, kind="file", seen=seen) for seen in (False, True)]
    for words in ("all categories of secret", "the median", "quantiles of each", "up to 1,000 errors"):
        assert words in " ".join(said[0])
    assert ["hashes of the rows" in " ".join(lines) for lines in said] == [False, True]


def test_what_is_unknown_stays_unknown(folder: Path, run_script: Command) -> None:
    """Neither a file that is saved again nor a warm start makes test rows of rows that nobody knows."""
    without = run_script("evaluate", "run=a.mlplab", "data.path=t.csv")
    assert "which rows were in training is unknown" in without.err
    assert "all rows, perhaps not a test" in without.out
    assert mlplab.load("a.mlplab").evaluate(FRAME).keys() >= {"unchecked/rmse", "rows"}
    with_seen = run_script("evaluate", "run=b.mlplab", "data.path=t.csv")
    assert "were in training or validation and are left out" in with_seen.err
    with pytest.raises(mlplab.UserError, match="saved without the hashes of rows in training"):
        mlplab.load("a.mlplab").save("c.mlplab", seen=True)
    table = ("data=csv", "data.path=t.csv", "data.target=y", "trainer.max_epochs=2", "baselines=[]")
    warm = run_script("train", *table, "figures=none", "init_from=a.mlplab", "hydra.run.dir=warm")
    assert "which rows were in its training cannot be told" in warm.out
    assert mlplab.load("warm").evaluate("t.csv").keys() >= {"unchecked/rmse"}


def test_mistakes_name_the_file(folder: Path, run_script: Command) -> None:
    for words, said in (
        ("export run=a.mlplab output=b.mlplab interval=0.9", "interval"),
        ("export run=a.mlplab seen=true", "seen"),
        ("export run=a.mlplab output=b.txt", "give a .onnx or .mlplab file"),
        ("predict run=a.mlplab input=t.csv output=o.csv sets=0.9", "a.mlplab: predicts"),
        ("report gone.mlplab", "gone.mlplab: no such file"),
    ):
        assert_short_answer(ended := run_script(*words.split()), [said])
        assert "mlplab-" not in without_notes(ended.err)


def rewritten(path: Path, compression: int = zipfile.ZIP_STORED, **added: str) -> None:
    with zipfile.ZipFile(path) as source:
        content = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(path, "w", compression) as target:
        for name, text in [*content.items(), *added.items()]:
            target.writestr(name, text)


BROKEN: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("no archive"),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-500]),
    "compressed": lambda path: rewritten(path, zipfile.ZIP_DEFLATED),
    "encrypted": said_to_be_encrypted,
    "up": lambda path: rewritten(path, **{"../evil.txt": "x"}),
    "other": lambda path: rewritten(path, **{"code.py": "x"}),
    "twice": lambda path: rewritten(path, **{"metrics.json": "{}"}),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", BROKEN)
def test_files_that_mlplab_has_not_written(folder: Path, run_script: Command, kind: str) -> None:
    BROKEN[kind](folder / "a.mlplab")
    ended = run_script("predict", "run=a.mlplab", "input=t.csv", "output=o.csv")
    assert_short_answer(ended, ["a.mlplab: is damaged", "save the run again"])
    assert not (folder.parent / "evil.txt").exists()


def test_an_ensemble_of_a_sweep_is_one_file(folder: Path, run_script: Command) -> None:
    table = ("data=csv", "data.path=t.csv", "data.target=y", "hydra.sweep.dir=s", "model.hidden=[4]")
    assert run_script("train", "-m", *SMALL, *table, "seed=1,2,3").status == 0
    ChosenEnsemble({"seed=1": 0.25, "seed=2": 0.75}).write(folder / "s/ensemble-2.json")
    weighted = ("s/ensemble-2.json", "best", "weighted")
    for run, runs, name in (("s", "best", "best"), ("s", "2", "two"), weighted):
        ended = run_script("export", f"run={run}", f"runs={runs}", f"output={name}.mlplab")
        assert (ended.status, "it contains no rows" in ended.out) == (0, True)
        loaded, expected = mlplab.load(f"{name}.mlplab"), mlplab.load(run, runs)
        np.testing.assert_array_equal(loaded.predict(FRAME), expected.predict(FRAME))
        assert run_script("results", f"{name}.mlplab").status == 0
    again = run_script("export", "run=s", "output=best.mlplab")
    assert_short_answer(again, ["already exists", "overwrite=true"])
