"""Writes one page about a run, a sweep, or a folder of them: FOLDER/report.html.

mlplab report FOLDER

  FOLDER  of a run or a sweep, or outputs; or a file NAME.mlplab, for NAME.report.html
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from mlplab.cli.terminal import print_usage
from mlplab.imports import heavy_imports
from mlplab.typed_commands import command_line, inside


def main(words: Sequence[str]) -> None:
    """Writes the page, and prints its path."""
    print_usage(words, __doc__)
    parser = ArgumentParser(command_line("report"), add_help=False, allow_abbrev=False)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    arguments = parser.parse_args(words)

    with heavy_imports():
        from mlplab.commands.report.report import report

    path = report(arguments.folder)
    print(f"{inside(path)} ({path.stat().st_size / 1e6:.1f} MB)")
