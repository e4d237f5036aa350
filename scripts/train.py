"""Trains one run, or with -m a sweep; `python scripts/train.py --help` tells how."""

from pathlib import Path

from mlplab.cli.hydra_command import hydra_command
from mlplab.cli.terminal import heavy_imports
from mlplab.config import TrainConfig


def train(config: TrainConfig, folder: Path, begun: bool) -> None:
    """Trains one network into its run folder, or goes on with one that has begun there."""
    with heavy_imports():
        from mlplab.data.cache import DataCache
        from mlplab.runs.checks import check_run

    cache = DataCache()
    check_run(config, folder, cache, begun=begun)  # here, so that a refusal need not wait for torch
    with heavy_imports():
        from mlplab.runs.train import train_one

    train_one(config, folder, cache, begun=begun)


if __name__ == "__main__":
    hydra_command(train, conf=Path(__file__).resolve().parents[1] / "conf", name="train")
