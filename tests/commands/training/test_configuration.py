"""What is typed and a user's own configuration files: how they are used, and what is said of mistakes."""

from pathlib import Path

import torch
import yaml
from commands.mistakes import Command, Files, Mistake, assert_refused, each, mistake, write_files
from support import ROOT, SMALL

GLOBAL = "# @package _global_\n"
HYDRA_CALLBACK = f"{GLOBAL}hydra: {{callbacks: {{x: {{_target_: os.getcwd}}}}}}\n"
ENVIRONMENT = f"{GLOBAL}hydra: {{job: {{env_set: {{MLPLAB_ALLOWED_CLASSES: a.B}}}}}}\n"
CLASS = "+callbacks.x._target_=lightning.pytorch."
LOGGER = "+logger.w._target_=lightning.pytorch.loggers."
MLFLOW = "+logger.m={_target_: lightning.pytorch.loggers.MLFlowLogger, tracking_uri: 'file:./x'}"

RUN_DIR = f"{GLOBAL}hydra: {{run: {{dir: away}}}}"
SWEEP_DIR = f"{GLOBAL}hydra: {{sweep: {{dir: a/way}}}}"
MARKER = {"conf/mlplab.yaml": "# Marks this folder.\n"}
MINE = {"conf/experiment/mine.yaml": f"{GLOBAL}seed: 7\noptimizer: {{lr: 0.5}}\n"}
SHADOW = {"conf/optimizer/adam.yaml": (ROOT / "conf/optimizer/adam.yaml").read_text() + "# mine\n"}
USED = "using conf: experiment/mine.yaml, optimizer/adam.yaml\n"
E = "conf/experiment/e.yaml"
QUICK = (*SMALL[:-1], "trainer.max_epochs=1")
OUTSIDE = "is outside outputs/"


def own(files: Files, said: str, arguments: str = "") -> Mistake:
    return mistake(said, {**MARKER, **files}, arguments, said)


MISTAKES = [
    mistake(
        "49 only a table", "a,y\n1,2\n", "t.csv", "data.target: is missing | data.target=…, one of: a, y"
    ),
    mistake("49 a bare target", "a,y\n1,2\n", "t.csv y", "y: cannot be read | give a key | data.target=y"),
    mistake("49 an address", {}, "https://a.b/t.csv", "https://a.b/t.csv: is an address | download it first"),
    mistake("49 table as an option", {"a b.csv": ""}, ("data=a b.csv", "data.target=y"), "a b.csv: is empty"),
    mistake("49 two tables", "", "t.csv data.path=u.csv", "data.path: is given twice | remove one of them"),
    mistake("53 empty folder", {}, "init_from=", "init_from: is empty | give it a value: init_from=…"),
    mistake("65 a file", "", "init_from=t.csv", "t.csv: is a file, not a folder"),
    mistake("50 option", {}, "optimizer=adm", "optimizer: unknown option | adam, adamw, sgd | =adam?"),
    mistake("50 nested options", {}, "loss=[a,[b]]", "a config group takes the name of an option"),
    mistake("50 function", {}, "data=synthetic data.function=sin", "friedman1 | did you mean sine?"),
    mistake("54 key twice", {}, "seed=1 seed=2", "seed: is given twice | seed=1 and seed=2"),
    mistake("55 list", {}, "seed=1,2", "seed: several values | add -m: | seed=1,2 | 'seed=[1,2]'"),
    mistake("58 target", {}, "+callbacks.x._target_=os.system", "callbacks.<Class> | MLPLAB_ALLOWED"),
    mistake("58 arguments", {}, f"{CLASS}callbacks.Timer +callbacks.x.foo=1", "cannot be instantiated | foo"),
    mistake("58 package", {}, f"{LOGGER}CometLogger", "CometLogger: needs a package | uv pip install"),
    own({E: HYDRA_CALLBACK}, "callbacks: is not supported", "experiment=e"),
    own({E: ENVIRONMENT}, "hydra.job.env_set: is not supported", "experiment=e"),
    mistake("60 launcher", {}, "-m seed=1,2 hydra.launcher=null", "hydra/launcher: is not supported"),
    mistake("60 chdir", {}, "hydra.job.chdir=true", "hydra.job.chdir: is not supported"),
    mistake("61 long name", {}, f"name={'a' * 300}", "a…': the name is too long | choose a shorter one"),
    own({E: f"{GLOBAL}name: ../../x\n"}, "name: | outputs/ | no '..'", "experiment=e"),
    own({E: RUN_DIR}, f"away: {OUTSIDE} | hydra.run", "experiment=e"),
    own({E: SWEEP_DIR}, f"way: {OUTSIDE}", "-m seed=1,2 experiment=e"),
    mistake("61 logger", {}, "logger.tensorboard.name=../../x", "logger.tensorboard: | no '..'"),
    mistake("61 URI", {}, (MLFLOW,), "logger.m: 'file:./x' may lead out of outputs/ | MLFLOW_TRACKING_URI"),
    mistake("62 below a file", {"used": ""}, "hydra.run.dir=used/x", "used/x: cannot be created"),
    mistake("33 folds", {}, f"data/split=kfold data.split.folds={9**30}", "more folds than rows | most 1030"),
    mistake("a file as conf", {"f": ""}, "--config-dir f", "--config-dir: no such folder (found f)"),
    own({"conf/mlplab.yaml": "# my\nseed: 1\n"}, "is in no group | conf/experiment/mlplab.yaml"),
    own({"conf/optimzer/a.yaml": ""}, "is in no group | conf/optimizer/a.yaml, and choose it: optimizer=a"),
    own({"conf/train.yaml": "hydra: {searchpath: ['pkg://os']}"}, "hydra.searchpath: is not supported"),
    own({"conf/train.yaml": "a: {searchpath: [x]}\nhydra: ${a}"}, "hydra.searchpath: is not supported"),
    own({"conf/train.yaml": "- a"}, "primary config 'train' must be a DictConfig"),
    own({"conf/train.yaml": "a: ["}, "conf/train.yaml, line 1: is not valid YAML"),
    own({"conf/optimizer/adam.yaml": "lr: 1"}, "optimizer.name: is missing | [OPTION]", "optimizer=adam"),
    own({E: "seed: 1".encode("utf-16")}, "is not UTF-8 | save it", "experiment=e"),
    own({E: "a: [\n"}, "e.yaml, line 2: is not valid YAML", "experiment=e --cfg job"),
    mistake("62 empty", lambda at: (at / "new").mkdir(), "hydra.run.dir=new seed=-1", "seed: invalid value"),
    mistake("a missing value", {}, "data=csv data.target=y", "data.path: is missing"),
    mistake("of a mapping", "", "t.csv data.target=y +data.columns={a:???}", "data.columns.a: is missing"),
    mistake("of a list", {}, "model.hidden=[4,???]", "model.hidden[1]: is missing"),
    mistake("of a key with a default", {}, "model.piecewise_linear_bins=???", "bins: is missing"),
    mistake("of no section", {}, "seed=???", "seed: is missing | give it a value: seed=…"),
    mistake("a key of 1.0", {}, "-m seed=1,2 sweep.ensemble=3", "sweep.ensemble: unknown key | remove it"),
    mistake("a key of 1.0 without -m", {}, "sweep.ensemble=3", "sweep.ensemble: unknown key | remove it"),
    mistake("a wrong name of it", {}, "data=csv data.path=t.csv data.label=y", "did you mean data.target?"),
    mistake("an endless range", {}, "-m seed=range(0,3,0)", "seed: the step is 0 | range(START,STOP,STEP)"),
    mistake("a huge grid", {}, "-m seed=range(99999999999)", "seed: more than 100,000 runs | sweep.trials"),
]
if not torch.cuda.is_available():
    NO_GPU = "trainer.accelerator: torch finds no CUDA device | =cpu"
    MISTAKES.append(mistake("59 GPU", {}, "trainer.accelerator=cuda", NO_GPU))


