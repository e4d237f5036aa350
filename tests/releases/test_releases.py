"""What earlier releases wrote is read: their examples lie beside this file."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support import ROOT, Command, Ended, assert_short_answer, process, without_notes

import mlplab
from mlplab.runs import checkpoint
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.runs.versions import OLDEST, VERSION, numbers

pytestmark = pytest.mark.usefixtures("full_speed", "without_script_of_charts")

NEXT = f"{numbers(VERSION)[0]}.{numbers(VERSION)[1] + 1}"
RELEASES = sorted(path.parent.name for path in Path(__file__).parent.glob("*/table.csv"))


def example(release: str, folder: Path) -> Path:
    return Path(shutil.copytree(Path(__file__).parent / release, folder / release))


def test_this_release_has_an_example() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r'(?m)^version = "(\d+\.\d+)\.\d+"$', text) == [VERSION]
    assert RELEASES[-1] == VERSION


@pytest.mark.parametrize("release", RELEASES)
def test_examples(run_script: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    monkeypatch.chdir(example(release, tmp_path))
    expected = pl.read_csv("predicted.csv")
    for name in ("run", "run.mlplab"):
        run = mlplab.load(name)
        predicted = run.predict(pl.read_csv("table.csv"), interval=0.9)
        np.testing.assert_allclose(predicted, expected, rtol=1e-5)
    commands = ("evaluate run=run.mlplab data.path=table.csv", "results run", "report run", "export run=run")
    for words in commands:
        assert run_script(*words.split()).status == 0
    assert f"{run.metrics['test/rmse']:.4g}" in run_script("evaluate", "run=run").out
    assert Path("run/report.html").exists()


@pytest.mark.slow
def test_the_next_release_reads_this_one(tmp_path: Path) -> None:
    """In it, `threshold_metric` might be `threshold_score`, and there might be a key more."""
    for name in ("src", "conf"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [*tmp_path.rglob("*.py"), *tmp_path.rglob("*.yaml")]:
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("threshold_metric", "threshold_score"), encoding="utf-8")
    conversions = "CONVERSIONS: dict[str, Callable[[Plain], None]] = {"
    to_next = (
        "def to_next(content: Plain) -> None:\n"
        "    if config := content.get('config'):\n"
        "        config.update(note='old', threshold_score=config.pop('threshold_metric'))\n\n\n"
    )
    for name, old, new in (
        ("conf/train.yaml", "threshold_score:", "note: new\nthreshold_score:"),
        ("src/mlplab/config/run.py", "    threshold_score:", "    note: str\n    threshold_score:"),
        ("src/mlplab/runs/versions.py", f'VERSION = "{VERSION}"', f'VERSION = "{NEXT}"'),
        ("src/mlplab/runs/versions.py", conversions, f"{to_next}{conversions}'{NEXT}': to_next, "),
    ):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (tmp_path / name).write_text(text.replace(old, new), encoding="utf-8")

    def next_release(*words: str) -> Ended:
        return process(["-m", "mlplab", *words], tmp_path, PYTHONPATH=os.fspath(tmp_path / "src"))

    folder = example(VERSION, tmp_path).rename(tmp_path / "this")
    expected = pl.read_csv(folder / "predicted.csv")["prediction"]
    for name in ("run", "run.mlplab"):
        ended = next_release("predict", f"run=this/{name}", "input=this/table.csv", f"output={name}.csv")
        assert (ended.status, without_notes(ended.err)) == (0, "")
        predicted = pl.read_csv(tmp_path / f"{name}.csv")["prediction"]
        np.testing.assert_allclose(predicted, expected, rtol=1e-5)
    ended = next_release("results", "this/run", "--by", "threshold_score,note")
    assert (ended.status, "old" in ended.out) == (0, True)
    refused = next_release("train", "resume=this/run")
    assert_short_answer(refused, ["begun by another version of mlplab", "init_from="])


def test_unknown_keys_are_named(run_script: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later one has written a key more."""
    run = example(VERSION, tmp_path) / "run"
    monkeypatch.chdir(run.parent)
    text = (run / "config.yaml").read_text(encoding="utf-8").replace(f"mlplab {VERSION}", f"mlplab {NEXT}")
    (run / "config.yaml").write_text(f"{text}note: new\n", encoding="utf-8")
    content = checkpoint.load(best := run / "checkpoints/best.ckpt")
    checkpoint.save(best, content | {"config": content["config"] | {"note": "new"}})
    said = f"was written by mlplab {NEXT}; this version ({VERSION}) does not know all of it"
    assert_short_answer(run_script("evaluate", "run=run"), [said, "note", f"use mlplab {NEXT}"])
    assert run_script("results", "run").status == 0


def test_the_oldest_version_is_read(tmp_path: Path) -> None:
    config = (run := example("1.0", tmp_path) / "run") / "config.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("# mlplab 1.0", f"# mlplab {OLDEST}"), encoding="utf-8")
    assert TrainedRun.read(run).metrics["status"] == "done"
