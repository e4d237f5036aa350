"""Trains one run, or with -m a sweep. See `python scripts/train.py --help`."""

from pathlib import Path

from mlplab.cli.train_command import train_command
from mlplab.config import TrainConfig
from mlplab.imports import heavy_imports


def train(run: TrainConfig, folder: Path, *, resume: bool) -> None:
    """Trains a run into its folder, or resumes it there."""
    with heavy_imports():
        from mlplab.commands.train import train

    train(run, folder, resume=resume)


if __name__ == "__main__":
    train_command(train, conf=Path(__file__).resolve().parents[1] / "conf", name="train")
