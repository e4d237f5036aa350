"""What users get for a mistake: status 2, a short message that says what and where, nothing left behind."""

from collections.abc import Callable
from pathlib import Path

import torch
from commands.mistakes import Mistake, assert_refused, each, message_of
from support import ROOT, Ended, assert_short_answer, config, process

from mlplab.cli.overrides import check_overrides, readable
from mlplab.config import TrainConfig

GLOBAL = "# @package _global_\n"

CONFIGURATION: list[Mistake] = [
    Mistake("49 unknown key", {}, ("sed=2",), ("sed: unknown key", "did you mean seed?")),
    Mistake("49 of another option", {}, ("optimizer.momentum=0.5",), ("belongs to optimizer=sgd",)),
    Mistake("49 added", {}, ("+optimizer.momentum=0.5",), ("optimizer.momentum belongs to optimizer=sgd",)),
    Mistake(
        "49 a table",
        {"t.csv": ""},
        ("t.csv",),
        ("t.csv: cannot be used as a table here", "pass its path: data=csv data.path=t.csv data.target=…"),
    ),
    Mistake(
        "49 a table as an option",
        {"my t.csv": ""},
        ("data=my t.csv", "data.target=y"),
        (
            "data=my t.csv: cannot be used as a table here",
            """pass its path: data=csv 'data.path='"'"'my t.csv'"'"''\n""",
        ),
    ),
    Mistake("49 a table elsewhere", {}, ("t.csv.gz",), ("and there is no such file", "data.path=t.csv.gz")),
    Mistake(
        "49 a folder of tables",
        {"parts/a.csv": ""},
        ("parts",),
        ("pass its path: data=csv data.path=parts data.target=…",),
    ),
    *(
        Mistake(f"49 {typed}", {}, (f"{typed}=1",), (f"{typed}: unknown key", f"did you mean {meant}?"))
        for typed, meant in {
            "optimizer.learning_rate": "optimizer.lr",
            "learning_rate": "optimizer.lr",
            "lr": "optimizer.lr",
            "epochs": "trainer.max_epochs",
            "max_epochs": "trainer.max_epochs",
            "batch_size": "data.batch_size",
            "hidden": "model.hidden",
            "model.layers": "model.hidden",
            "target": "data.target",
            "path": "data.path",
            "device": "trainer.accelerator",
            "patience": "callbacks.early_stopping.patience",
        }.items()
    ),
    Mistake("53 empty folder", {}, ("init_from=",), ("init_from: is empty", "give it a value: init_from=…")),
    Mistake("53 empty target", {}, ("data.path=t.csv", "data.target="), ("is empty", "value: data.target=…")),
    Mistake("65 no run to begin with", {}, ("init_from=none",), ("none: no such folder", "init_from=…")),
    Mistake(
        "65 a file to begin with", {"t.csv": ""}, ("init_from=t.csv",), ("t.csv: is a file, not a folder",)
    ),
    Mistake(
        "50 unknown option",
        {},
        ("optimizer=adm",),
        ("optimizer: unknown option", "adam, adamw, sgd", "=adam?"),
    ),
    Mistake("50 unknown group", {}, ("optimzer=adam",), ("did you mean optimizer?",)),
    Mistake("50 no option at all", {}, ("optimizer=3",), ("a config group takes the name of an option",)),
    Mistake("50 nested options", {}, ("loss=[a,[b]]",), ("a config group takes the name of an option",)),
    Mistake("50 unknown task", {}, ("task=clasification",), ("task: invalid value", "'multiclass'")),
    Mistake("50 unknown baseline", {}, ("baselines=[ridge]",), ("baselines[0]: invalid value", "'linear'")),
    Mistake("50 unknown metric", {}, ("monitor=val/acc",), ("monitor: invalid value", "'val/accuracy'")),
    Mistake("52 smoothing", {}, ("loss=cross_entropy", "loss.label_smoothing=1"), ("below 1",)),
    Mistake("52 class weight", {}, ("data.class_weights={yes: -1}",), ("class_weights", "0 or above")),
    Mistake("51 class weights", {}, ("data.class_weights=balance",), ("class_weights", "'balanced'")),
    Mistake("51 dropout", {}, ("model.dropout=much",), ("model.dropout: wrong type", "a number")),
    Mistake("51 wrong type", {}, ("optimizer.lr=abc",), ("optimizer.lr: wrong type", "'abc'", "a number")),
    Mistake("52 lr", {}, ("optimizer.lr=0",), ("optimizer.lr: out of range", "found 0", "above 0")),
    Mistake("52 dropout", {}, ("model.dropout=1",), ("model.dropout: out of range", "0.99 or below")),
    Mistake("52 batch size", {}, ("data.batch_size=0",), ("data.batch_size: out of range", "1 or above")),
    Mistake(
        "52 batch size", {}, ("data.batch_size=1e23",), ("data.batch_size: wrong type", "a whole number")
    ),
    Mistake("52 epochs", {}, ("trainer.max_epochs=0",), ("trainer.max_epochs: out of range", "1 or above")),
    Mistake("52 width", {}, ("model.hidden=[64,0]",), ("model.hidden[1]: out of range", "1 or above")),
    Mistake("53 empty seed", {}, ("seed=",), ("seed: wrong type", "a whole number")),
    Mistake("53 negative seed", {}, ("seed=-1",), ("seed: out of range", "0 or above")),
    Mistake("54 the same key twice", {}, ("seed=1", "seed=2"), ("seed: is given twice", "seed=1 and seed=2")),
    Mistake(
        "55 a list without -m",
        {},
        ("seed=1,2",),
        ("seed: several values", "1. to train", "add -m", "seed=[1,2]"),
    ),
    Mistake(
        "58 target",
        {},
        ("trainer._target_=os.system",),
        ("'os.system' is not allowed", "MLPLAB_ALLOWED_CLASSES"),
    ),
    Mistake(
        "58 added target",
        {},
        ("+callbacks.x._target_=pathlib.Path.unlink",),
        ("callbacks.x._target_", "lightning.pytorch.callbacks.<Class>"),
    ),
    Mistake("61 name leaves outputs", {}, ("name=../x",), ("name: ", "outputs/", "'../x'")),
    Mistake(
        "61 name from a file",
        {"conf/experiment/e.yaml": "# @package _global_\nname: ../../x\n"},
        ("--config-dir=conf", "experiment=e"),
        ("name: ", "'../../x'"),
    ),
    Mistake(
        "61 folder from a file",
        {"conf/experiment/e.yaml": "# @package _global_\nhydra: {run: {dir: elsewhere}}\n"},
        ("--config-dir=conf", "experiment=e"),
        ("elsewhere: is outside outputs/", "hydra.run.dir="),
    ),
    Mistake(
        "61 a sweep's folder from a file",
        {"conf/experiment/e.yaml": "# @package _global_\nhydra: {sweep: {dir: else/where}}\n"},
        ("-m", "--config-dir=conf", "seed=1,2", "experiment=e"),
        ("else/where: is outside outputs/", "hydra.sweep.dir="),
    ),
    Mistake(
        "61 a logger's folder", {}, ("logger.tensorboard.name=../../x",), ("logger.tensorboard: ", "no '..'")
    ),
    Mistake(
        "61 a URI",
        {},
        ("+logger.m={_target_: lightning.pytorch.loggers.MLFlowLogger, tracking_uri: 'file:./x'}",),
        ("logger.m: 'file:./x' may lead out of outputs/", "file:outputs/…", "MLFLOW_TRACKING_URI"),
    ),
    Mistake(
        "61 too long a name",
        {},
        (f"name={'a' * 300}",),
        ("a…': the name is too long", "choose a shorter one"),
    ),
    Mistake("61 the outputs themselves", {}, ("name=.",), ("name: ",)),
    Mistake(
        "58 a callback of Hydra's from a file",
        {"conf/experiment/e.yaml": f"{GLOBAL}hydra: {{callbacks: {{x: {{_target_: os.getcwd}}}}}}\n"},
        ("--config-dir=conf", "experiment=e"),
        ("hydra.callbacks: is not supported",),
    ),
    Mistake(
        "58 an environment from a file",
        {"conf/experiment/e.yaml": f"{GLOBAL}hydra: {{job: {{env_set: {{MLPLAB_ALLOWED_CLASSES: a.B}}}}}}\n"},
        ("--config-dir=conf", "experiment=e"),
        ("hydra.job.env_set: is not supported",),
    ),
    Mistake(
        "58 arguments that a class does not take",
        {},
        ("+callbacks.x._target_=lightning.pytorch.callbacks.Timer", "+callbacks.x.foo=1"),
        ("_target_=lightning.pytorch.callbacks.Timer: cannot be instantiated", "'foo'"),
    ),
    Mistake(
        "58 a logger's package",
        {},
        ("+logger.w._target_=lightning.pytorch.loggers.CometLogger",),
        ("CometLogger: needs a package", "comet", "install it: uv pip install"),
    ),
    Mistake(
        "58 a checkpoint callback",
        {},
        ("+callbacks.x._target_=lightning.pytorch.callbacks.ModelCheckpoint",),
        ("callbacks.x: every run writes best.ckpt and last.ckpt itself",),
    ),
    Mistake(
        "no launcher", {}, ("-m", "seed=1,2", "hydra.launcher=null"), ("hydra.launcher: is not supported",)
    ),
    Mistake(
        "a range without end",
        {},
        ("-m", "seed=range(0,3,0)"),
        ("seed: the step is 0", "range(START,STOP,STEP)"),
    ),
    Mistake("62 a file", {"used": ""}, ("hydra.run.dir=used",), ("used: exists and is not empty",)),
    Mistake("62 below a file", {"used": ""}, ("hydra.run.dir=used/x",), ("used/x: cannot be created",)),
    Mistake(
        "62 a sweep's folder in use",
        {"used/x": ""},
        ("-m", "seed=1,2", "hydra.sweep.dir=used"),
        ("used: exists and",),
    ),
    Mistake("a folder of Hydra's", {}, ("hydra.job.chdir=true",), ("hydra.job.chdir: is not supported",)),
    Mistake(
        "62 folder in use",
        {"used/x": ""},
        ("hydra.run.dir=used",),
        ("used: exists and is not empty", "name="),
    ),
    Mistake("a value that is needed", {}, ("data=csv", "data.target=y"), ("data.path: needs a value",)),
    Mistake("no override", {}, ("seed",), ("seed: cannot be read as an override",)),
    Mistake("an addition of what is there", {}, ("+seed=1",), ("seed: already exists", "remove the +")),
    Mistake("56 dangling interpolation", {}, ("seed=${nope}",), ("seed: ", "'nope' not found")),
    Mistake(
        "57 bad YAML",
        {"conf/experiment/e.yaml": "seed: 1\n  lr: [\n"},
        ("--config-dir=conf", "experiment=e"),
        ("e.yaml, line 2: is not valid YAML",),
    ),
    Mistake(
        "33 folds",
        {},
        ("data/split=kfold", f"data.split.folds={9**30}"),
        ("more folds than rows", "at most 1030"),
    ),
    Mistake(
        "more rows than memory",
        {},
        ("data=synthetic", "data.rows=2147483647", "data.features=2147483647"),
        ("data.rows and data.features: need", "GiB are free", "draw fewer rows"),
    ),
    Mistake(
        "too large a grid",
        {},
        ("-m", "seed=range(99999999999)"),
        ("seed: more than 100,000 runs", "sweep.trials"),
    ),
    Mistake(
        "devices",
        {},
        ("trainer.devices=2",),
        ("trainer.devices=2: one run trains on one device", "seed=range"),
    ),
    Mistake(
        "unknown function", {}, ("data=synthetic", "data.function=sin"), ("friedman1", "did you mean sine?")
    ),
]
if not torch.cuda.is_available():
    CONFIGURATION.append(
        Mistake(
            "59 no GPU",
            {},
            ("trainer.accelerator=cuda",),
            ("trainer.accelerator: torch finds no CUDA device", "=cpu"),
        )
    )


