"""evaluate, predict and results as users run them, on what train left."""

import io
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from commands.mistakes import Command, Mistake, assert_refused, each, mistake
from support import ROOT, SMALL, metrics_of, train_into, without_notes, write_config

import mlplab
from mlplab.commands.arguments import Evaluate
from mlplab.commands.evaluate import evaluate
from mlplab.commands.importance import Importance
from mlplab.commands.render import verdict
from mlplab.commands.report.report import report
from mlplab.data import synthetic
from mlplab.runs.discovery import ChosenEnsemble

FRAME = synthetic.draw("friedman1", rows=40, features=None, noise=0.5, seed=5)
COLUMNS = "x1,x2,x3,x4,x5"
NUMBERS = "0.1,0.2,0.3,0.4,0.5"
QUICK = ("model.hidden=[8]", "trainer.max_epochs=1", "ensemble=1", "baselines=[]", "name=p")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    words = (*SMALL, "model.linear_path=false")  # or both would be the ridge regression
    train_into(folder / "s", [*words, "seed=0"], [*words, "seed=1"])
    return folder / "s"


@pytest.fixture
def here(trained: Path, tmp_path: Path) -> Path:
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


def test_predict_adds_the_spread_of_the_networks(succeed: Command, here: Path) -> None:
    succeed("predict", "run=s", "input=t.csv", "output=o.csv", "spread=true")
    found = pl.read_csv("o.csv")
    assert found.columns == [*FRAME.columns, "prediction", "prediction_sd"]
    single = [mlplab.load(here / "s" / run).predict(FRAME) for run in "01"]
    np.testing.assert_allclose(found["prediction_sd"], np.std(single, axis=0), rtol=1e-9)
    assert mlplab.load("s").predict_spread(FRAME)["prediction_sd"].equals(found["prediction_sd"])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_predict_imports_little_and_ends_quietly_when_its_reader_goes(here: Path) -> None:
    (here / "n.csv").write_text(f"{COLUMNS}\n" + f"{NUMBERS}\n" * 30_000)
    words = [sys.executable, "-c", PROBE, str(ROOT / "scripts/predict.py"), "run=r", "input=-", "output=-"]
    script = f"{shlex.join(words)} < n.csv | head -1"
    done = subprocess.run(script, shell=True, cwd=here, capture_output=True, text=True, check=False)
    assert done.stdout == f"{COLUMNS},prediction\n"
    assert without_notes(done.stderr).strip() == ""


