"""Files from a stranger: none runs code, none is written outside its folder, none unfolds without end."""

import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml
from support import SMALL, Command, train_into, write_config

from mlplab.data.io import source
from mlplab.errors import UserError
from mlplab.runs import checkpoint
from mlplab.runs.folder import RunFolder
from mlplab.runs.planned_run import read_run_config
from mlplab.runs.versions import VERSION

pytestmark = pytest.mark.usefixtures("full_speed")


class Code:
    def __reduce__(self) -> Any:
        return os.system, ("touch run_by_a_file",)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train_into(folder, [*SMALL[:-1], "trainer.max_epochs=1"])
    return folder / "0"


@pytest.fixture
def run(trained: Path, here: Path) -> Path:
    """A run's folder that a stranger sent; it had not ended."""
    shutil.copytree(trained, here / "r")
    (here / "r/metrics.json").write_text('{"status": "interrupted"}')
    return here / "r"


def nothing_happened(folder: Path) -> None:
    assert not (folder / "run_by_a_file").exists()
    assert {path.name for path in folder.iterdir()} <= {"r", "new.csv", "outputs", "elsewhere"}
    assert not list(folder.glob("elsewhere/*"))


SPIKES = "lightning.pytorch.callbacks.SpikeDetection"
NAMES = {
    "logger.tensorboard.name": "../../elsewhere",
    "logger.tensorboard.version": "/tmp/elsewhere",
    "logger.tensorboard.sub_dir": "$HOME/elsewhere",
    "logger.tensorboard.prefix": "~/elsewhere",
    "logger.tensorboard.save_dir": "elsewhere",
    "logger.tensorboard.log_graph": "http://../../../elsewhere",
    "logger.tensorboard.comments": ["/tmp/elsewhere"],
    "callbacks.x": {"_target_": SPIKES, "exclude_batches_path": "elsewhere/x.json"},
    "callbacks.y": {"_target_": "os.system", "command": "touch run_by_a_file"},
    "name": "../elsewhere",
}


@pytest.mark.parametrize("key", NAMES)
def test_no_value_in_a_resumed_configuration_leaves_its_folder_or_runs_code(run: Path, key: str) -> None:
    """Which targets are refused, and where, is in tests/test_config.py."""
    node = values = yaml.safe_load((run / "config.yaml").read_text())
    *sections, last = key.split(".")
    for section in sections:
        node = node.setdefault(section, {})
    node[last] = NAMES[key]
    write_config(run, values)
    with pytest.raises(UserError):
        read_run_config(run)
    nothing_happened(run.parent)


def with_entry(path: Path, **entries: object) -> None:
    torch.save(torch.load(path, weights_only=True) | entries, path)


def with_file(path: Path, name: str, content: str | bytes) -> None:
    """An archive of a compressed file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)


def said_to_be_encrypted(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        place = archive.start_dir
    whole = bytearray(path.read_bytes())
    whole[place + 8] ^= 1  # a flag of the first part
    path.write_bytes(whole)


NESTED: Any = reduce(lambda part, _: [part, part], range(30), [])
ROUND: dict[str, Any] = {}
ROUND["x"] = ROUND

HARMS: dict[str, Callable[[Path], object]] = {
    "a tensor larger than its storage": lambda path: with_entry(path, x=torch.zeros(1).expand(10**13)),
    "parts that refer to each other": lambda path: with_entry(path, config={"x": NESTED}),
    "a part that holds itself": lambda path: with_entry(path, metrics=ROUND),
    "said to be encrypted": said_to_be_encrypted,
    "code beside the weights": lambda path: with_entry(path, training=Code()),
    "code in a bare pickle": lambda path: path.write_bytes(pickle.dumps(Code())),
    "an archive that expands": lambda path: with_file(path, "best/data.pkl", bytes(50_000_000)),
    "a name that leaves": lambda path: with_file(path, "../../run_by_a_file", "x"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_no_checkpoint_runs_code_or_expands(run: Path, harm: str) -> None:
    HARMS[harm](path := run / "checkpoints/best.ckpt")
    with pytest.raises(UserError, match=r"best\.ckpt: "):
        checkpoint.load(path)
    nothing_happened(run.parent)


@pytest.mark.parametrize("words", ["predict run=r input=new.csv output=-", "train resume=r"])
def test_no_command_runs_code_in_it(run_script: Command, run: Path, words: str) -> None:
    (run.parent / "new.csv").write_text("x1,x2,x3,x4,x5\n1,2,3,4,5\n")
    if "resume" not in words:
        (run / "metrics.json").write_text('{"status": "done"}')
    for name in ("best", "last"):
        with_entry(run / f"checkpoints/{name}.ckpt", training=Code())
    ended = run_script(*words.split())
    assert (ended.status, ".ckpt: " in ended.err) == (2, True), ended
    nothing_happened(run.parent)


@pytest.mark.parametrize("name", ["multirun.yaml", "stacks", ".lock"])
def test_no_link_in_a_sweeps_folder_is_followed(run_script: Command, tmp_path: Path, name: str) -> None:
    for folder in ("elsewhere", "outputs/s"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "outputs/s" / name).symlink_to(tmp_path / "elsewhere")
    ended = run_script("train", "-m", *SMALL, "seed=1,2", "name=s")
    assert ended.status == 2, ended
    assert "is a symbolic link, which sweeps never create" in ended.err
    nothing_happened(tmp_path)


@pytest.mark.parametrize("name", ["checkpoints/last.ckpt", "train.log", "figures", "metrics.json"])
def test_no_link_in_a_run_folder_is_followed(run: Path, name: str) -> None:
    mine = run.parent / "elsewhere"
    mine.write_text('{"status": "interrupted"}')
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(mine)
    with pytest.raises(UserError, match="is a symbolic link, which runs never create"):
        RunFolder(run).reopen({}, restart=False)
    assert mine.read_text() == '{"status": "interrupted"}'


def test_a_configuration_does_not_expand(run_script: Command, run: Path) -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{{', '.join(f'k{i}: *a{n - 1}' for i in range(9))}}}" for n in range(1, 12)]
    (run / "config.yaml").write_text("\n".join([f"# mlplab {VERSION}", *lines]))
    for words in (("train", "resume=r"), ("results", "r")):
        ended = run_script(*words)
        assert ended.status == 2, ended
        assert "it is too large, or has aliases" in ended.err


def test_a_parquet_file_does_not_expand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_PARQUET_BYTES", 2**20)  # a gibibyte would take a while to make
    pl.select(x=pl.repeat(1.0, 3_000_000)).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(UserError, match="expands from"), source.opened(tmp_path / "t.parquet"):
        pass


def test_no_text_becomes_a_formula_if_asked(run_script: Command, run: Path) -> None:
    (run / "metrics.json").write_text('{"status": "done"}')
    (run.parent / "new.csv").write_text("=note,x1,x2,x3,x4,x5\n=1+1,-1,2,3,4,5\n")
    predict = ("predict", "run=r", "input=new.csv", "output=-")
    for words, line in (((), "=1+1,-1,2,"), (("escape_formulas=true",), "'=1+1,-1,2,")):
        assert run_script(*predict, *words).out.splitlines()[1].startswith(line)
    run.rename(run.parent / "=1+1")
    ended = run_script("results", "=1+1", "--by", "run", "--format", "csv")
    assert ended.out.splitlines()[1].startswith("'=1+1,")
