"""`train.py` as users run it."""

import json
import logging
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hydra.core.global_hydra import GlobalHydra
from support import ROOT, SMALL, Ended, events_of, hparams_of, process
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.plugins.hparams.api_pb2 import Status

from mlplab.commands.render import tensorboard_folder, verdict
from mlplab.typed_commands import tensorboard_command

QUICK = SMALL[:-1]  # without the epochs
SCRIPT = str(ROOT / "scripts/train.py")
PROBE = """
import contextlib, io, json, runpy, sys
from hydra.core.global_hydra import GlobalHydra
script, commands = sys.argv[1:]
for arguments in json.loads(commands):
    sys.argv = [script, *arguments]
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as ended:
            status = ended.code or 0
    GlobalHydra.instance().clear()
    print(json.dumps([status, out.getvalue(), err.getvalue()]))
    heavy = {"torch", "lightning", "torchmetrics", "tensorboard"} & set(sys.modules)
    assert not heavy, (arguments, heavy)
"""


def without_torch(folder: Path, commands: Sequence[Sequence[str]]) -> list[Ended]:
    """Runs `train.py` with one list of arguments after another, in a process that must not import torch."""
    ended = process(["-c", PROBE, SCRIPT, json.dumps(commands)], folder)
    assert ended.status == 0, ended.err
    return [Ended(*json.loads(line)) for line in ended.out.splitlines()]


WRONG_INPUT = [
    (["data=csv", "data.path=none.csv", "data.target=y"], "none.csv: no such file"),
    (["data=csv", "data.path=t.csv", "data.target=z"], "has no column 'z'"),
    (["data=csv", "data.path=t.csv", "data.target=y"], "'?'"),
    (["data=synthetic", "data.rows=2"], "sets are empty"),
    (["hydra.run.dir=used"], "used: exists and is not empty"),
    (["init_from=none"], "none: no such folder"),
    (["-m", "data=csv", "data.path=t.csv", "data.target=y", "seed=1,2"], "'?'"),
    (["-m", "data=synthetic", "data.rows=2,3"], "sets are empty"),
    (["-m", "seed=1,2", "hydra.launcher.max_members=0"], "max_members: invalid value"),
    (["-m", "optimizer.lr=interval(-1,1)"], "optimizer.lr: invalid value"),
]


QUESTIONS = (["--help"], ["--cfg", "job"], ["--hydra-help"], ["--info", "defaults"])


