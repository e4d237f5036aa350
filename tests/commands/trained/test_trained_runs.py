"""evaluate, predict and results as users run them, on what train left."""

import io
import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from commands.mistakes import Mistake, assert_refused, each, mistake
from polars.testing import assert_frame_equal
from support import ROOT, SMALL, Ended, assert_short_answer, train_into, without_notes, write_config

import mlplab
from mlplab.commands.importance import Importance
from mlplab.commands.render import verdict
from mlplab.commands.report.report import report
from mlplab.data import synthetic

FRAME = synthetic.draw("friedman1", rows=40, features=None, noise=0.5, seed=5)
COLUMNS = "x1,x2,x3,x4,x5"
NUMBERS = "0.1,0.2,0.3,0.4,0.5"
Command = Callable[..., Ended]

QUICK = ("model.hidden=[8]", "trainer.max_epochs=1", "ensemble=1", "baselines=[]", "name=p")
TEXTS = ["red", 'a "b", c', "two\nlines", "é;|\t"]
KINDS = pl.DataFrame(
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


def write(frame: pl.DataFrame, path: Path) -> None:
    """As CSV or Parquet, by its ending."""
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)


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
del sys.argv[0]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(*{"lightning", "torchmetrics", "hydra", "sklearn"} & {*sys.modules}, file=sys.stderr)
"""


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
    words = [sys.executable, "-c", PROBE, str(ROOT / "scripts/predict.py"), "run=r", "input=-", "output=-"]
    script = f"{shlex.join(words)} < n.csv | head -1"
    done = subprocess.run(script, shell=True, cwd=here, capture_output=True, text=True, check=False)
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


@pytest.mark.parametrize("trained_on", ["u.csv", "u.parquet"])
def test_rows_of_any_kind_are_predicted_in_their_order(
    run_script: Command, tmp_path: Path, trained_on: str
) -> None:
    for name in ("u.csv", "u.parquet"):
        write(KINDS, tmp_path / name)
    ended = run_script("train", f"data.path={trained_on}", "data.target=[y,z]", *QUICK)
    assert ended.status == 0, ended.err
    new = KINDS.drop("y", "z")[np.random.default_rng(0).permutation(60)]
    predicted = []
    for name in ("n.csv", "n.parquet"):
        write(new, tmp_path / name)
        ended = run_script("predict", "run=outputs/p", f"input={name}", f"output=o-{name}")
        assert (ended.status, without_notes(ended.err)) == (0, "")
        path = tmp_path / f"o-{name}"
        is_csv = path.suffix == ".csv"
        back = pl.read_csv(path, schema_overrides=new.schema) if is_csv else pl.read_parquet(path)
        assert back.columns == [*new.columns, "prediction_y", "prediction_z"]
        assert_frame_equal(back.select(pl.nth(range(6))), new)
        predicted.append(back.select("prediction_y", "prediction_z").to_numpy())
    np.testing.assert_array_equal(predicted[0], predicted[1])
    assert len(np.unique(predicted[0][:, 0])) == 60


@pytest.mark.parametrize(("header", "index"), [("", ""), ('"",', '"r ""0""",')])
def test_text_and_an_index_stay_as_they_were_written(
    run_script: Command, tmp_path: Path, header: str, index: str
) -> None:
    rows = [f"{i},{i}.50,red,{i}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,c,y", *rows]) + "\n")
    table = ("data.path=t.csv", "data.target=y", "data.columns.c=drop")
    assert run_script("train", *table, *QUICK).status == 0
    plain = ["+1,1.50,red", "2e0,.5,", ",-0.0,blue"]
    others = ['3," 4.10 ","a, ""b"""', 'NA,5,""', '4,6,"two\nlines"', "5,7,=1+1", "-6,8,-3%"]
    for lines in (plain, plain + others):
        text = "\n".join([f"{header}a,b,c", *(f"{index}{line}" for line in lines)]) + "\n"
        (tmp_path / "n.csv").write_text(text)
        ended = run_script("predict", "run=outputs/p", "input=n.csv", "output=o.csv", "overwrite=true")
        assert ended.status == 0, ended.err
        written = (tmp_path / "o.csv").read_text().splitlines()
        expected = text.replace('" 4.10 "', " 4.10 ").splitlines()
        for line, start in zip(written, expected, strict=True):
            assert line.startswith(start)


