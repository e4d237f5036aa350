"""`train.py` as users run it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from commands.mistakes import Command
from support import ROOT, SMALL, events_of, hparams_of, metrics_of, process, status_of
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from mlplab.commands.render import tensorboard_folder, verdict
from mlplab.typed_commands import tensorboard_command

QUICK = SMALL[:-1]  # without the epochs
RUN = Path("outputs/r")
SCRIPT = str(ROOT / "scripts/train.py")
PROBE = """
import contextlib, io, json, runpy, sys
from hydra.core.global_hydra import GlobalHydra
for line in sys.stdin:
    sys.argv, status = ["train.py", *line.split()], 0
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(printed):
        try:
            runpy.run_path(sys.orig_argv[-1], run_name="__main__")
        except SystemExit as ended:
            status = ended.code or 0
    GlobalHydra.instance().clear()
    print(json.dumps([status, printed.getvalue()]))
    assert not {"torch", "lightning", "torchmetrics", "tensorboard"} & set(sys.modules), line
"""
"""Runs `train.py` with one line of arguments after another, without importing torch."""

ANSWERS = [
    ("--help", ""),
    ("--cfg job", "seed: 0"),
    ("--hydra-help", "Hydra"),
    ("--info defaults", "Defaults"),
    ("data=csv data.path=none.csv data.target=y", "none.csv: no such file"),
    ("data=csv data.path=t.csv data.target=z", "has no column 'z'"),
    ("data=csv data.path=t.csv data.target=y", "'?'"),
    ("data=synthetic data.rows=2", "sets are empty"),
    ("hydra.run.dir=used", "used: exists and is not empty"),
    ("init_from=none", "none: no such folder"),
    ("-m data=csv data.path=t.csv data.target=y seed=1,2", "'?'"),
    ("-m data=synthetic data.rows=2,3", "sets are empty"),
    ("-m seed=1,2 hydra.launcher.max_members=0", "max_members: invalid value"),
    ("-m optimizer.lr=interval(-1,1)", "optimizer.lr: invalid value"),
]


def test_questions_and_wrong_input_are_answered_without_torch(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,2\n2,?\n3,4\n4,5\n5,6\n")
    (tmp_path / "used").mkdir()
    (tmp_path / "used/x").touch()
    done = process(["-c", PROBE, SCRIPT], tmp_path, "\n".join(words for words, _ in ANSWERS))
    assert done.status == 0, done.err
    answers = [json.loads(line) for line in done.out.splitlines()]
    for (status, answer), (words, said) in zip(answers, ANSWERS, strict=True):
        assert said in answer
        assert (status, "error: " in answer) == ((0, False) if "--" in words else (2, True))
    groups = {path.parent.relative_to(ROOT / "conf") for path in (ROOT / "conf").rglob("*/*.yaml")}
    described, _, listed = answers[0][1].partition("== Groups")[2].partition("\n\n")
    for group in (str(group) for group in groups if "hydra" not in group.parts):
        assert group in described
        assert f"\n{group}: " in f"\n{listed}"
    assert not (tmp_path / "outputs").exists()


@pytest.mark.slow(ci=True)
def test_bash_completes_what_the_script_takes() -> None:
    installed = 'eval "$(python scripts/train.py -sc install=bash)"; hydra_bash_completion; echo $COMPREPLY'
    environment = os.environ | {"COMP_LINE": "python scripts/train.py optimizer=sg", "COMP_CWORD": "2"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    bash = ["bash", "-c", installed]
    done = subprocess.run(bash, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "optimizer=sgd\n"


def test_a_run_leaves_and_says_what_is_promised(succeed: Command) -> None:
    """The default network with its figures, trained as short as may be."""
    words = ("ensemble=1", "model.linear_path=false", "trainer.max_epochs=4", "figures=auto", "name=r")
    ended, metrics = succeed("train", *words), metrics_of(RUN)
    assert ended.err == ""
    lines = ended.out.splitlines()
    assert lines[-2:] == ["run folder: outputs/r", tensorboard_command(Path("outputs"))]
    for name in ("this network", "gradient boosting", "ridge regression", "mean"):
        assert any(name in line for line in lines[-12:])
    sentence = ended.out.rpartition("─┘\n")[2].partition("run folder: ")[0]
    assert " ".join(sentence.split()) == verdict(metrics)
    assert all(len(line) <= 80 for line in sentence.splitlines())

    assert {path.name.partition(".1")[0] for path in RUN.iterdir()} == {
        *("config.yaml", "metrics.json", "schema.json", "environment.json", "train.log"),
        *("test_predictions.csv", "checkpoints", "figures", "events.out.tfevents"),
    }
    config = yaml.safe_load((RUN / "config.yaml").read_text())
    chosen = (config["loss"]["name"], config["monitor"], config["optimizer"]["lr"])
    assert (*chosen, config["data"]["batch_size"]) == ("mse", "val/mae", 0.005, 64)  # not `auto`
    assert metrics["status"] == "done"
    names = {"val/loss", "val/rmse", "test/rmse", "test/mae", "test/r2", "best_epoch", "seconds"}
    assert names <= metrics.keys()
    assert all(not isinstance(value, dict | list) for value in metrics.values())
    assert metrics_of(RUN, "environment")["versions"]["torch"] == torch.__version__.partition("+")[0]
    log = (RUN / "train.log").read_text()
    assert f"ended after epoch 4 (best: {metrics['best_epoch']}); " in log
    assert f"test rmse {metrics['test/rmse']}" in log
    assert {path.name for path in (RUN / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    for path in (RUN / "checkpoints").iterdir():
        content = torch.load(path, weights_only=True)  # without mlplab
        assert content["config"] == config
        assert content["schema"]["inputs"][0]["name"] == "cement"
        assert all(tensor.shape[0] == 1 for tensor in content["state"].values())

    events = events_of(RUN)
    scalars = events.Tags()["scalars"]
    assert {"train/loss", "train/lr", "val/loss", "val/rmse"} <= set(scalars)
    assert min(scalars) == "train/loss"  # TensorBoard shows them in this order
    assert min(tag for tag in scalars if tag.startswith("val/")) == "val/loss"
    assert not {tag for tag in scalars if "step" in tag}  # nothing is logged per step unless asked
    assert not {tag for tag in scalars if len(events.Scalars(tag)) == 1}  # charts of one dot
    curve = {point.step: point.value for point in events.Scalars("val/mae")}
    assert [*curve] == [1, 2, 3, 4]
    assert min(curve.values()) == curve[metrics["best_epoch"]] == pytest.approx(metrics["val/mae"])
    lowest = [point.value for point in events.Scalars("val/mae_best")]
    assert lowest == np.minimum.accumulate([*curve.values()]).tolist()
    shown = hparams_of(RUN)
    assert (shown["trainer.max_epochs"], shown["ensemble"], shown["model.linear_path"]) == (4, 1, False)
    data = HParamsPluginData()
    data.ParseFromString(events.SummaryMetadata("_hparams_/session_end_info").plugin_data.content)
    assert data.session_end_info.status == Status.STATUS_SUCCESS
    assert "_hparams_/experiment" not in events.Tags()["tensors"]  # it would hide which values differ


def test_tensorboard_searches_outputs_only(here: Path) -> None:
    assert tensorboard_folder(Path("outputs/r")) == here / "outputs"
    for run in (Path("r"), here.parent / "r", here.parent / "runs/r"):
        assert tensorboard_folder(run) == run


def test_callbacks_of_lightnings_see_metrics_and_steps_are_logged_when_asked(succeed: Command) -> None:
    stopping = ("_target_=lightning.pytorch.callbacks.EarlyStopping", "monitor=val/rmse", "patience=1")
    added = [f"+callbacks.stop.{each}" for each in (*stopping, "min_delta=1e9")]
    succeed("train", *QUICK, "trainer.max_epochs=9", "trainer.log_every_n_steps=2", *added, "name=r")
    assert metrics_of(RUN)["epochs"] == 2
    assert "r: stopped after epoch 2 (best: " in (RUN / "train.log").read_text()
    assert [point.step for point in events_of(RUN).Scalars("train/loss_step")] == [2, 4, 6]


def test_a_terminal_of_80_columns(succeed: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    printed = succeed("train", "trainer.max_epochs=2", "baselines=[]", "model.hidden=[8]", "name=r").out
    assert 0 <= printed.rfind("\x1b[?25l") < printed.rfind("\x1b[?25h")  # the cursor is back
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", printed.replace("\x1b[2K", "\n"))
    lines = [line.strip() for line in re.split(r"[\r\n]+", text)]
    assert max(map(len, lines)) <= 80
    log = (RUN / "train.log").read_text()
    assert max(map(len, log.splitlines())) > 100  # one line each
    assert "ensemble: 8 such networks; each holds out about 109 of the 876 rows" in " ".join(lines)
    assert any(line.startswith("r: ended after epoch 2 (mean") for line in lines)  # not in the bar's line


def test_a_run_that_diverges_ends_with_status_1(command: Command) -> None:
    ended = command(*QUICK, "optimizer=sgd", "optimizer.lr=1e20", "model/preprocessing=none", "name=r")
    assert (ended.status, status_of(RUN)) == (1, "diverged")
    assert re.fullmatch("error: the loss became .*\n", ended.err)


BETTER = {"test/rmse": 0.9, "linear/test/rmse": 1.0, "constant/test/rmse": 1.0}
INTERVALS = {"test/coverage_0.9": 0.875, "test/width_0.9": 12.34, "constant/test/coverage_0.9": 0.5}
SETS = {"test/log_loss": 0.3, "test/coverage_0.8": 0.75, "test/set_size_0.8": 1.5}
RARELY = {"test/coverage_0.8/b/c": 0.0541, "test/coverage_0.8/d": 0.3}
RARE = {"test/balanced_accuracy": 0.527, "test/auroc": 0.81, "threshold": 0.5}
ALARM = {"test/average_precision": 0.9999, "test/average_precision/ALARM": 0.25}
LOSSES = {"test/log_loss": 0.7, "constant/test/log_loss": 0.3}

COVERED = "Intervals of level 0.9 contain 87.5% of the test rows' targets; their mean width is 12.34."
NO_BETTER = "no better than ridge regression or the mean: train longer"
MORE = "threshold=auto finds more of it."
SAID = [
    (BETTER | {"test/rmse": 1.0}, NO_BETTER),
    (BETTER | INTERVALS, f"better than ridge regression and the mean. {COVERED}"),
    (SETS, "Sets of level 0.8 contain the class of 75.0% of the test rows; their mean size is 1.5."),
    (SETS | RARELY, "rows, but only of 5.4% of those of 'b/c' (the lowest of 2 such classes);"),
    (RARE, f"rows are ranked well (AUROC 0.81): {MORE}"),
    (ALARM, "is that of the common class; that of 'ALARM' is 0.2500 (data.positive"),
    (BETTER | {"test/rmse": 1.0, "rows": 2}, "no better than ridge regression or the mean."),
    (LOSSES, "By test log loss, the network is no better than the class shares"),
]


@pytest.mark.parametrize(("scores", "said"), SAID)
def test_a_sentence_says_what_scores_mean(scores: dict[str, float], said: str) -> None:
    assert said in verdict(scores)


def test_a_sentence_warns_only_where_it_must() -> None:
    others = ({"test/balanced_accuracy": 0.7}, {"test/auroc": 0.6}, {"threshold": 0.1})
    assert not any(MORE in verdict(RARE | other) for other in (*others, {"threshold_rows": "val"}))
    assert NO_BETTER not in verdict(BETTER)
    assert NO_BETTER not in verdict(BETTER | {"test/rmse": 1.0, "constant/test/rmse": None})


def test_class_weights_are_judged_by_how_rows_are_ranked() -> None:
    """They spoil the log loss, by which even a good network would be no better than the class shares."""
    ranks = LOSSES | {"test/auroc": 0.9, "constant/test/auroc": 0.5}
    expected = "By test AUROC, the network is better than the class shares."
    assert verdict(ranks, has_class_weights=True) == expected
    undefined = ranks | {"test/auroc": None}
    assert verdict(undefined, has_class_weights=True) == verdict(ranks)