def test_rows_keep_their_order(succeed: Command, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several batches."""
    rows = [f"{i},{i / 120_000},0.2,0.3,0.4,0.5" for i in range(120_000)]
    text = "\n".join([f"id,{COLUMNS}", *rows])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    _, *lines = succeed("predict", "run=r", "input=-", "output=-").out.splitlines()
    assert [line.rpartition(",")[0] for line in lines] == rows
    (here / "n.csv").write_text(f"id,{COLUMNS}\n{rows[-1]}\n")
    succeed("predict", "run=r", "input=n.csv", "output=o.csv")
    last = float(lines[-1].rpartition(",")[2])
    assert pl.read_csv("o.csv")["prediction"].to_list() == [pytest.approx(last, rel=1e-6)]


@pytest.mark.parametrize(("header", "index"), [("", ""), ('"",', '"r ""0""",')])
def test_text_and_an_index_stay_as_they_were_written(succeed: Command, header: str, index: str) -> None:
    rows = [f"{i},{i}.50,red,{i}" for i in range(60)]
    Path("t.csv").write_text("\n".join(["a,b,c,y", *rows]) + "\n")
    succeed("train", "data.path=t.csv", "data.target=y", "data.columns.c=drop", *QUICK)
    plain = ["+1,1.50,red", "2e0,.5,", ",-0.0,blue"]
    others = ['3," 4.10 ","a, ""b"""', 'NA,5,""', '4,6,"two\nlines"', "5,7,=1+1", "-6,8,-3%"]
    for lines in (plain, plain + others):
        text = "\n".join([f"{header}a,b,c", *(f"{index}{line}" for line in lines)]) + "\n"
        Path("n.csv").write_text(text)
        succeed("predict", "run=outputs/p", "input=n.csv", "output=o.csv", "overwrite=true")
        expected = text.replace('" 4.10 "', " 4.10 ").splitlines()
        for line, start in zip(Path("o.csv").read_text().splitlines(), expected, strict=True):
            assert line.startswith(start)


WIDE = ["data.function=friedman1", "data.features=25"]
QUANTILES = ["loss=quantile", "loss.levels=[0.1,0.5,0.9]"]


@pytest.mark.parametrize(("words", "error"), [([], "RMSE"), (WIDE, "RMSE"), (QUANTILES, "pinball loss")])
def test_importance_is_printed_and_written(
    succeed: Command, here: Path, monkeypatch: pytest.MonkeyPatch, words: Sequence[str], error: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    if words:
        shutil.rmtree(here / "s")
        train_into(here / "s", [*SMALL, *words])
    plain = succeed("evaluate", "run=s")
    scores = metrics_of(here / "s", "evaluation")
    printed = " ".join(plain.out.split())
    assert "9 rows" in printed
    assert all((part in printed) == (not words) for part in ("mean of 2 networks", "their ensemble"))
    assert not words or verdict(scores) in printed
    ended = succeed("evaluate", "run=s", "importance=true")
    assert ended.err == plain.err
    assert ended.out.startswith(plain.out)
    assert max(map(len, ended.out.splitlines())) <= 80
    assert metrics_of(here / "s", "evaluation") == scores
    assert (written := Importance.read(here / "s"))
    assert written.runs == (("0",) if words else ("0", "1"))
    assert (written.source, written.part, written.targets) == (scores["data"], "test", ("target",))
    prefix = "" if words else "ensemble/"
    assert written.error == pytest.approx(scores[f"{prefix}test/{written.metric}"], rel=1e-5)
    assert written.rows == scores["rows"] == 9
    assert ("… and 5 less important columns" in ended.out) == (words == WIDE)
    figure = (here / "s/figures/importance.vl.json").read_text()
    assert f"increase of the {error} in units of target" in figure


@pytest.mark.usefixtures("line_at_end", "without_script_of_charts")
def test_importance_of_training_rows_is_no_test(succeed: Command, run_script: Command, here: Path) -> None:
    train_into(here / "own", ("data=csv", *SMALL[2:], "data.path=t.csv", "data.target=target"))
    words = ("run=own", "data.path=t.csv", "training_rows=include", "importance=true")
    ended = succeed("evaluate", *words)
    assert (written := Importance.read(here / "own"))
    assert (written.rows, written.part) == (40, "all")
    figure = (here / "own/figures/importance.vl.json").read_text()
    for place in (ended.out, figure, report(here / "own").read_text()):
        assert "not a test: training rows are included" in place
    for line in ("reading t.csv: 40 rows", "fitting and scoring the baselines", "importance: 5 of 5 columns"):
        assert re.search(rf"{line}, \d s\n", ended.err)
    (here / "t.csv").unlink()
    refused = run_script("evaluate", "run=own")
    assert (refused.status, "t.csv: no such file\n  own/0 was trained on it;" in refused.err) == (2, True)


def flip(here: Path) -> None:
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
NAMED = {"n.csv": f"{COLUMNS},prediction\n{NUMBERS},1\n"}
SPLITS = "importance=true: the runs have different splits | data.path=…"
FAR = "data row 1: a value is too large for the network; 40 such rows | correct it, or drop the row"
NO_ENTRY = "best.ckpt: is damaged: an entry is missing"
NAN = "contains weights that are not finite"

MISTAKES = [
    mistake("no spread", {}, f"{KNOWN} spread=true", NO_SPREAD),
    mistake("a key of 1.0", {}, "evaluate run=s select=5", "select: unknown key | remove it | runs=N"),
    mistake("splits", different_splits, "evaluate run=splits runs=all importance=true", SPLITS),
    mistake("far", {"f.parquet": FRAME.with_columns(x1=1e300)}, KNOWN.replace("t.csv", "f.parquet"), FAR),
    mistake("name", NAMED, KNOWN.replace("t.csv", "n.csv"), "already has a column 'prediction'"),
    mistake("missing key", {}, "predict run=r", "input: is missing | output: is missing"),
    mistake("no key", {}, "evaluate r", "r: is not an argument | key=value | type run=r"),
    mistake("no run", {"d/x": ""}, "evaluate run=d", "d: contains no run | metrics.json"),
    mistake("not finished", UNFINISHED, "evaluate run=r", "r: contains no finished run | diverged"),
    mistake("no file", lambda here: (here / CHECKPOINT).unlink(), KNOWN, "best.ckpt: no such"),
    mistake("a flipped bit", flip, KNOWN, f"{CHECKPOINT}: is damaged | checksum"),
    mistake("pruned", {"r/metrics.json": '{"status": "pruned"}'}, "evaluate run=r", "(found r: pruned)"),
    mistake("metrics", {"r/metrics.json": "{"}, KNOWN, "r/metrics.json: is damaged"),
    mistake("network", another_network_throughout, KNOWN, "contains weights that do not fit the network"),
    mistake("run", rewritten(of_another_network), KNOWN, "to a different run | differs in model.hidden"),
    mistake("entry", rewritten(lambda kept: kept.update(state={})), KNOWN, NO_ENTRY),
    mistake("format", rewritten(lambda kept: kept.update(format=99)), KNOWN, "is not a checkpoint that this"),
    mistake("keys", rewritten(lambda kept: kept.update(config={"z": 1})), KNOWN, "ckpt: its configuration"),
    mistake("NaN", rewritten(lambda kept: kept["state"]["body.output.bias"].fill_(torch.nan)), KNOWN, NAN),
]


@each(MISTAKES)
def test_a_mistake_gets_a_short_answer(run_script: Command, here: Path, mistake: Mistake) -> None:
    assert_refused(mistake, here, run_script)


@pytest.mark.parametrize("script", ["train", "describe", "evaluate", "predict", "results", "benchmark"])
def test_every_script_prints_its_version(run_script: Command, script: str) -> None:
    ended = run_script(script, "--version")
    assert (ended.status, ended.out) == (0, f"mlplab {version('mlplab')}\n")


def test_a_chosen_ensemble_of_1_0_is_used_like_a_run(succeed: Command, here: Path) -> None:
    """The weighted mean is in tests/runs/trained/test_run_stack.py."""
    ChosenEnsemble({"0": 0.25, "1": 0.75}).write(here / "s/ensemble-5.json")
    before = {path.name for path in (here / "s").iterdir()}
    succeed("predict", "run=s/ensemble-5.json", "input=t.csv", "output=o.csv")
    expected = mlplab.load("s/ensemble-5.json").predict(FRAME)
    np.testing.assert_allclose(pl.read_csv("o.csv")["prediction"], expected, rtol=1e-12)
    assert "their ensemble" in succeed("evaluate", "run=s/ensemble-5.json", "importance=true").out
    scored = evaluate(Evaluate.model_validate({"run": "s/ensemble-5.json", "data.path": "t.csv"})).plain()
    rmse = np.sqrt(np.mean((expected - FRAME["target"].to_numpy()) ** 2))
    assert scored["ensemble/test/rmse"] == pytest.approx(rmse)
    assert {path.name for path in (here / "s").iterdir()} == before


def test_single_networks_and_ensembles_are_averaged(tmp_path: Path) -> None:
    train_into(tmp_path / "a", SMALL, [*SMALL, "seed=1"])
    train_into(tmp_path / "b", [*SMALL, "ensemble=3"])
    shutil.move(tmp_path / "b/0", tmp_path / "a/of3")
    scores = evaluate(Evaluate(run=str(tmp_path / "a"), runs="all"))
    assert scores.model.networks == 5
    assert "loss" not in scores.models()["runs/"][1]
