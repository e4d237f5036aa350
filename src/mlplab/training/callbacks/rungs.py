"""The rungs of successive halving: when runs are compared, and which go on. Imports no torch.

As in ASHA (Li et al. 2020, algorithm 2), the best 1 / `FACTOR` of the runs that have reached a rung go on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

FACTOR = 3  # one in this many runs goes on after a rung


@dataclass(frozen=True)
class Rung:
    """A point in training at which runs are compared.

    Args:
        share: the fraction of a run's epochs after which it is compared.
        earlier: the values of runs that reached the rung before: their best monitored metric until then,
            negated if the highest is the best.
    """

    share: float
    earlier: tuple[float, ...]


@dataclass(frozen=True)
class Bracket:
    """When a run may end early. Runs of a stack are compared if their rungs are equal.

    Args:
        rungs: by ascending share.
        deadline: the time after which no further epoch begins, in seconds since 1970.
    """

    rungs: tuple[Rung, ...]
    deadline: float = math.inf


def rung_numbers(rungs: Sequence[Rung], epochs: int) -> dict[int, int]:
    """The number of a rung, from 1, by the epoch after which runs of so many epochs are compared.

    After the last epoch, they are not. Of several rungs at one epoch, the last counts.
    """
    numbers = {
        max(1, math.ceil(round(rung.share * epochs, 9))): number  # 0.07 of 100 epochs are 7
        for number, rung in enumerate(rungs, 1)
    }
    return {epoch: number for epoch, number in numbers.items() if epoch < epochs}


def places(runs: int) -> int:
    """How many of the runs that have reached a rung go on."""
    return max(1, runs // FACTOR)


def survivors(values: Sequence[float], earlier: Sequence[float]) -> list[bool]:
    """Which values, of which low ones are good, are among the best `places` of these and the earlier ones.

    Values that are equal to the last of these are, too.
    """
    both = sorted([*values, *earlier])
    return [value <= both[places(len(both)) - 1] for value in values]
