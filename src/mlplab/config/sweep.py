"""Sweeps: what is searched, for how long, and where the stacks train."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mlplab.config.types import Auto, Count, NotNegative, NotNegativeCount, OrAuto, Positive, Section, Text


class Sweep(Section):
    """A search for good values of keys."""

    trials: OrAuto[Count, Auto]
    minutes: Positive | None
    batch: Count
    sampler: Literal["tpe", "random"]
    pruning: Literal["none", "halving"]
    space: dict[str, str]

    @model_validator(mode="before")
    @classmethod
    def _has_no_ensemble(cls, values: Any) -> Any:
        """A user's copy of a file of 1.0 may have the key `ensemble`, which is null."""
        is_null = isinstance(values, dict) and values.get("ensemble", 0) is None
        return {key: value for key, value in values.items() if key != "ensemble"} if is_null else values

    @property
    def total(self) -> int | None:
        """The number of trials; None: as many as there is time for."""
        if self.trials != "auto":
            return self.trials
        return None if self.minutes else 64


class LocalEngine(Section):
    """Processes on this machine."""

    name: Literal["local"]


class SlurmEngine(Section):
    """Slurm jobs, one per stack."""

    name: Literal["slurm"]
    minutes: Annotated[int, Field(ge=5, lt=2**31)]  # Slurm warns jobs 90 to 150 seconds before
    partition: Text | None
    account: Text | None
    qos: Text | None
    cpus: Count
    memory_gib: Positive | None
    gpus: NotNegativeCount
    setup: list[Text]
    sbatch: Mapping[str, object]


class RayEngine(Section):
    """Tasks of a Ray cluster, one per stack. `cpus` and `gpus` may be parts of one."""

    name: Literal["ray"]
    address: Text
    cpus: Positive
    gpus: NotNegative
    memory_gib: Positive | None


Engine = Annotated[LocalEngine | SlurmEngine | RayEngine, Field(discriminator="name")]


class Launcher(Section):
    """How the runs of a sweep are put into stacks, and where those train."""

    max_members: Count | None
    workers: Count | None
    engine: Engine