@each(MISTAKES)
def test_a_mistake_gets_a_short_answer(command: Command, tmp_path: Path, mistake: Mistake) -> None:
    assert_refused(mistake, tmp_path, command)


def test_a_marked_folder_is_in_front_of_mlplabs(command: Command, succeed: Command, tmp_path: Path) -> None:
    write_files(tmp_path, {**MINE, **SHADOW})
    assert "unknown option" in command("experiment=mine").err  # without the marker
    write_files(tmp_path, MARKER)
    usage = succeed("train", "--help").out
    assert "experiment: article, digits, film, forecast, mine, recommend\n" in usage
    assert "using" not in usage
    assert "seed: 7\n" in succeed("train", "experiment=mine", "--cfg", "job").out
    train = ("train", *QUICK, "experiment=mine")
    assert succeed(*train, "optimizer=adam", "name=one").out.startswith(USED)
    assert yaml.safe_load(Path("outputs/one/config.yaml").read_text())["seed"] == 7
    sweep = succeed(*train, "-m", "optimizer=adam,sgd", "optimizer.lr=0.1", "name=s")
    assert sweep.out.count(USED) == 1
    values = yaml.safe_load(Path("outputs/s/optimizer=adam/config.yaml").read_text())
    assert (values["seed"], values["optimizer"]["lr"]) == (7, 0.1)


def test_a_folder_may_be_named_and_replaces_the_marked_one(succeed: Command, tmp_path: Path) -> None:
    elsewhere = {"my ö [1]/experiment/there.yaml": MINE["conf/experiment/mine.yaml"]}
    write_files(tmp_path, {**MARKER, **MINE, **elsewhere})
    ended = succeed("describe", "--config-dir", "my ö [1]", "experiment=there")
    assert ended.err == "using my ö [1]: experiment/there.yaml\n"


def test_a_primary_file_may_be_replaced_and_an_option_extended(command: Command, tmp_path: Path) -> None:
    text = (ROOT / "conf/train.yaml").read_text().replace("seed: 0", "seed: 5")
    slow = "defaults: [adam]\nlr: 0.0001\n"
    write_files(tmp_path, {**MARKER, "conf/train.yaml": text, "conf/optimizer/slow.yaml": slow})
    shown = command("optimizer=slow", "--cfg", "job").out
    assert all(line in shown for line in ("seed: 5\n", "  name: adam\n", "  lr: 0.0001\n"))
