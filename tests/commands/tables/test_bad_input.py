"""What users get for a mistake: status 2, a short message that says what and where, nothing left behind."""

from pathlib import Path

import pytest
import torch
from commands.mistakes import Command, Files, Mistake, assert_refused, each, message_of, mistake
from support import Ended, assert_short_answer, config

from mlplab.cli.overrides import read_overrides
from mlplab.config import TrainConfig

GLOBAL = "# @package _global_\n"
HYDRA_CALLBACK = f"{GLOBAL}hydra: {{callbacks: {{x: {{_target_: os.getcwd}}}}}}\n"
ENVIRONMENT = f"{GLOBAL}hydra: {{job: {{env_set: {{MLPLAB_ALLOWED_CLASSES: a.B}}}}}}\n"
CLASS = "+callbacks.x._target_=lightning.pytorch."
LOGGER = "+logger.w._target_=lightning.pytorch.loggers."
MLFLOW = "+logger.m={_target_: lightning.pytorch.loggers.MLFlowLogger, tracking_uri: 'file:./x'}"

RUN_DIR = f"{GLOBAL}hydra: {{run: {{dir: away}}}}"
SWEEP_DIR = f"{GLOBAL}hydra: {{sweep: {{dir: a/way}}}}"

FROM_A_FILE = ("--config-dir=conf", "experiment=e")
OUTSIDE = "is outside outputs/"
IN_USE = "exists and is not empty"


def experiment(content: str) -> Files:
    """A user's experiment."""
    return {"conf/experiment/e.yaml": content}


MISTAKES = [
    mistake("49 unknown key", {}, "sed=2", "sed: unknown key | did you mean seed?"),
    mistake("49 only a table", "", "t.csv", "data.target: needs a value | set it: data.target=…"),
    mistake("49 table as an option", {"a b.csv": ""}, ("data=a b.csv", "data.target=y"), "a b.csv: is empty"),
    mistake("49 table elsewhere", {}, "t.csv.gz data.target=y", "t.csv.gz: no such file"),
    mistake("49 two tables", "", "t.csv data.path=u.csv", "data.path: is given twice | remove one of them"),
    mistake("53 empty folder", {}, "init_from=", "init_from: is empty | give it a value: init_from=…"),
    mistake("65 no folder", {}, "init_from=none", "none: no such folder | such as outputs/…"),
    mistake("65 a file", "", "init_from=t.csv", "t.csv: is a file, not a folder"),
    mistake("50 option", {}, "optimizer=adm", "optimizer: unknown option | adam, adamw, sgd | =adam?"),
    mistake("50 nested options", {}, "loss=[a,[b]]", "a config group takes the name of an option"),
    mistake("50 function", {}, "data=synthetic data.function=sin", "friedman1 | did you mean sine?"),
    mistake("54 key twice", {}, "seed=1 seed=2", "seed: is given twice | seed=1 and seed=2"),
    mistake("55 list", {}, "seed=1,2", "seed: several values | add -m: | seed=1,2 | 'seed=[1,2]'"),
    mistake("57 YAML", experiment("seed: 1\n  lr: [\n"), FROM_A_FILE, "e.yaml, line 2: is not valid YAML"),
    mistake("58 target", {}, "+callbacks.x._target_=os.system", "callbacks.<Class> | MLPLAB_ALLOWED"),
    mistake("58 arguments", {}, f"{CLASS}callbacks.Timer +callbacks.x.foo=1", "cannot be instantiated | foo"),
    mistake("58 package", {}, f"{LOGGER}CometLogger", "CometLogger: needs a package | uv pip install"),
    mistake("58 Hydra's callback", experiment(HYDRA_CALLBACK), FROM_A_FILE, "callbacks: is not supported"),
    mistake("58 environment", experiment(ENVIRONMENT), FROM_A_FILE, "hydra.job.env_set: is not supported"),
    mistake("60 launcher", {}, "-m seed=1,2 hydra.launcher=null", "hydra/launcher: is not supported"),
    mistake("60 chdir", {}, "hydra.job.chdir=true", "hydra.job.chdir: is not supported"),
    mistake("61 name", {}, "name=../x", "name: | outputs/ | no '..'"),
    mistake("61 outputs", {}, "name=.", "name: "),
    mistake("61 long name", {}, f"name={'a' * 300}", "a…': the name is too long | choose a shorter one"),
    mistake("61 name in a file", experiment(f"{GLOBAL}name: ../../x\n"), FROM_A_FILE, "name: | no '..'"),
    mistake("61 folder", experiment(RUN_DIR), FROM_A_FILE, f"away: {OUTSIDE} | hydra.run"),
    mistake("61 sweep's folder", experiment(SWEEP_DIR), ("-m", "seed=1,2", *FROM_A_FILE), f"way: {OUTSIDE}"),
    mistake("61 logger", {}, "logger.tensorboard.name=../../x", "logger.tensorboard: | no '..'"),
    mistake("61 URI", {}, (MLFLOW,), "logger.m: 'file:./x' may lead out of outputs/ | MLFLOW_TRACKING_URI"),
    mistake("62 file", {"used": ""}, "hydra.run.dir=used", "used: is a file, not a folder"),
    mistake("62 below a file", {"used": ""}, "hydra.run.dir=used/x", "used/x: cannot be created"),
    mistake("62 folder in use", {"used/x": ""}, "hydra.run.dir=used", f"used: {IN_USE} | name="),
    mistake("62 sweep in use", {"used/x": ""}, "-m seed=1,2 hydra.sweep.dir=used", f"used: {IN_USE}"),
    mistake("33 folds", {}, f"data/split=kfold data.split.folds={9**30}", "more folds than rows | most 1030"),
    mistake("a missing value", {}, "data=csv data.target=y", "data.path: needs a value"),
    mistake("an endless range", {}, "-m seed=range(0,3,0)", "seed: the step is 0 | range(START,STOP,STEP)"),
    mistake("a huge grid", {}, "-m seed=range(99999999999)", "seed: more than 100,000 runs | sweep.trials"),
]
if not torch.cuda.is_available():
    NO_GPU = "trainer.accelerator: torch finds no CUDA device | =cpu"
    MISTAKES.append(mistake("59 GPU", {}, "trainer.accelerator=cuda", NO_GPU))


