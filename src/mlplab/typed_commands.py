"""Commands in messages, as the user types them: `mlplab train`, or `python scripts/train.py` in a clone."""

import os
import re
import shlex
import sys
from pathlib import Path
from shutil import which

COMMANDS = ("train", "describe", "evaluate", "predict", "export", "results", "report")
"""The commands that are scripts in a clone, too."""

PACKAGE = Path(__file__).resolve().parent
SCRIPTS = PACKAGE.parents[1] / "scripts"

UV_RUN = ["uv", "run"] if "UV_RUN_RECURSION_DEPTH" in os.environ else []
"""What has started this process, if uv has."""


def commands_as_typed(text: str) -> str:
    """A text in which the commands, written as `mlplab train`, become what the user would type."""
    return re.sub(rf"\bmlplab ({'|'.join(COMMANDS)})\b", lambda match: command_line(match[1]), text)


def command_line(name: str, *words: str | Path) -> str:
    """A command with arguments, as typed in the current folder and like the command that runs now."""
    shown = [str(inside(word)) if isinstance(word, Path) else word for word in words]
    called = Path(sys.argv[0])
    if called.resolve().parent == SCRIPTS:
        program = [*(UV_RUN or sys.orig_argv[:1]), str(inside(called.with_name(f"{name}.py")))]
    elif called.stem == "mlplab" and which("mlplab") != str(called):  # typed with its folder
        program = [str(called), name]
    else:
        program = [*_program("mlplab", "mlplab"), name]
    return shlex.join([*program, *shown])


def tensorboard_command(folder: Path) -> str:
    """The command that shows the curves in a folder, as typed in the current folder."""
    return shlex.join([*_program("tensorboard", "tensorboard.main"), "--logdir", str(inside(folder))])


def inside(folder: Path) -> Path:
    """The path, relative to the current folder if it is inside that."""
    here = Path.cwd()
    return folder.resolve().relative_to(here) if folder.resolve().is_relative_to(here) else folder


def _program(name: str, module: str) -> list[str]:
    """A program of this environment; as a module if the environment is not activated."""
    return [*UV_RUN, name] if UV_RUN or which(name) else [sys.executable, "-m", module]
