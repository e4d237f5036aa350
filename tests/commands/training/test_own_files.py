"""A user's own configuration files: found, used in front of mlplab's, and checked."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from commands.mistakes import Files, Mistake, assert_refused, each, mistake, write_files
from support import ROOT, SMALL, Ended, process

MARKER = {"conf/mlplab.yaml": "# Marks this folder.\n"}
MINE = {"conf/experiment/mine.yaml": "# @package _global_\nseed: 7\noptimizer: {lr: 0.5}\n"}
SHADOW = {"conf/optimizer/adam.yaml": (ROOT / "conf/optimizer/adam.yaml").read_text() + "# mine\n"}
USED = "using conf: experiment/mine.yaml, optimizer/adam.yaml\n"
QUICK = (*SMALL[:-1], "trainer.max_epochs=1")


def test_a_marked_folder_is_in_front_of_mlplabs(command: Callable[..., Ended], tmp_path: Path) -> None:
    write_files(tmp_path, {**MINE, **SHADOW})
    assert "unknown option" in command("experiment=mine").err  # without the marker
    write_files(tmp_path, MARKER)
    help_text = command("--help")
    assert "experiment: article, digits, film, forecast, mine, recommend\n" in help_text.out
    assert "using" not in help_text.out
    assert "seed: 7\n" in command("experiment=mine", "--cfg", "job").out
    ended = command(*QUICK, "experiment=mine", "optimizer=adam", "name=one")
    assert ended.status == 0
    assert ended.out.startswith(USED)
    assert yaml.safe_load(Path("outputs/one/config.yaml").read_text())["seed"] == 7
    sweep = command("-m", *QUICK, "experiment=mine", "optimizer=adam,sgd", "optimizer.lr=0.1", "name=s")
    assert sweep.out.count(USED) == 1
    values = yaml.safe_load(Path("outputs/s/optimizer=adam/config.yaml").read_text())
    assert (values["seed"], values["optimizer"]["lr"]) == (7, 0.1)


@pytest.mark.slow(ci=True)
def test_hydra_says_where_a_key_comes_from(tmp_path: Path) -> None:
    write_files(tmp_path, {**MINE, **MARKER})
    info = process(["-m", "mlplab", "train", "experiment=mine", "--info", "defaults"], tmp_path)
    assert "experiment/mine" in info.out


def test_a_folder_may_be_named_and_replaces_the_marked_one(
    run_script: Callable[..., Ended], tmp_path: Path
) -> None:
    elsewhere = {"my ö [1]/experiment/there.yaml": MINE["conf/experiment/mine.yaml"]}
    write_files(tmp_path, {**MARKER, **MINE, **elsewhere})
    ended = run_script("describe", "--config-dir", "my ö [1]", "experiment=there")
    assert ended.err == "using my ö [1]: experiment/there.yaml\n"
    assert ended.status == 0
    assert "there" in run_script("train", "--config-dir", "my ö [1]", "--help").out


def test_a_primary_file_may_be_replaced(command: Callable[..., Ended], tmp_path: Path) -> None:
    text = (ROOT / "conf/train.yaml").read_text().replace("seed: 0", "seed: 5")
    write_files(tmp_path, {**MARKER, "conf/train.yaml": text})
    assert "seed: 5\n" in command("--cfg", "job").out


def own(files: Files, said: str, arguments: str = "") -> Mistake:
    return mistake(said, {**MARKER, **files}, arguments, said)


MISTAKES = [
    mistake("no folder", {}, "--config-dir=nope", "--config-dir: no such folder (found nope) | nope/exp"),
    mistake("a file", {"f": ""}, "--config-dir f", "--config-dir: no such folder (found f)"),
    own(
        {"conf/mlplab.yaml": "# my\nseed: 1\n"},
        "conf/mlplab.yaml: is in no group | conf/experiment/mlplab.yaml",
    ),
    own(
        {"conf/optimizer.yaml": "lr: 1"},
        "conf/optimizer.yaml: is in no group | conf/optimizer/optimizer.yaml",
    ),
    own(
        {"conf/mine.yaml": "lr: 1"},
        "conf/mine.yaml: is in no group | conf/experiment/mine.yaml, and choose it: experiment=mine",
    ),
    own(
        {"conf/optimzer/a.yaml": ""},
        "conf/optimzer/a.yaml: is in no group | conf/optimizer/a.yaml, and choose it: optimizer=a",
    ),
    own({"conf/db/mysql.yaml": ""}, "conf/db/mysql.yaml: is in no group | choose it: experiment=mysql"),
    own({"conf/experiment/e.yaml": "a: [\n"}, "e.yaml, line 2: is not valid YAML", "experiment=e"),
    own({"conf/experiment/e.yaml": "a: [\n"}, "e.yaml, line 2: is not valid YAML", "experiment=e --cfg job"),
    own(
        {"conf/optimizer/adam.yaml": "lr: 1"},
        "optimizer.name: is missing | defaults: [OPTION]",
        "optimizer=adam",
    ),
    own(
        {"conf/train.yaml": "hydra: {searchpath: ['pkg://os']}"},
        "conf/train.yaml: hydra.searchpath: is not supp",
    ),
    own(
        {"conf/train.yaml": "a: {searchpath: [pkg://os]}\nhydra: ${a}"},
        "conf/train.yaml: hydra.searchpath: is not",
    ),
    own({"conf/train.yaml": "- a"}, "primary config 'train' must be a DictConfig"),
    own(
        {"conf/experiment/e.yaml": "seed: 1".encode("utf-16")},
        "conf/experiment/e.yaml: is not UTF-8 | save it",
    ),
    own({"conf/train.yaml": "a: ["}, "conf/train.yaml, line 1: is not valid YAML"),
    own({"conf/hydra/sweeper/x.yaml": ""}, "conf/hydra/sweeper/x.yaml: is in no group"),
    own(
        {"conf/experiment/e.yaml": "# @package _global_\nhydra: {callbacks: {x: {_target_: os.getcwd}}}\n"},
        "hydra.callbacks: is not supported by mlplab",
        "experiment=e",
    ),
    own(
        {"conf/experiment/e.yaml": "# @package _global_\ncallbacks: {x: {_target_: os.system}}\n"},
        "MLPLAB_ALLOWED_CLASSES",
        "experiment=e",
    ),
]


@each(MISTAKES)
def test_a_mistake_gets_a_short_answer(
    command: Callable[..., Ended], tmp_path: Path, mistake: Mistake
) -> None:
    assert_refused(mistake, tmp_path, command)


def test_an_option_of_mlplabs_can_be_extended(command: Callable[..., Ended], tmp_path: Path) -> None:
    write_files(tmp_path, {**MARKER, "conf/optimizer/slow.yaml": "defaults: [adam]\nlr: 0.0001\n"})
    shown = command("optimizer=slow", "--cfg", "job", "--package", "optimizer").out
    assert "name: adam\n" in shown
    assert "lr: 0.0001\n" in shown