@each(MISTAKES)
def test_a_mistake_gets_a_short_answer(command: Command, tmp_path: Path, mistake: Mistake) -> None:
    assert_refused(mistake, tmp_path, command)


VALUES = """
learning_rate=1 | learning_rate: unknown key | did you mean optimizer.lr?
epochs=1 | did you mean trainer.max_epochs?
model.layers=1 | did you mean model.hidden?
target=1 | did you mean data.target?
device=1 | did you mean trainer.accelerator?
patience=1 | did you mean callbacks.early_stopping.patience?
trainer.devices=2 | trainer.devices: unknown key | hydra.launcher.workers
optimzer=adam | did you mean optimizer?
optimizer=3 | a config group takes the name of an option
data.path=t.csv data.target= | is empty | value: data.target=…
data.batch_size=1e23 | data.batch_size: invalid value | a valid integer
seed= | seed: invalid value | a valid integer
seed=${nope} | 'nope' not found
seed | seed: cannot be read as an override
+callbacks.x._target_=lightning.pytorch.callbacks.ModelCheckpoint | mlplab does this by keys of its own
+callbacks.x._target_=lightning.pytorch.callbacks.EMAWeightAveraging | mlplab does this by keys of its own
"""
"""Overrides, and parts of the message."""


@pytest.mark.parametrize("row", VALUES.strip().splitlines())
def test_wrong_values_get_a_short_message(row: str) -> None:
    words, *said = row.split(" | ")

    def read() -> TrainConfig:
        read_overrides(words.split())
        return config(*words.split())

    assert_short_answer(Ended(2, "", message_of(read)), said)


def test_a_folder_that_the_user_made_is_left(command: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert command("hydra.run.dir=empty", "seed=-1").status == 2
    assert (tmp_path / "empty").is_dir()
