"""Optuna's samplers. Imports no torch."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    PartialFixedSampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)

FIXES_VALUES = ("tpe", "random")
"""Samplers that choose the other values well when some are fixed. The others need all dimensions."""


def build_sampler(name: str, seed: int, number: int, fixed: Mapping[str, Any]) -> BaseSampler:
    """The sampler for one trial.

    It depends on the earlier trials, the seed and the trial's number only. So a search that was killed and
    resumed chooses the same values as one that was not.

    Args:
        name: `tpe`, `cmaes`, `random` or `qmc`.
        seed: of the search.
        number: of the trial.
        fixed: values that are given.
    """
    own = int(np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        sampler = _sampler(name, seed % 2**32, own)
        return PartialFixedSampler(dict(fixed), sampler) if fixed else sampler


def _sampler(name: str, seed: int, own: int) -> BaseSampler:
    match name:
        case "cmaes":  # choices are sampled at random
            return CmaEsSampler(
                seed=own, independent_sampler=RandomSampler(seed=own), warn_independent_sampling=False
            )
        case "qmc":  # one sequence for all trials, of which the study keeps the position
            return QMCSampler(
                seed=seed,
                scramble=True,
                independent_sampler=RandomSampler(seed=own),
                warn_independent_sampling=False,
            )
        case "random":
            return RandomSampler(seed=own)
        case _:  # running trials count as bad ones (constant liar), so that a batch spreads out
            return TPESampler(seed=own, constant_liar=True)
