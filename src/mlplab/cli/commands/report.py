"""Writes one page about a run, a sweep, or a folder of them: FOLDER/report.html."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from mlplab.cli.arguments import flags_command
from mlplab.typed_commands import command_line, inside


def report(arguments: argparse.Namespace) -> None:
    """Writes the page, and prints its path."""
    from mlplab.commands.report.report import report

    path = report(arguments.folder)
    print(f"{inside(path)} ({path.stat().st_size / 1e6:.1f} MB)")


def main(words: Sequence[str]) -> NoReturn:
    """The command."""
    parser = argparse.ArgumentParser(command_line("report"), description=__doc__, allow_abbrev=False)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a run or sweep folder, or outputs")
    flags_command(report, parser, words)
