"""The rungs at which the trials of a search are compared: successive halving and Hyperband."""

from collections.abc import Mapping, Sequence

from optuna.trial import FrozenTrial

from mlplab.sweeps.search.study import SearchStudy
from mlplab.training.pruning import FACTOR, Bracket, Rung

RUNGS = 2
"""Number of rungs."""

SHARES = tuple(float(FACTOR) ** (rung - RUNGS) for rung in range(RUNGS))
"""The share of its epochs after which a trial is compared, by rung: a ninth and a third."""

TRIALS_BY_FIRST_RUNG = (9, 5, 3)
"""Of 17 trials of Hyperband, those first compared at each rung, and at none (Li et al. 2018, algorithm 1)."""


def first_rung(number: int, kind: str) -> int:
    """The first rung, from 0, at which a trial is compared; `RUNGS` if it is not pruned.

    With `halving`, all trials are compared at all rungs. Hyperband also has trials that are first compared
    later, in case early values mislead. Those of a round are mixed.
    """
    if kind != "hyperband":
        return 0 if kind == "halving" else RUNGS
    position = 7 * number % sum(TRIALS_BY_FIRST_RUNG)  # 7 and 17 have no common factor
    return next(rung for rung in range(RUNGS + 1) if position < sum(TRIALS_BY_FIRST_RUNG[: rung + 1]))


def brackets(
    trials: Sequence[FrozenTrial], study: SearchStudy, kind: str, deadline: float
) -> Mapping[int, Bracket]:
    """When each trial of a batch may be pruned, by its number.

    The first trial, the configuration without the search, never is. So something is found in any case, and
    the best trial is not worse.

    Args:
        kind: `none`, `halving` or `hyperband`.
        deadline: the time at which trials are pruned, in seconds since 1970.
    """
    ended = [trial for trial in study.trials if trial.state.is_finished()]

    def rungs(first: int) -> tuple[Rung, ...]:
        reached = [trial.intermediate_values for trial in ended if first_rung(trial.number, kind) == first]
        return tuple(
            Rung(share, tuple(study.sign * values[number] for values in reached if number in values))
            for number, share in enumerate(SHARES[first:], 1)  # of the bracket's own rungs
        )

    by_first = {first: rungs(first) for first in range(RUNGS + 1)}
    return {
        trial.number: Bracket(by_first[first_rung(trial.number, kind)], deadline)
        for trial in trials
        if trial.number
    }
