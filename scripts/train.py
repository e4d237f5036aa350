"""Trains one run, or a sweep with -m. See `python scripts/train.py --help`."""

import sys
from pathlib import Path

from mlplab.cli.commands.train import main

if __name__ == "__main__":
    main(sys.argv[1:], Path(__file__).resolve().parents[1] / "conf")
