"""Scores a trained run. See `python scripts/evaluate.py --help`."""

import sys

from mlplab.cli.main import run

if __name__ == "__main__":
    run("evaluate", sys.argv[1:])