def test_evaluate_prints_and_writes(run_script: Command, here: Path) -> None:
    ended = run_script("evaluate", "run=r")
    assert ended.status == 0
    assert "9 rows" in ended.out
    scores = json.loads((here / "r/evaluation.json").read_text())
    assert verdict(scores) in " ".join(ended.out.split())
    ended = run_script("evaluate", "run=s", "data.path=t.csv")
    assert ended.status == 0
    assert all(words in ended.out for words in ("mean of 2 networks", "their ensemble", "t.csv: 40 rows"))
    assert "ensemble/test/rmse" in json.loads((here / "s/evaluation.json").read_text())


WIDE = ["data.function=friedman1", "data.features=25"]


@pytest.mark.parametrize(
    ("words", "error"),
    [([], "RMSE"), (WIDE, "RMSE"), (["loss=quantile", "loss.levels=[0.1,0.5,0.9]"], "pinball loss")],
)
def test_importance_is_printed_and_written(
    run_script: Command, here: Path, monkeypatch: pytest.MonkeyPatch, words: Sequence[str], error: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    if words:
        shutil.rmtree(here / "s")
        train_into(here / "s", [*SMALL, *words])
    plain = run_script("evaluate", "run=s")
    scores = json.loads((here / "s/evaluation.json").read_text())
    ended = run_script("evaluate", "run=s", "importance=true")
    assert (ended.status, ended.err) == (0, plain.err)
    assert ended.out.startswith(plain.out)
    assert max(map(len, ended.out.splitlines())) <= 80
    assert json.loads((here / "s/evaluation.json").read_text()) == scores
    written = Importance.read(here / "s")
    assert written
    assert written.runs == (("0",) if words else ("0", "1"))
    assert (written.source, written.part, written.targets) == (scores["data"], "test", ("target",))
    prefix = "" if words else "ensemble/"
    assert written.error == pytest.approx(scores[f"{prefix}test/{written.metric}"], rel=1e-5)
    assert written.rows == scores["rows"] == 9
    assert ("… and 5 less important columns" in ended.out) == (words == WIDE)
    figure = (here / "s/figures/importance.vl.json").read_text()
    assert f"increase of the {error} in units of target" in figure


@pytest.mark.usefixtures("line_at_end", "without_script_of_charts")
def test_the_importance_of_training_rows_is_no_test(run_script: Command, here: Path) -> None:
    train_into(here / "own", ("data=csv", *SMALL[2:], "data.path=t.csv", "data.target=target"))
    words = ("run=own", "data.path=t.csv", "training_rows=include", "importance=true")
    ended = run_script("evaluate", *words)
    written = Importance.read(here / "own")
    assert written
    assert (written.rows, written.part) == (40, "all")
    figure = (here / "own/figures/importance.vl.json").read_text()
    for place in (ended.out, figure, report(here / "own").read_text()):
        assert "not a test: training rows are included" in place
    for line in ("reading t.csv: 40 rows", "fitting and scoring the baselines", "importance: 5 of 5 columns"):
        assert re.search(rf"{line}, \d s\n", ended.err)


PREDICT = ("predict", "run=r", "input=n.csv", "output=o.csv")


def flip(here: Path) -> None:
    """One bit of the largest entry of a checkpoint."""
    path = here / CHECKPOINT
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + len(largest.filename) + 200] ^= 1
    path.write_bytes(content)


