"""An estimate of the time until a sweep ends."""

import heapq
import math
from collections.abc import Iterator
from statistics import fmean

from mlplab.sweeps.watch.progress import Progress, Training
from mlplab.sweeps.watch.run_progress import ENDED, Epochs


def seconds_left(progress: Progress, now: float) -> float | None:
    """Seconds until all runs have ended; None if nothing is known yet.

    Stacks in training go on at the speed of their last epochs. Each that ends makes room for one that waits,
    which takes as long as the others did on average.

    Args:
        now: seconds since 1970.
    """
    if not progress.is_total_known:
        return None
    training = list(progress.training)
    known = [*_ended(progress), *(whole for each in training if (whole := _whole(each.epochs)))]
    mean = fmean(known) if known else None
    left = [_left(each, mean, now) for each in training]
    waiting = _waiting_stacks(progress)
    if not training or None in left or (waiting and mean is None):
        return None
    ends = [each for each in left if each is not None]
    heapq.heapify(ends)
    for _ in range(waiting):
        heapq.heapreplace(ends, ends[0] + (mean or 0.0))
    return max(ends)


def _whole(epochs: Epochs | None) -> float | None:
    """Seconds of all epochs."""
    return epochs.seconds * epochs.epochs if epochs and epochs.seconds else None


def _left(training: Training, mean: float | None, now: float) -> float | None:
    """Seconds until a stack ends, by its own speed or by what stacks take on average."""
    epochs = training.epochs
    if epochs and epochs.seconds:
        return max(0.0, (epochs.epochs - epochs.epoch) * epochs.seconds - max(0.0, now - epochs.logged))
    return None if mean is None else max(0.0, mean - (now - training.started))


def _ended(progress: Progress) -> Iterator[float]:
    """Seconds that the stacks took whose runs have all ended; those of refused runs took none."""
    for stack in progress.stacks:
        runs = [progress.runs[run] for run in stack if run in progress.runs]
        states = {run.state for run in runs}
        if len(runs) == len(stack) and states <= set(ENDED) and states != {"failed"}:
            yield max(run.written for run in runs) - min(run.started for run in runs)


def _waiting_stacks(progress: Progress) -> int:
    """The number of stacks that are neither in training nor over; of a search also those to be asked for."""
    stacks, known = len(progress.stacks), sum(map(len, progress.stacks))
    asked_later = math.ceil((progress.total - known) * stacks / known) if known else 0
    over = sum(
        all(run in progress.runs and progress.runs[run].state in ENDED for run in stack)
        for stack in progress.stacks
    )
    return asked_later + stacks - over - len(list(progress.training))
