"""This project as a contender: its configurations, their rows, and its real trainings, timed."""

import io
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hydra import compose, initialize_config_dir
from rich.console import Console

from benchmarks.epochs import Epoch, timed
from benchmarks.machine import ROOT
from benchmarks.rows import Rows
from mlplab.cli.compose import plain, register_resolvers
from mlplab.config import TrainConfig, parse
from mlplab.data.cache import DataCache
from mlplab.runs.resolve import resolved
from mlplab.runs.run import Run
from mlplab.runs.train import train_runs
from mlplab.training.module import StackModule

SPLIT = ("data.split.val=0.1", "data.split.test=0.1")

TABLE = ("data=synthetic", "data.rows=12500", "data.features=8", *SPLIT)
"""10,000 training rows of 8 columns."""

SAME_ARITHMETIC = (
    "optimizer=adam",
    "scheduler=constant",
    "model.periodic_features=0",
)
"""What the peers do too."""


def config(*overrides: str) -> TrainConfig:
    """The configuration that `train.py` would make of these overrides."""
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = compose("train", list(overrides))
    return parse(plain(composed))


def shape(hidden: Sequence[int], batch: int) -> tuple[str, str]:
    """The overrides that give a network its hidden layers and a step its rows."""
    return f"model.hidden=[{','.join(map(str, hidden))}]", f"data.batch_size={batch}"


def rows_of(run: TrainConfig) -> Rows:
    """The rows of each part, as peers take them: standardised beforehand, not in every step as ours."""
    data = DataCache().data(run)
    table, split = data.table, data.split
    x, y = table.x.astype(np.float64), table.y[:, 0]
    x = (x - x[split.train].mean(0)) / x[split.train].std(0)
    y = (y - y[split.train].mean()) / y[split.train].std()
    x, y = x.astype(np.float32), y.astype(np.float32)
    return Rows(*(values[part] for part in (split.train, split.val, split.test) for values in (x, y)))


def training_seconds(overrides: Sequence[str]) -> float:
    """The seconds of the training of a run, with all that `train.py` does."""
    cache = DataCache()
    run = resolved(config(*overrides), cache)
    with TemporaryDirectory() as folder:
        [metrics] = train_runs([Run(run, Path(folder, "run"))], cache, Console(file=io.StringIO()))
    return float(metrics["seconds"])


def train_timed(overrides: Sequence[str], members: int) -> list[Epoch]:
    """A whole training of `members` runs that differ in their seeds, with all that `train.py` does."""
    cache = DataCache()
    shared = resolved(config(*overrides), cache)
    runs = [shared.model_copy(update={"seed": seed}) for seed in range(members)]
    with TemporaryDirectory() as folder, timed(StackModule) as epochs:
        train_runs(
            [Run(run, Path(folder, str(run.seed))) for run in runs], cache, Console(file=io.StringIO())
        )
    return epochs