WHOLE_COMMANDS = (
    "49 unknown key",
    "50 unknown option",
    "52 lr",
    "54 the same key twice",
    "55 a list without -m",
    "58 target",
    "58 arguments that a class does not take",
    "59 no GPU",
    "33 folds",
    "58 a logger's package",
    "50 nested options",
    "50 options of a table",
    "a value that is needed",
    "devices",
    "more rows than memory",
    "unknown function",
)
OF_THE_COMMAND_LINE = ("-", "name=", "hydra.", "init_from=", "logger.")


def needs_a_command(mistake: Mistake) -> bool:
    """Whether a mistake needs files, concerns more than the values of keys, or is to be seen as a whole."""
    words = any(word.startswith(OF_THE_COMMAND_LINE) for word in mistake.arguments)
    return bool(mistake.prepare) or words or mistake.name in WHOLE_COMMANDS


@each([mistake for mistake in CONFIGURATION if needs_a_command(mistake)])
def test_a_mistake_gets_a_short_answer(
    command: Callable[..., Ended], tmp_path: Path, mistake: Mistake
) -> None:
    assert_refused(mistake, tmp_path, command)


@each([mistake for mistake in CONFIGURATION if not needs_a_command(mistake)])
def test_wrong_values_get_a_short_message(mistake: Mistake) -> None:
    def read() -> TrainConfig:
        check_overrides(mistake.arguments, multirun=False)
        return config(*readable(mistake.arguments))

    assert_short_answer(Ended(2, "", message_of(read)), mistake.said)


