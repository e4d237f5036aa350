"""Engines: where the stacks of a sweep train."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mlplab.config.types import Count, NotNegative, NotNegativeCount, Positive, Section, Text


def _as_float(value: object) -> object:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


Amount = Annotated[NotNegative, BeforeValidator(_as_float)]
"""A number of cores or GPUs, or a part of one."""


class LocalEngine(Section):
    """Processes on this machine."""

    name: Literal["local"]


class SlurmEngine(Section):
    """Slurm jobs, one per stack; with `cluster=local`, the same jobs as processes on this machine."""

    name: Literal["slurm"]
    cluster: Literal["slurm", "local"]
    minutes: Annotated[int, Field(ge=5, lt=2**31)]  # Slurm warns jobs 90 to 150 seconds before
    partition: Text | None
    account: Text | None
    qos: Text | None
    cpus: Count
    memory_gib: Positive | None
    gpus: NotNegativeCount
    setup: list[Text]
    sbatch: Mapping[str, Any]


class RayEngine(Section):
    """Tasks of a Ray cluster, one per stack."""

    name: Literal["ray"]
    address: Text
    cpus: Annotated[Positive, BeforeValidator(_as_float)]
    gpus: Amount
    memory_gib: Positive | None


Engine = Annotated[LocalEngine | SlurmEngine | RayEngine, Field(discriminator="name")]


class Launcher(Section):
    """How the runs of a sweep are put into stacks, and where those train."""

    max_members: Count | None
    workers: Count | None
    engine: Engine
