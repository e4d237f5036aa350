"""Writes one page about a run or a sweep. See `python scripts/report.py --help`."""

import sys

from mlplab.cli.commands.report import main

if __name__ == "__main__":
    main(sys.argv[1:])
