"""Completion of command lines: what is offered, and what shells make of it."""

import os
import re
import select
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

import pytest

from mlplab.cli import main
from mlplab.cli.commands.completion import SHELLS, candidates
from mlplab.cli.main import ALL_COMMANDS

pty = pytest.importorskip("pty", reason="Windows has no such terminals")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["mlplab"])
    for name in ("COMP_LINE", "HYDRA_FULL_ERROR"):
        monkeypatch.setenv(name, "")  # what completion sets is undone
    (tmp_path / "outputs/lr=0.1,seed=1").mkdir(parents=True)
    (tmp_path / "my.csv").touch()
    (tmp_path / "conf/optimizer").mkdir(parents=True)
    (tmp_path / "conf/mlplab.yaml").touch()
    (tmp_path / "conf/optimizer/mine.yaml").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mlplab ", [*ALL_COMMANDS]),
        ("mlplab  re", ["results", "report"]),
        ("mlplab trian opt", []),
        ("mlplab completion ", [*SHELLS]),
        ("mlplab train optimizer", ["optimizer.", "optimizer="]),
        ("mlplab train data", ["data.", "data="]),
        ("mlplab train optimizer=", [f"optimizer={name}" for name in ("adam", "adamw", "mine", "sgd")]),
        ("mlplab train -m seed=1,2 sweep=q", ["sweep=quick"]),
        ("mlplab train optimizer=sgd optimizer.mom", ["optimizer.momentum="]),
        ("mlplab train data.path=my.csv data.tar", ["data.target="]),
        ("mlplab train data.path=m", ["data.path=my.csv"]),
        ("mlplab train -m seed=1,2 baselines=", []),
        ("mlplab train -m 'seed=range(3)' task=", ["task=auto"]),
        ("mlplab train nonsense=1 task=", []),
        ("mlplab train 'name=a ta", []),
        ("mlplab train resume=outputs/", ["resume=outputs/lr=0.1,seed=1/"]),
        ("mlplab describe data/split=g", ["data/split=group"]),
        ("mlplab evaluate run=outputs tr", ["training_rows=include"]),
        ("mlplab evaluate run=o", ["run=outputs/"]),
        (
            "mlplab predict run=outputs input=my.csv ",
            "escape_formulas= interval= output= overwrite= runs= sets= spread= threshold=",
        ),
        ("mlplab results --w", ["--watch"]),
        ("mlplab results outputs/lr=0", ["outputs/lr=0.1,seed=1/"]),
        ("mlplab report ", ["conf/", "my.csv", "outputs/"]),
        ("mlplab predict input='m", []),
    ],
)
def test_candidates(line: str, expected: list[str] | str) -> None:
    found = candidates(line)
    if isinstance(expected, str):  # keys, some with a value that the usage shows
        found, expected = [each.partition("=")[0] + "=" for each in found], expected.split()
    assert found == expected


def test_the_usage_names_all_commands_which_have_files_of_these_names() -> None:
    assert re.findall(r"^  (\w+)", main.__doc__ or "", re.MULTILINE) == [*ALL_COMMANDS]
    for name in ALL_COMMANDS:
        assert import_module(f"mlplab.cli.commands.{name}").main


STARTS = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
    "fish": ["--no-config", "-i"],
}
INSTALLS = {
    "bash": 'eval "$(mlplab completion bash)"',
    "zsh": 'autoload -U compinit; compinit -D; eval "$(mlplab completion zsh)"',
    "fish": "mlplab completion fish | source",
}


ESCAPE = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")
"""What sets colours and moves the cursor."""


class Terminal:
    """A shell in a terminal, and what it has printed."""

    def __init__(self, number: int) -> None:
        self.number, self.printed = number, ""

    def type(self, text: str, until: str, seconds: float = 30.0) -> None:
        """Types a text, and waits until something is printed after it, and then nothing for a while."""
        self.printed = ""
        os.write(self.number, text.encode())
        deadline = time.monotonic() + seconds
        is_busy = True
        while until not in self.printed or is_busy:
            assert time.monotonic() < deadline, self.printed
            if is_busy := bool(select.select([self.number], [], [], 0.2)[0]):
                self.printed += ESCAPE.sub("", os.read(self.number, 65536).decode(errors="replace"))


@contextmanager
def opened(shell: str, environment: dict[str, str]) -> Iterator[Terminal]:
    """An interactive shell."""
    pid, number = pty.fork()
    if not pid:  # the child
        os.execvpe(shell, [shell, *STARTS[shell]], environment)
    try:
        yield Terminal(number)
    finally:
        with suppress(OSError):
            os.kill(pid, 9)
        os.close(number)
        os.waitpid(pid, 0)


@pytest.mark.parametrize(
    "shell", ["bash", *(pytest.param(shell, marks=pytest.mark.slow) for shell in ("zsh", "fish"))]
)
def test_a_shell_completes(shell: str, here: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {
        **os.environ,
        "PATH": path,
        "TERM": "xterm",
        "HOME": str(here),
        "PS1": "",
        "COLUMNS": "500",
    }
    (here / "new houses.csv").touch()
    with opened(shell, environment) as terminal:
        terminal.type(f"{INSTALLS[shell]}; echo rea''dy\n", "ready")
        for typed, completed in (
            ("mlplab evalu", "ate "),
            ("mlplab train -m optimizer=sg", "d "),
            ("mlplab predict run=out", "puts/"),
            ("mlplab results outputs/lr=0", ".1,seed=1/"),
            ("mlplab predict input=new", r"\ houses.csv"),
        ):
            terminal.type(typed, typed[-2:])
            terminal.type("\t", completed)
            terminal.type("\x15echo cle''ared\n", "cleared")
