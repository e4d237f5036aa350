"""Writes one page about a run, a sweep, or a folder of them: FOLDER/report.html.

python scripts/report.py outputs/sweep

The page opens in any browser, also on a phone and offline. It holds scores and baselines, learning curves,
figures, the rows that were predicted worst, the columns of the table, and what is needed to repeat a run. Of
several runs, it compares all, and shows the best by validation.
"""

import argparse
import sys
from pathlib import Path

from mlplab.cli.terminal import VERSION, exit_status, log_to_terminal, version_line


def report(arguments: argparse.Namespace) -> None:
    """Writes the page, and prints its path."""
    from mlplab.commands.render import inside
    from mlplab.commands.report.report import report

    path = report(arguments.folder)
    print(f"{inside(path)} ({path.stat().st_size / 1e6:.1f} MB)")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a run or sweep folder, or outputs")
    parser.add_argument(VERSION, action="version", version=version_line())
    log_to_terminal("stderr")
    sys.exit(exit_status(lambda: report(parser.parse_args())))


if __name__ == "__main__":
    main()
