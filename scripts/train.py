"""Trains one run, or with -m a sweep; `python scripts/train.py --help` tells how."""

from pathlib import Path

from mlplab.cli import heavy_imports
from mlplab.config import TrainConfig
from mlplab.hydra_cli import hydra_command


def train(config: TrainConfig, folder: Path, begun: bool) -> None:
    """Trains one network into its run folder, or goes on with one that has begun there."""
    with heavy_imports():
        from mlplab.runs.checks import check_run
        from mlplab.runs.inputs import Inputs

    inputs = Inputs()
    check_run(config, folder, inputs, begun=begun)  # here, so that a refusal need not wait for torch
    with heavy_imports():
        from mlplab.runs.train import train_one

    train_one(config, folder, inputs, begun=begun)


if __name__ == "__main__":
    hydra_command(train, conf=Path(__file__).resolve().parents[1] / "conf", name="train")
