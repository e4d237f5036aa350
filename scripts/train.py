"""Trains one run, or a sweep with -m. See `python scripts/train.py --help`."""

import sys
from pathlib import Path

from mlplab.cli.main import run

if __name__ == "__main__":  # Hydra completes the arguments of files that contain "@hydra.main"
    run("train", sys.argv[1:], conf=Path(__file__).resolve().parents[1] / "conf")