IN_PROCESSES = ("49 unknown key", "54 the same key twice")


@each([mistake for mistake in CONFIGURATION if mistake.name in IN_PROCESSES])
def test_a_process_says_the_same(tmp_path: Path, mistake: Mistake) -> None:
    script = str(ROOT / "scripts/train.py")
    assert_refused(mistake, tmp_path, lambda *arguments: process([script, *arguments], tmp_path))


def test_a_folder_that_the_user_made_is_left(command: Callable[..., Ended], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert command("hydra.run.dir=empty", "seed=-1").status == 2
    assert (tmp_path / "empty").is_dir()


def test_a_mistake_in_one_job_of_a_sweep_leaves_the_others(
    command: Callable[..., Ended], tmp_path: Path
) -> None:
    small = ("data=synthetic", "data.rows=40", "trainer.max_epochs=1", "name=s")
    ended = command("-m", "optimizer.lr=0.1,-1,0.2", *small)
    assert ended.status == 1
    assert "lr=-1: failed, optimizer.lr: out of range" in ended.err
    left = {path.parent.name: path.read_text() for path in (tmp_path / "outputs/s").glob("*/metrics.json")}
    assert {name: '"done"' in text for name, text in left.items()} == {
        "lr=0.1": True,
        "lr=-1": False,
        "lr=0.2": True,
    }


def test_a_sweep_of_nothing_but_mistakes_leaves_nothing(
    command: Callable[..., Ended], tmp_path: Path
) -> None:
    assert command("-m", "optimizer.lr=-1,-2", "name=s").status == 2
    assert not (tmp_path / "outputs/s").exists()
