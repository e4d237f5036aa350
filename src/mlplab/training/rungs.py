"""The rungs at which runs are compared, and may be pruned. Imports no torch."""

import math
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
