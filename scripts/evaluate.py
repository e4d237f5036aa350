"""Scores a trained run. See `python scripts/evaluate.py --help`."""

import sys

from mlplab.cli.commands.evaluate import main

if __name__ == "__main__":
    main(sys.argv[1:])
