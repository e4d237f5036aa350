"""The networks of an ensemble, as configurations of single runs. Imports no torch."""

from mlplab.config import TrainConfig, chosen

SEEDS = 2**63
"""Number of seeds."""


def member_configs(run: TrainConfig) -> list[TrainConfig]:
    """The configuration of each network of a run: the run's own, with a seed of its own.

    Runs with different seeds and ensembles of one size have no member's seed in common.
    """
    members = chosen(run.ensemble)
    seeds = ((run.seed * members + member) % SEEDS for member in range(members))
    return [run.model_copy(update={"seed": seed}) for seed in seeds]
