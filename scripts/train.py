"""Trains one run, or a sweep with -m. See `python scripts/train.py --help`."""

from mlplab.cli.main import run

if __name__ == "__main__":  # Hydra completes the arguments of files that contain "@hydra.main"
    run("train")
