"""Writes one page about a run, a sweep, or a folder of them: FOLDER/report.html."""

from collections.abc import Sequence
from pathlib import Path

from mlplab.cli.arguments import flags_parser
from mlplab.typed_commands import inside


def main(words: Sequence[str]) -> None:
    """Writes the page, and prints its path."""
    parser = flags_parser("report", __doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a run or sweep folder, or outputs")
    arguments = parser.parse_args(words)

    from mlplab.commands.report.report import report

    path = report(arguments.folder)
    print(f"{inside(path)} ({path.stat().st_size / 1e6:.1f} MB)")
