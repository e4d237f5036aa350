"""A user's own configuration files: found, used in front of mlplab's, and checked."""

from pathlib import Path

import pytest
import yaml
from commands.mistakes import Command, Files, assert_refused, mistake, write_files
from support import ROOT, SMALL

GLOBAL = "# @package _global_\n"
MARKER = {"conf/mlplab.yaml": "# Marks this folder.\n"}
MINE = {"conf/experiment/mine.yaml": f"{GLOBAL}seed: 7\noptimizer: {{lr: 0.5}}\n"}
SHADOW = {"conf/optimizer/adam.yaml": (ROOT / "conf/optimizer/adam.yaml").read_text() + "# mine\n"}
USED = "using conf: experiment/mine.yaml, optimizer/adam.yaml\n"
QUICK = (*SMALL[:-1], "trainer.max_epochs=1")


def test_a_marked_folder_is_in_front_of_mlplabs(command: Command, tmp_path: Path) -> None:
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


def test_a_folder_may_be_named_and_replaces_the_marked_one(run_script: Command, tmp_path: Path) -> None:
    elsewhere = {"my ö [1]/experiment/there.yaml": MINE["conf/experiment/mine.yaml"]}
    write_files(tmp_path, {**MARKER, **MINE, **elsewhere})
    ended = run_script("describe", "--config-dir", "my ö [1]", "experiment=there")
    assert (ended.status, ended.err) == (0, "using my ö [1]: experiment/there.yaml\n")


def test_a_primary_file_may_be_replaced_and_an_option_extended(command: Command, tmp_path: Path) -> None:
    text = (ROOT / "conf/train.yaml").read_text().replace("seed: 0", "seed: 5")
    slow = "defaults: [adam]\nlr: 0.0001\n"
    write_files(tmp_path, {**MARKER, "conf/train.yaml": text, "conf/optimizer/slow.yaml": slow})
    shown = command("optimizer=slow", "--cfg", "job").out
    assert all(line in shown for line in ("seed: 5\n", "  name: adam\n", "  lr: 0.0001\n"))


MISTAKES: list[tuple[str, Files, str]] = [
    ("--config-dir=nope", {}, "--config-dir: no such folder (found nope) | nope/exp"),
    ("--config-dir f", {"f": ""}, "--config-dir: no such folder (found f)"),
    ("", {"conf/mlplab.yaml": "# my\nseed: 1\n"}, "is in no group | conf/experiment/mlplab.yaml"),
    ("", {"conf/optimizer.yaml": "lr: 1"}, "is in no group | conf/optimizer/optimizer.yaml"),
    ("", {"conf/optimzer/a.yaml": ""}, "is in no group | conf/optimizer/a.yaml, and choose it: optimizer=a"),
    ("", {"conf/db/mysql.yaml": ""}, "conf/db/mysql.yaml: is in no group | choose it: experiment=mysql"),
    ("", {"conf/hydra/sweeper/x.yaml": ""}, "conf/hydra/sweeper/x.yaml: is in no group"),
    ("", {"conf/train.yaml": "hydra: {searchpath: ['pkg://os']}"}, "hydra.searchpath: is not supported"),
    ("", {"conf/train.yaml": "a: {searchpath: [x]}\nhydra: ${a}"}, "hydra.searchpath: is not supported"),
    ("", {"conf/train.yaml": "- a"}, "primary config 'train' must be a DictConfig"),
    ("", {"conf/train.yaml": "a: ["}, "conf/train.yaml, line 1: is not valid YAML"),
    ("optimizer=adam", {"conf/optimizer/adam.yaml": "lr: 1"}, "optimizer.name: is missing | [OPTION]"),
    ("experiment=e", {"conf/experiment/e.yaml": "seed: 1".encode("utf-16")}, "is not UTF-8 | save it"),
    ("experiment=e --cfg job", {"conf/experiment/e.yaml": "a: [\n"}, "e.yaml, line 2: is not valid YAML"),
]


@pytest.mark.parametrize(("typed", "files", "said"), MISTAKES)
def test_a_mistake_gets_a_short_answer(
    command: Command, tmp_path: Path, typed: str, files: Files, said: str
) -> None:
    given = {**MARKER, **files} if "config-dir" not in typed else files
    assert_refused(mistake("", given, typed, said), tmp_path, command)
