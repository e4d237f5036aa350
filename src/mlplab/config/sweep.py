"""Sweeps: what is searched, for how long, and how."""

from typing import Literal

from mlplab.config.types import Count, OrAuto, Positive, Section


class Sweep(Section):
    """A search for good values of keys. A grid of given values has only `ensemble`."""

    trials: OrAuto[Count]
    minutes: Positive | None
    batch: Count
    sampler: Literal["tpe", "random"]
    pruning: Literal["none", "halving", "hyperband"]
    ensemble: Count | None
    space: dict[str, str]

    @property
    def total(self) -> int | None:
        """The number of trials; None: as many as there is time for."""
        if self.trials != "auto":
            return self.trials
        return None if self.minutes else TRIALS


TRIALS = 64
"""Trials of a search that gives neither their number nor a time."""
