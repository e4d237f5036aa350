"""Trains one run, or a sweep with -m. See `python scripts/train.py --help`."""

from pathlib import Path

from mlplab.cli.main import run

if __name__ == "__main__":  # Hydra completes the arguments of files that contain "@hydra.main"
    run("train", conf=Path(__file__).resolve().parents[1] / "conf")