def test_questions_and_wrong_input_are_answered_without_torch(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,2\n2,?\n3,4\n4,5\n5,6\n")
    (tmp_path / "used").mkdir()
    (tmp_path / "used/x").touch()
    answers = without_torch(tmp_path, [*QUESTIONS, *(arguments for arguments, _ in WRONG_INPUT)])
    for ended in answers[: len(QUESTIONS)]:
        assert (ended.status, ended.err) == (0, "")
        assert ended.out
    groups = {
        path.parent.relative_to(ROOT / "conf").as_posix()
        for path in (ROOT / "conf").rglob("*/*.yaml")
        if "hydra" not in path.parts
    }
    described, _, listed = answers[0].out.partition("== Groups")[2].partition("\n\n")
    assert all(group in described for group in groups)
    assert all(f"\n{group}: " in f"\n{listed}" for group in groups)
    for ended, (_, said) in zip(answers[len(QUESTIONS) :], WRONG_INPUT, strict=True):
        assert ended.status == 2
        assert ended.err.startswith("error: ")
        assert said in ended.err
    assert not (tmp_path / "outputs").exists()


@pytest.mark.slow(ci=True)
def test_bash_completes_what_the_script_takes() -> None:
    installed = 'eval "$(python scripts/train.py -sc install=bash)"; hydra_bash_completion; echo $COMPREPLY'
    environment = os.environ | {"COMP_LINE": "python scripts/train.py optimizer=sg", "COMP_CWORD": "2"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    bash = ["bash", "-c", installed]
    done = subprocess.run(bash, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "optimizer=sgd\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """The default network with its figures, trained as short as may be."""
    folder = tmp_path_factory.mktemp("run")
    words = ("ensemble=1", "model.linear_path=false", "trainer.max_epochs=4", "figures=auto", "name=r")
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        patch.setattr(sys, "argv", [SCRIPT, *words])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(SCRIPT, run_name="__main__")
    GlobalHydra.instance().clear()
    logging.getLogger("mlplab").handlers = [logging.NullHandler()]
    assert (ended.value.code, err.getvalue()) == (0, "")
    return folder / "outputs/r", Ended(0, out.getvalue(), "")


def test_a_run_folder_is_complete(run: tuple[Path, Ended]) -> None:
    folder, _ = run
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["trainer"]["max_epochs"] == 4
    assert config["data"] == {
        "name": "concrete",
        "batch_size": 64,
        "class_weights": "none",
        "split": {"name": "random", "val": 0.15, "test": 0.15, "seed": 0, "stratify": "auto"},
    }
    of_task = (config["loss"], config["monitor"], config["optimizer"]["lr"], config["model"]["dropout"])
    assert of_task == ({"name": "mse"}, "val/mae", 0.005, 0)  # what `auto` stood for
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["status"] == "done"
    assert {"val/loss", "val/rmse", "test/rmse", "test/mae", "test/r2", "best_epoch", "seconds"} <= set(
        metrics
    )
    assert all(not isinstance(value, dict | list) for value in metrics.values())
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert environment["device"] == "cpu" or torch.cuda.is_available()
    log = (folder / "train.log").read_text()
    assert "epoch 4/4" in log
    assert f"ended after epoch 4 (best: {metrics['best_epoch']}); " in log
    assert f"test rmse {metrics['test/rmse']}" in log
    events = [path.name for path in folder.glob("events.out.tfevents.*")]
    assert {path.name for path in folder.iterdir()} == {
        *("config.yaml", "metrics.json", "schema.json", "environment.json", "train.log"),
        *("test_predictions.csv", "checkpoints", "figures", *events),
    }


def test_checkpoints_open_in_plain_torch(run: tuple[Path, Ended]) -> None:
    folder, _ = run
    for name in ("best.ckpt", "last.ckpt"):
        content = torch.load(folder / "checkpoints" / name, weights_only=True)
        assert content["config"] == yaml.safe_load((folder / "config.yaml").read_text())
        assert [column["name"] for column in content["schema"]["inputs"]][:2] == [
            "cement",
            "blast_furnace_slag",
        ]
        assert all(tensor.shape[0] == 1 for tensor in content["state"].values())
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_tensorboard_shows_curves_and_hyperparameters(run: tuple[Path, Ended]) -> None:
    folder, _ = run
    metrics = json.loads((folder / "metrics.json").read_text())
    events = events_of(folder)
    scalars = events.Tags()["scalars"]
    assert {"train/loss", "train/lr", "val/loss", "val/rmse"} <= set(scalars)
    assert sorted(scalars)[0] == "train/loss"  # TensorBoard shows them in this order
    assert min(tag for tag in scalars if tag.startswith("val/")) == "val/loss"
    assert not {tag for tag in scalars if "step" in tag}  # nothing is logged per step unless asked
    assert not {tag for tag in scalars if len(events.Scalars(tag)) == 1}  # charts of one dot
    curve = events.Scalars("val/mae")
    assert [point.step for point in curve] == [1, 2, 3, 4]
    best = min(curve, key=lambda point: point.value)
    assert best.step == metrics["best_epoch"]
    assert best.value == pytest.approx(metrics["val/mae"])
    lowest = np.minimum.accumulate([point.value for point in curve]).tolist()
    assert [point.value for point in events.Scalars("val/mae_best")] == lowest

    def hparams(tag: str) -> Any:
        data = plugin_data_pb2.HParamsPluginData()
        data.ParseFromString(events.SummaryMetadata(tag).plugin_data.content)
        return data

    shown = hparams_of(folder)
    assert (shown["trainer.max_epochs"], shown["ensemble"], shown["model.linear_path"]) == (4, 1, False)
    assert hparams("_hparams_/session_end_info").session_end_info.status == Status.STATUS_SUCCESS
    tags = events.Tags()
    assert "_hparams_/experiment" not in tags["tensors"]  # it would hide which values differ


def test_tensorboard_shows_images(run: tuple[Path, Ended]) -> None:
    folder, _ = run
    events = events_of(folder)
    drawn = {path.stem: path.read_bytes() for path in (folder / "figures").glob("*.png")}
    assert set(drawn) == {"learning_curves", "predicted_vs_actual", "residuals", "coverage"}
    assert set(events.Tags()["images"]) == {f"visuals/{name}" for name in drawn}
    for name, png in drawn.items():
        [shown] = events.Images(f"visuals/{name}")
        assert shown.encoded_image_string == png


def test_steps_are_logged_when_asked(command: Callable[..., Ended], tmp_path: Path) -> None:
    asked = ("trainer.max_epochs=5", "trainer.log_every_n_steps=2")
    assert command(*QUICK, *asked, "name=r").status == 0
    events = events_of(tmp_path / "outputs/r")
    assert [point.step for point in events.Scalars("train/loss_step")] == list(range(2, 16, 2))


def test_a_run_ends_with_its_scores_and_the_tensorboard_command(run: tuple[Path, Ended]) -> None:
    folder, ended = run
    lines = ended.out.splitlines()
    assert lines[-1] == tensorboard_command(Path("outputs"))  # where it is called `r`
    assert lines[-2] == "run folder: outputs/r"
    for name in ("this network", "gradient boosting", "ridge regression", "mean"):
        assert any(name in line for line in lines[-12:])
    sentence = ended.out.rpartition("─┘\n")[2].partition("run folder: ")[0]
    assert " ".join(sentence.split()) == verdict(json.loads((folder / "metrics.json").read_text()))
    assert all(len(line) <= 80 for line in sentence.splitlines())


def test_tensorboard_is_not_told_to_search_the_current_folder_or_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "project"
    here.mkdir()
    monkeypatch.chdir(here)
    assert tensorboard_folder(Path("outputs/r")) == here / "outputs"
    assert tensorboard_folder(Path("r")) == Path("r")
    assert tensorboard_folder(tmp_path / "r") == tmp_path / "r"
    assert tensorboard_folder(tmp_path / "runs/r") == tmp_path / "runs/r"


def test_callbacks_of_lightnings_see_the_metrics(command: Callable[..., Ended], tmp_path: Path) -> None:
    stopping = ("_target_=lightning.pytorch.callbacks.EarlyStopping", "monitor=val/rmse", "patience=1")
    added = [f"+callbacks.stop.{each}" for each in (*stopping, "min_delta=1e9")]
    assert command(*QUICK, "trainer.max_epochs=9", *added, "name=r").status == 0
    assert json.loads((tmp_path / "outputs/r/metrics.json").read_text())["epochs"] == 2
    assert "r: stopped after epoch 2 (best: " in (tmp_path / "outputs/r/train.log").read_text()


def test_a_terminal_of_80_columns(
    command: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    ended = command("trainer.max_epochs=2", "baselines=[]", "model.hidden=[8]", "name=r")
    assert ended.status == 0
    assert 0 <= ended.out.rfind("\x1b[?25l") < ended.out.rfind("\x1b[?25h")  # the cursor is back
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", ended.out.replace("\x1b[2K", "\n"))
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", text)]
    assert max(map(len, lines)) <= 80
    log = (tmp_path / "outputs/r/train.log").read_text()
    assert max(map(len, log.splitlines())) > 100  # one line each
    said = " ".join(line.strip() for line in lines)
    assert "(silu or relu), " in said
    assert "beside ridge regression, on cpu" in said
    assert "ensemble: 8 such networks; each holds out about 109 of the 876 rows" in said
    assert any(
        re.match(r"r: ended after epoch 2 \(mean of the best: \d\)", line) for line in lines
    )  # not within the bar's line


def test_a_run_that_diverges_ends_with_status_1(command: Callable[..., Ended], tmp_path: Path) -> None:
    ended = command(*QUICK, "optimizer=sgd", "optimizer.lr=1e20", "model/preprocessing=none", "name=r")
    assert ended.status == 1
    assert ended.err.startswith("error: the loss became ")
    assert len(ended.err.splitlines()) == 1
    assert json.loads((tmp_path / "outputs/r/metrics.json").read_text())["status"] == "diverged"


@pytest.mark.slow(ci=True)  # a fast one is in test_resume.py
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_signal_ends_a_run_with_its_checkpoints(tmp_path: Path) -> None:
    number = signal.SIGINT
    arguments = [SCRIPT, *QUICK, "trainer.max_epochs=1000000", "name=r", "scheduler=constant"]
    running = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    log = tmp_path / "outputs/r/train.log"
    deadline = time.monotonic() + 60
    while not (log.exists() and "epoch 1/" in log.read_text()) and time.monotonic() < deadline:
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(number)
    _, error = running.communicate(timeout=30)
    assert running.returncode == 128 + number
    stopped = rf"stopped by {number.name} after step \d+; everything is saved"
    assert re.fullmatch(rf"{stopped}\n  to continue: .*train(\.py)? resume=outputs/r\n", error), error
    metrics = json.loads((tmp_path / "outputs/r/metrics.json").read_text())
    assert metrics["status"] == "interrupted"
    for name in ("best.ckpt", "last.ckpt"):
        assert torch.load(tmp_path / "outputs/r/checkpoints" / name, weights_only=True)["epoch"] >= 1


@pytest.mark.parametrize(
    ("rmse", "constant", "warned"),
    [(2.0, 1.0, True), (1.0, 1.0, True), (0.9, 1.0, False), (1.0, None, False)],
)
def test_a_network_no_better_than_the_mean_is_pointed_out(
    rmse: float, constant: float | None, warned: bool
) -> None:
    sentence = verdict({"test/rmse": rmse, "linear/test/rmse": 0.1, "constant/test/rmse": constant})
    assert ("no better than ridge regression or the mean: train longer" in sentence) == warned


def test_the_coverage_is_said() -> None:
    intervals = {"test/coverage_0.9": 0.875, "test/width_0.9": 12.34, "constant/test/coverage_0.9": 0.5}
    expected = "Intervals of level 0.9 contain 87.5% of the test rows' targets; their mean width is 12.34."
    assert verdict({"test/rmse": 1.0, **intervals}) == expected
    sets = {"test/log_loss": 0.3, "test/coverage_0.8": 0.75, "test/set_size_0.8": 1.5}
    expected = "Sets of level 0.8 contain the class of 75.0% of the test rows; their mean size is 1.5."
    assert verdict(sets) == expected
    rarely = {"test/coverage_0.8/b/c": 0.0541, "test/coverage_0.8/d": 0.3}
    expected = expected.replace(
        "rows;", "rows, but only of 5.4% of those of 'b/c' (the lowest of 2 such classes);"
    )
    assert verdict(sets | rarely) == expected
    better = verdict({"test/rmse": 1.0, "constant/test/rmse": 2.0, **intervals})
    assert better.startswith("By test RMSE, the network is better than the mean. Intervals of level 0.9")


def test_a_rare_class_is_pointed_out() -> None:
    hardly = {"test/balanced_accuracy": 0.527, "test/auroc": 0.81, "threshold": 0.5}
    assert verdict(hardly).endswith("rows are ranked well (AUROC 0.81): threshold=auto finds more of it.")
    others = (
        {"test/balanced_accuracy": 0.7},
        {"test/auroc": 0.6},
        {"threshold": 0.1},
        {"threshold_rows": "val"},
    )
    assert not any(verdict(hardly | other) for other in others)
    own = verdict({"test/average_precision": 0.9999, "test/average_precision/ALARM": 0.25})
    assert "is that of the common class; that of 'ALARM' is 0.2500 (data.positive" in own


def test_class_weights_are_judged_by_how_rows_are_ranked() -> None:
    """They spoil the log loss, by which even a good network would be no better than the class shares."""
    scores = {"test/log_loss": 0.7, "constant/test/log_loss": 0.3}
    scores |= {"test/auroc": 0.9, "constant/test/auroc": 0.5}
    assert "By test log loss, the network is no better than the class shares" in verdict(scores)
    expected = "By test AUROC, the network is better than the class shares."
    assert verdict(scores, has_class_weights=True) == expected
    undefined = scores | {"test/auroc": None}
    assert verdict(undefined, has_class_weights=True) == verdict(scores)
