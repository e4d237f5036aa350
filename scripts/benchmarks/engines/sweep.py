"""A sweep over seeds as users type it, trained by an engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from benchmarks.child import seconds_of
from benchmarks.machine import ROOT

Engine = Literal["local", "submitit", "Ray", "Ray, started"]
"""Processes; submitit's on this machine; a Ray cluster that runs already; one that the command starts."""

TRAIN = str(ROOT / "scripts/train.py")

UNCHANGING = ("scheduler=constant", "callbacks.early_stopping.patience=null", "figures=none")
"""Each epoch takes as long as the others, and the command does little at its end."""


@dataclass(frozen=True)
class Sweep:
    """Stacks of equal size.

    Args:
        hidden: units of each layer, such as `[64,64]`.
    """

    stacks: int
    members: int
    epochs: int
    rows: int
    hidden: str

    def words(self, folder: Path) -> list[str]:
        """What follows `python` in the command.

        Args:
            folder: of the sweep.
        """
        return [
            *(TRAIN, "-m", f"seed=range({self.stacks * self.members})"),
            *("data=synthetic", f"data.rows={self.rows}", f"model.hidden={self.hidden}"),
            *(f"trainer.max_epochs={self.epochs}", *UNCHANGING),
            *(f"hydra.launcher.max_members={self.members}", f"hydra.sweep.dir={folder}"),
        ]

    def seconds(self, engine: Engine, workers: int, nodes: int = 1) -> float:
        """Of the whole command.

        Args:
            workers: number of stacks that train at a time; 1 with `local`: in the process of the command.
            nodes: of the Ray cluster, which have one core each.
        """
        with TemporaryDirectory() as name, _words_of(engine, nodes) as words:
            command = [*self.words(Path(name, "sweep")), f"hydra.launcher.workers={workers}", *words]
            return seconds_of(f"the sweep ({engine})", *command)


@contextmanager
def _words_of(engine: Engine, nodes: int) -> Iterator[tuple[str, ...]]:
    """The overrides that choose an engine; a cluster that should run already is started before."""
    ray = "hydra/launcher/engine=ray"
    match engine:
        case "local":
            yield ()
        case "submitit":
            yield "hydra/launcher/engine=slurm", "hydra.launcher.engine.cluster=local"
        case "Ray":
            from benchmarks.engines.cluster import ray_cluster  # Ray takes memory, which a benchmark counts

            with ray_cluster(nodes) as address:
                yield ray, f"hydra.launcher.engine.address={address}"
        case "Ray, started":
            yield ray, "hydra.launcher.engine.address=local"
