import sys
from pathlib import Path

import pytest

from mlplab import typed_commands
from mlplab.cli.main import main
from mlplab.typed_commands import PACKAGE, SCRIPTS, command_line, commands_as_typed, tensorboard_command

INSTALLED = "/env/bin/mlplab"
NOTEBOOK = "/env/lib/ipykernel_launcher.py"
WAYS = [
    ("scripts/train.py", False, True, "python3 scripts/results.py s"),
    ("scripts/train.py", True, True, "uv run scripts/results.py s"),
    (INSTALLED, False, True, "mlplab results s"),
    (INSTALLED, True, True, "uv run mlplab results s"),
    ("other/bin/mlplab", False, False, "other/bin/mlplab results s"),
    (str(PACKAGE / "__main__.py"), False, True, "mlplab results s"),
    (str(PACKAGE / "__main__.py"), False, False, f"{sys.executable} -m mlplab results s"),
    (NOTEBOOK, False, True, "mlplab results s"),
    (NOTEBOOK, False, False, f"{sys.executable} -m mlplab results s"),
    ("/a/users/scripts/train.py", False, True, "mlplab results s"),
]
"""What was called, whether by uv, whether the environment is activated, and the command that is shown."""


@pytest.mark.parametrize(("argument", "by_uv", "activated", "expected"), WAYS)
def test_commands_are_shown_as_the_user_types_them(
    monkeypatch: pytest.MonkeyPatch, argument: str, by_uv: bool, activated: bool, expected: str
) -> None:
    monkeypatch.chdir(SCRIPTS.parent)
    monkeypatch.setattr(sys, "argv", [argument])
    monkeypatch.setattr(sys, "orig_argv", ["python3", argument])
    monkeypatch.setattr(typed_commands, "which", lambda name: f"/env/bin/{name}" if activated else None)
    monkeypatch.setattr(typed_commands, "UV_RUN", ["uv", "run"] if by_uv else [])
    program = f"{sys.executable} -m tensorboard.main" if not activated else "tensorboard"
    assert tensorboard_command(Path("s")) == f"{'uv run ' if by_uv else ''}{program} --logdir s"
    assert command_line("results", Path.cwd() / "s") == expected
    assert commands_as_typed("try mlplab results s, not mlplab trian") == f"try {expected}, not mlplab trian"


ANSWERS = {
    "": (2, "describe    shows how"),
    "--help": (0, "mlplab COMMAND --help"),
    "--version": (0, "mlplab "),
    "trian": (2, "unknown command (found trian, expected one of train, describe"),
    "data.path=a.csv": (2, "type the command first: "),
}


@pytest.mark.parametrize("argument", ANSWERS)
def test_the_program_chooses_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argument: str
) -> None:
    monkeypatch.setattr(sys, "argv", [INSTALLED, *argument.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    status, said = ANSWERS[argument]
    assert ended.value.code == status
    assert said in (printed.err or printed.out)
    assert all(len(line) <= 80 for line in printed.out.splitlines())
