"""What tests share: typed configurations, runs trained in this process, and commands that have ended."""

import io
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from mlplab import hydra_cli
from mlplab.config import TrainConfig, parse

ROOT = Path(__file__).resolve().parents[1]

SMALL = ("data=synthetic", "data.rows=60", "data.batch_size=16", "model.hidden=[8,8]", "trainer.max_epochs=5")


def config(*overrides: str) -> TrainConfig:
    """The typed configuration that `train.py` would make of these overrides."""
    hydra_cli.register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = compose("train", list(overrides))
    values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    assert isinstance(values, dict)
    return parse({str(key): value for key, value in values.items()})


def train_into(folder: Path, *members: Sequence[str]) -> list[dict[str, Any]]:
    """Trains runs as one stack into folders 0, 1, …; the contents of their metrics.json."""
    from rich.console import Console

    from mlplab.runs.train import Run, train

    runs = [Run(config(*overrides), folder / str(index)) for index, overrides in enumerate(members)]
    return train(runs, Console(file=io.StringIO()))


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    out: str
    err: str


def process(arguments: Sequence[str], cwd: Path, stdin: str | None = None, **environment: str) -> Ended:
    """A Python process of its own, in this environment."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def assert_short_answer(ended: Ended, said: Sequence[str]) -> None:
    """A mistake was answered as promised: status 2, a few lines that say all this, and nothing else."""
    assert ended.status == 2, ended
    for words in said:
        assert words in ended.err
    assert len(ended.err.splitlines()) <= 5
    assert "Traceback" not in ended.err
    assert ended.out == ""