def rewritten(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Changes the content of a checkpoint, which stays a valid one."""

    def rewrite(here: Path) -> None:
        content = torch.load(here / CHECKPOINT, weights_only=True)
        change(content)
        torch.save(content, here / CHECKPOINT)

    return rewrite


def of_another_network(content: dict[str, Any]) -> None:
    content["config"]["model"]["hidden"] = [9]


def another_network_throughout(here: Path) -> None:
    rewritten(of_another_network)(here)
    config = yaml.safe_load((here / "r/config.yaml").read_text())
    of_another_network({"config": config})
    write_config(here / "r", config)


def different_splits(here: Path) -> None:
    train_into(here / "splits", *([*SMALL, f"data.split.seed={seed}"] for seed in range(2)))


CHECKPOINT = "r/checkpoints/best.ckpt"
KNOWN = "predict run=r input=t.csv output=o.csv"
UNFINISHED = {"r/metrics.json": '{"status": "diverged"}'}
NO_SPREAD = "r: is a single network: there is no spread | give a sweep and runs=all | ensemble=8"
SPLITS = "importance=true: the runs have different splits | data.path=…"
FAR = "a value is too large for the network; 40 such rows | correct it, or drop the row"
DAMAGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "best.ckpt: is damaged: an entry is missing": lambda known: known.update(state={}),
    "contains weights that are not finite": lambda known: known["state"]["body.output.bias"].fill_(torch.nan),
    "best.ckpt: is not a checkpoint that this": lambda known: known.update(format=99),
    "best.ckpt: its configuration": lambda known: known.update(config={"z": 1}),
    "belongs to a different run | differs in model.hidden": of_another_network,
}
"""What is said of a checkpoint, and what was done to it."""

MISTAKES: list[Mistake] = [
    mistake("no spread", {}, f"{KNOWN} spread=true", NO_SPREAD),
    mistake("splits", different_splits, "evaluate run=splits runs=all importance=true", SPLITS),
    mistake("far", {"f.parquet": FRAME.with_columns(x1=1e300)}, "evaluate run=r data.path=f.parquet", FAR),
    mistake("missing key", {}, "predict run=r", "input: is missing | output: is missing"),
    mistake("no key", {}, "evaluate r", "r: is not an argument | key=value | type run=r"),
    mistake("no folder", {}, "evaluate run=nowhere", "nowhere: no such folder"),
    mistake("no run", {"d/x": ""}, "evaluate run=d", "d: contains no run | metrics.json"),
    mistake("not finished", UNFINISHED, "evaluate run=r", "r: contains no finished run | diverged"),
    mistake("no file", lambda here: (here / CHECKPOINT).unlink(), KNOWN, "best.ckpt: no such"),
    mistake("a flipped bit", flip, KNOWN, f"{CHECKPOINT}: is damaged | checksum"),
    mistake("metrics", {"r/metrics.json": "{"}, KNOWN, "r/metrics.json: is damaged"),
    mistake("network", another_network_throughout, KNOWN, "contains weights that do not fit the network"),
    *(mistake(said, rewritten(change), KNOWN, said) for said, change in DAMAGES.items()),
]


@each(MISTAKES)
def test_a_mistake_gets_a_short_answer(run_script: Command, here: Path, mistake: Mistake) -> None:
    assert_refused(mistake, here, run_script)


@pytest.mark.parametrize("name", ["target", "input"])
def test_a_column_called_prediction_stays(run_script: Command, here: Path, name: str) -> None:
    """Whether it is what is predicted or an input: the predictions get another name."""
    renamed = FRAME.rename({"target" if name == "target" else "x1": "prediction"})
    renamed.write_csv(here / "t.csv")
    target = "prediction" if name == "target" else "target"
    assert run_script("train", "data.path=t.csv", f"data.target={target}", *QUICK).status == 0
    ended = run_script("predict", "run=outputs/p", "input=t.csv", "output=o.csv")
    assert ended.status == 0, ended.err
    written = pl.read_csv(here / "o.csv")
    assert written.columns == [*renamed.columns, f"prediction_{target}"]
    assert written["prediction"].equals(renamed["prediction"])
    (here / "t.csv").unlink()
    words = ["t.csv: no such file", "outputs/p was trained on it"]
    assert_short_answer(run_script("evaluate", "run=outputs/p"), words)


@pytest.mark.parametrize("script", ["train", "describe", "evaluate", "predict", "results", "benchmark"])
def test_every_script_prints_its_version(run_script: Command, script: str) -> None:
    ended = run_script(script, "--version")
    assert (ended.status, ended.out) == (0, f"mlplab {version('mlplab')}\n")
