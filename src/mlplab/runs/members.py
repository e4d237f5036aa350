"""The networks of an ensemble, as configurations of single runs. Imports no torch."""

from mlplab.config import TrainConfig, chosen

SEEDS = 2**63
"""Number of seeds."""


def member_configs(run: TrainConfig) -> list[TrainConfig]:
    """The configuration of each network of a run: the run's own, with a seed of its own.

    No two seeds of a sweep share the seed of a member.
    """
    members = chosen(run.ensemble)
    seeds = ((run.seed * members + member) % SEEDS for member in range(members))
    return [run.model_copy(update={"seed": seed}) for seed in seeds]
