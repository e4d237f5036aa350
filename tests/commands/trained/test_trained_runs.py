"""evaluate, predict and results as users run them, on what train left."""

import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from commands.mistakes import Mistake, assert_refused, each, mistake
from support import ROOT, SMALL, Ended, assert_short_answer, train_into, without_notes, write_config

import mlplab
from mlplab.commands.render import verdict
from mlplab.data import synthetic

FRAME = synthetic.draw("friedman1", rows=40, features=None, noise=0.5, seed=5)
COLUMNS = "x1,x2,x3,x4,x5"
NUMBERS = "0.1,0.2,0.3,0.4,0.5"
Command = Callable[..., Ended]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train_into(folder / "s", [*SMALL, "seed=0"], [*SMALL, "seed=1"])
    return folder / "s"


@pytest.fixture
def here(trained: Path, tmp_path: Path) -> Path:
    """A folder with a run, a sweep and a table."""
    shutil.copytree(trained, tmp_path / "s")
    shutil.copytree(trained / "0", tmp_path / "r")
    FRAME.write_csv(tmp_path / "t.csv")
    return tmp_path


PROBE = """import runpy, sys
absent, sys.argv = sys.argv[1].split(), sys.argv[2:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(*(name for name in absent if name in sys.modules), file=sys.stderr)
"""


def probe(absent: str, script: str, *arguments: str) -> list[str]:
    """The command line of a script that names the modules that it has imported, but should not have."""
    return [sys.executable, "-c", PROBE, absent, str(ROOT / "scripts" / f"{script}.py"), *arguments]


def test_predict_adds_the_spread_of_the_networks(run_script: Command, here: Path) -> None:
    assert run_script("predict", "run=s", "input=t.csv", "output=o.csv", "spread=true").status == 0
    single = [mlplab.load(here / "s" / run).predict(FRAME) for run in "01"]
    found = pl.read_csv(here / "o.csv")
    assert found.columns == [*FRAME.columns, "prediction", "prediction_sd"]
    np.testing.assert_allclose(found["prediction_sd"], np.std(single, axis=0), rtol=1e-9)
    in_python = mlplab.load(here / "s").predict_spread(FRAME)
    np.testing.assert_array_equal(in_python["prediction_sd"], found["prediction_sd"])


