"""Trains one run, or a sweep with -m. See `python scripts/train.py --help`."""

from pathlib import Path

from mlplab.cli.train_command import train_command

if __name__ == "__main__":
    train_command(Path(__file__).resolve().parents[1] / "conf", "train")
