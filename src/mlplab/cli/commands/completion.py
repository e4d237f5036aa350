"""Prints the script with which a shell completes the commands of mlplab.

eval "$(mlplab completion bash)"       in ~/.bashrc
eval "$(mlplab completion zsh)"        in ~/.zshrc, after compinit
mlplab completion fish | source        in ~/.config/fish/config.fish

  mlplab completion candidates LINE    what these scripts call: the ways to complete a command line
"""

import os
import re
import shlex
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from glob import escape, glob
from importlib import import_module
from io import StringIO
from itertools import pairwise
from pathlib import Path

from mlplab.cli.main import ALL_COMMANDS
from mlplab.cli.terminal import print_usage
from mlplab.errors import Fault, UserError
from mlplab.typed_commands import COMMANDS

SHELLS = ("bash", "zsh", "fish")

COMPOSED, OF_FOLDERS = ("train", "describe"), ("results", "report")
"""Commands whose arguments are overrides of the configuration; commands whose arguments are folders."""


def main(words: Sequence[str]) -> None:
    """Prints a shell's script, or candidates.

    Raises:
        UserError: if the arguments are none of those that the usage shows.
    """
    print_usage(words, __doc__)
    match words:
        case [shell] if shell in SHELLS:
            print(Path(__file__).with_suffix(f".{shell}").read_text(encoding="utf-8"), end="")
        case ["candidates", line]:
            print("\n".join(candidates(line)))
        case _:
            expected = f"one of {', '.join(SHELLS)}"
            raise UserError(Fault("has no script for this shell", "completion", " ".join(words), expected))


def candidates(line: str) -> list[str]:
    """The ways to complete the last word of a command line, which begins with the name of the program."""
    before, _, word = line.rpartition(" ")
    try:
        shlex.split(word)
        words = shlex.split(before)[1:]
    except ValueError:  # within quotes
        return []
    if not words:
        return [name for name in ALL_COMMANDS if name.startswith(word)]
    name, *words = words
    if name not in COMMANDS:
        return [shell for shell in SHELLS if shell.startswith(word)]
    known = _overrides(words, word) if name in COMPOSED else _options(name, words)
    if found := {each for each in known if each.startswith(word) and (word or each[0] != "-")} - {word}:
        return sorted(found)
    key = "" if name in OF_FOLDERS else word[: word.find("=") + 1]
    is_path = name not in COMPOSED or re.search(r"(path|dir|resume|init_from)=$", key)
    return _files(key, word) if is_path else []


def _overrides(words: Sequence[str], word: str) -> list[str]:
    """What Hydra knows: groups and their options, keys and their values."""
    from mlplab.cli.compose import ask_hydra
    from mlplab.cli.config_folders import config_folders
    from mlplab.cli.overrides import readable

    os.environ["COMP_LINE"] = " ".join(["mlplab", *readable(words), word])
    folders = config_folders(dict(pairwise(words)).get("--config-dir"))
    # What Hydra prints counts even if it then raises an error, as for a wrong word before the last.
    with redirect_stdout(StringIO()) as printed, suppress(Exception, SystemExit):
        ask_hydra(["--shell-completion", "query=fish"], folders)
    found = re.sub(r"^[^=]+=\d+=\n", "", printed.getvalue(), flags=re.MULTILINE)  # elements of lists
    return re.sub(r"^(\w+)$", r"\1=", found, flags=re.MULTILINE).splitlines()


def _options(name: str, words: Sequence[str]) -> list[str]:
    """The keys and flags that the usage of a command shows, without those that are typed."""
    usage = import_module(f"mlplab.cli.commands.{name}").__doc__ or ""
    found = re.findall(r"^  (--[a-z]+|[a-z_.]+=(?:[a-z]+\b)?)", usage, re.MULTILINE)
    typed = {each.partition("=")[0] for each in words}
    return [each for each in found if each.partition("=")[0] not in typed]


def _files(key: str, word: str) -> list[str]:
    """Files and folders as the value of a key, or alone."""
    return [
        f"{key}{path}{'/' if Path(path).is_dir() else ''}"
        for path in sorted(glob(f"{escape(word.removeprefix(key))}*"))  # noqa: PTH207 - paths stay as typed
    ]