def test_predict_from_standard_input_to_standard_output(
    run_script: Command, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (here / "t.csv").read_text()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    ended = run_script("predict", "run=r", "input=-", "output=-")
    assert [line.rpartition(",")[0] for line in ended.out.splitlines()] == text.splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_predict_imports_little_and_ends_quietly_when_its_reader_goes(here: Path) -> None:
    (here / "n.csv").write_text(f"{COLUMNS}\n" + f"{NUMBERS}\n" * 30_000)
    absent = "lightning torchmetrics hydra sklearn"
    script = shlex.join(probe(absent, "predict", "run=r", "input=-", "output=-"))
    script = f"{script} < n.csv | head -1"
    done = subprocess.run(
        script, shell=True, cwd=here, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.stdout == f"{COLUMNS},prediction\n"
    assert without_notes(done.stderr).strip() == ""


def test_rows_keep_their_order_over_batches(run_script: Command, here: Path) -> None:
    rows = [f"{i},{i / 120_000},0.2,0.3,0.4,0.5" for i in range(120_000)]
    (here / "n.csv").write_text("\n".join([f"id,{COLUMNS}", *rows]) + "\n")
    assert run_script(*PREDICT).status == 0
    lines = (here / "o.csv").read_text().splitlines()
    assert [line.rpartition(",")[0] for line in lines[1:]] == rows
    last = pl.read_csv(here / "o.csv").tail(1)
    (here / "n.csv").write_text(f"id,{COLUMNS}\n{rows[-1]}\n")
    assert run_script(*PREDICT, "overwrite=true").status == 0
    np.testing.assert_allclose(pl.read_csv(here / "o.csv")["prediction"], last["prediction"], rtol=1e-6)


def test_evaluate_names_the_run_whose_data_are_gone(
    command: Command, run_script: Command, here: Path
) -> None:
    data = ("data=csv", "data.path=t.csv", "data.target=target", "model=linear", "ensemble=1")
    assert command(*data, "trainer.max_epochs=1", "name=r").status == 0
    (here / "t.csv").unlink()
    words = ["t.csv: no such file", "outputs/r was trained on it"]
    assert_short_answer(run_script("evaluate", "run=outputs/r"), words)


def test_evaluate_prints_and_writes(run_script: Command, here: Path) -> None:
    ended = run_script("evaluate", "run=r")
    assert ended.status == 0
    assert "9 rows" in ended.out
    assert "this network" in ended.out
    scores = json.loads((here / "r/evaluation.json").read_text())
    assert verdict(scores) in " ".join(ended.out.split())
    ended = run_script("evaluate", "run=s", "data.path=t.csv")
    assert ended.status == 0
    assert all(words in ended.out for words in ("mean of 2 networks", "their ensemble", "t.csv: 40 rows"))
    assert "ensemble/test/rmse" in json.loads((here / "s/evaluation.json").read_text())


def remove(here: Path) -> None:
    (here / "r/checkpoints/best.ckpt").unlink()


def flip(here: Path) -> None:
    path = here / "r/checkpoints/best.ckpt"
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + len(largest.filename) + 200] ^= 1
    path.write_bytes(content)


def rewritten(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Changes the content of a checkpoint, which stays a valid one."""

    def rewrite(here: Path) -> None:
        path = here / "r/checkpoints/best.ckpt"
        content = torch.load(path, weights_only=True)
        change(content)
        torch.save(content, path)

    return rewrite


def of_another_network(content: dict[str, Any]) -> None:
    content["config"]["model"]["hidden"] = [9]


def another_network_throughout(here: Path) -> None:
    rewritten(of_another_network)(here)
    config = yaml.safe_load((here / "r/config.yaml").read_text())
    of_another_network({"config": config})
    write_config(here / "r", config)


PREDICT = ("predict", "run=r", "input=n.csv", "output=o.csv")
KNOWN = ("predict", "run=r", "input=t.csv", "output=o.csv")
EVALUATE = "evaluate run=r data.path=n.csv"
MISSING = {"n.csv": f"{COLUMNS},target\n{NUMBERS},\n"}


def table(name: str, text: str, said: str) -> Mistake:
    return mistake(name, {"n.csv": text}, PREDICT, said)


def checkpoint(name: str, change: Callable[[dict[str, Any]], object], said: str) -> Mistake:
    return mistake(name, rewritten(change), KNOWN, said)


LARGE = f"{COLUMNS}\n" + f"{NUMBERS}\n" * 60_000 + "1,2,x,4,5\n"
TEXT = f"{COLUMNS}\n{NUMBERS}\n1,2,high,4,5\n"
RENAMED = f"{COLUMNS.replace('x5', 'x_5')}\n{NUMBERS}\n"
MISTAKES: list[Mistake] = [
    table("42 late in a large file", LARGE, "n.csv, column 'x3', data row 60001 | 'x'"),
    table("42 text where a number was", TEXT, "column 'x3', data row 2: is a text, not a number | 'high'"),
    table("41 renamed column", RENAMED, "n.csv: lacks the column x5 | rename 'x_5' → 'x5'?"),
    table("45 zero rows", f"{COLUMNS}\n", "n.csv: has no rows to predict"),
    table("a number too large", f"{COLUMNS}\n{NUMBERS}\n1e300,1,1,1,1\n", "data row 2: a value is too large"),
    table(
        "a column of that name", f"{COLUMNS},prediction\n{NUMBERS},1\n", "already has a column 'prediction'"
    ),
    mistake(
        "46 no target when evaluating",
        {"n.csv": f"{COLUMNS}\n{NUMBERS}\n"},
        EVALUATE,
        "n.csv: has no target column 'target' | or only predict",
    ),
    mistake(
        "46 a missing target", MISSING, EVALUATE, "n.csv, target column 'target', line 2, data row 1: a value"
    ),
    mistake("47 output exists", {"o.csv": ""}, KNOWN, "output=o.csv: already exists | overwrite=true"),
    mistake(
        "48 no folder", {}, (*KNOWN[:-1], "output=no/o.csv"), "output=no/o.csv: the folder no does not exist"
    ),
    mistake(
        "a spread of one network",
        {},
        (*KNOWN, "spread=true"),
        "r: is a single network: there is no spread | give a sweep and runs=all | ensemble=8",
    ),
    mistake("missing key", {}, "predict run=r", "input: is missing | output: is missing"),
    mistake("no key", {}, "evaluate r", "r: is not an argument | key=value | type run=r"),
    mistake("65 no folder", {}, "evaluate run=nowhere", "nowhere: no such folder"),
    mistake("65 not a run folder", {"d/x": ""}, "evaluate run=d", "d: contains no run | metrics.json"),
    mistake(
        "65 not finished",
        {"r/metrics.json": '{"status": "diverged"}'},
        "evaluate run=r",
        "r: contains no finished run | diverged",
    ),
    mistake("66 no checkpoint", remove, KNOWN, "best.ckpt: no such"),
    mistake("66 a flipped bit", flip, KNOWN, "r/checkpoints/best.ckpt: is damaged | checksum"),
    mistake("66 metrics", {"r/metrics.json": "{"}, KNOWN, "r/metrics.json: is damaged"),
    checkpoint(
        "66 no state", lambda known: known.update(state={}), "best.ckpt: is damaged: an entry is missing"
    ),
    checkpoint(
        "66 no finite weights",
        lambda known: known["state"]["body.output.bias"].fill_(torch.nan),
        "best.ckpt: contains weights that are not finite",
    ),
    checkpoint(
        "68 version", lambda known: known.update(format=99), "best.ckpt: is not a checkpoint that this"
    ),
    checkpoint(
        "68 configuration", lambda known: known.update(config={"z": 1}), "best.ckpt: its configuration"
    ),
    checkpoint(
        "69 of another run", of_another_network, "belongs to a different run | differs in model.hidden"
    ),
    mistake("69 network", another_network_throughout, KNOWN, "contains weights that do not fit the network"),
]


@each(MISTAKES)
def test_a_mistake_gets_a_short_answer(run_script: Command, here: Path, mistake: Mistake) -> None:
    assert_refused(mistake, here, run_script)


WARNED = [
    ("40 extra", f"{COLUMNS},more\n{NUMBERS},x\n", "ignoring columns not seen in training: more"),
    (
        "44 missing",
        f"{COLUMNS}\n{NUMBERS}\n1,,3,4,5\n",
        "imputed missing values (median or mode) in columns that had",
    ),
]


@pytest.mark.parametrize(("row", "text", "said"), WARNED, ids=[case[0] for case in WARNED])
def test_oddities_are_warned_of(run_script: Command, here: Path, row: str, text: str, said: str) -> None:
    (here / "n.csv").write_text(text)
    ended = run_script(*PREDICT)
    assert ended.status == 0
    (warning,) = without_notes(ended.err).splitlines()
    assert warning.startswith("warning: n.csv: ")
    assert said in warning
    assert (here / "o.csv").exists()


@pytest.mark.parametrize("name", ["target", "input"])
def test_a_column_called_prediction_stays(run_script: Command, here: Path, name: str) -> None:
    """Whether it is what is predicted or an input: the predictions get another name."""
    renamed = FRAME.rename({"target" if name == "target" else "x1": "prediction"})
    renamed.write_csv(here / "t.csv")
    target = "prediction" if name == "target" else "target"
    train = ("train", "data.path=t.csv", f"data.target={target}", "model=linear", "trainer.max_epochs=1")
    assert run_script(*train, "ensemble=1", "baselines=[]", "name=p").status == 0
    ended = run_script("predict", "run=outputs/p", "input=t.csv", "output=o.csv")
    assert ended.status == 0, ended.err
    written = pl.read_csv(here / "o.csv")
    assert written.columns == [*renamed.columns, f"prediction_{target}"]
    assert written["prediction"].equals(renamed["prediction"])


@pytest.mark.parametrize("script", ["train", "describe", "evaluate", "predict", "results", "benchmark"])
def test_every_script_prints_its_version(run_script: Command, script: str) -> None:
    ended = run_script(script, "--version")
    assert (ended.status, ended.out) == (0, f"mlplab {version('mlplab')}\n")


UNREAD = [("train", "--help"), ("results", "s")]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
@pytest.mark.parametrize("words", UNREAD, ids=" ".join)
def test_a_command_without_torch_whose_output_nobody_reads_ends_quietly(
    here: Path, words: tuple[str, ...]
) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with open(theirs, "w") as output:  # noqa: PTH123 - a number, no path
        done = subprocess.run(
            probe("torch lightning torchmetrics", *words),
            cwd=here,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            timeout=100,
            check=False,
        )
    assert without_notes(done.stderr).strip() == ""
