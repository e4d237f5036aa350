"""The levels of intervals and prediction sets that are asked of trained runs."""

from collections.abc import Iterable, Sequence

import numpy as np

from mlplab.config.types import read_levels
from mlplab.conformal.intervals import Levels, interval_levels
from mlplab.console import plural
from mlplab.errors import listed, refusal
from mlplab.runs.trained.trained_run import TrainedRun

AnyLevels = float | int | str | Sequence[float | int | str]
"""One level, such as 0.9, or several: `[0.8, 0.9]` or `0.8,0.9`."""


def levels_given(key: str, value: AnyLevels | None) -> tuple[float, ...]:
    """The levels that an argument names; none if it is None.

    Raises:
        UserError: if one is not between 0 and 1.
    """
    try:
        return () if value is None else read_levels(value)
    except ValueError as error:
        raise refusal(str(error), f"{key}={value}") from error


def check_levels(runs: Iterable[TrainedRun], intervals: Levels = (), sets: Levels = ()) -> None:
    """Checks that runs have intervals and sets of these levels.

    Raises:
        UserError: if they do not suit the target, or a run has no residuals, or those of too few rows.
    """
    for run in runs if intervals or sets else ():
        if fault := _fault(run, intervals, sets):
            raise refusal(fault[0], run.folder, fault[1])


def _fault(run: TrainedRun, intervals: Sequence[float], sets: Sequence[float]) -> tuple[str, str] | None:
    classes, known, most = run.schema.classes, interval_levels(run.quantiles), run.uncertainty.highest_level
    if intervals and classes:
        return "predicts classes, which have no intervals", f"use sets={intervals[0]:g}"
    if sets and not classes:
        return "predicts numbers, which have no prediction sets", f"use interval={sets[0]:g}"
    other = [level for level in intervals if run.quantiles and round(level, 9) not in known]
    if other:
        ends = sorted({end for level in intervals for end in ((1 - level) / 2, 0.5, (1 + level) / 2)})
        what = f"has the quantiles {listed(map(str, run.quantiles), 9)}, none for interval={other[0]:g}"
        use = f"use interval={known[0]:g}, or " if known else ""
        return what, f"{use}train with loss.levels=[{','.join(f'{end:.9g}' for end in ends)}]"
    if np.isnan(most) and (source := run.config.init_from):
        what = f"has no held-out errors, because rows that it held out were in the training of {source}"
        return what, "train it from scratch, or with data.split and ensemble=… of that run"
    if np.isnan(most):
        return "has no held-out errors (runs from before 0.20 may have none)", "train again"
    if (wanted := max([*intervals, *sets])) > most:
        key, is_grouped = ("sets" if sets else "interval"), getattr(run.config.data.split, "group", None)
        rows = plural(min(each.rows for each in run.residuals), "group" if is_grouped else "row")
        most = np.floor(most * 1000) / 1000
        use = f"at most {key}={most:g}, or " if most else ""
        return f"held out {rows}, too few for {key}={wanted:g}", f"{use}train on more"
    return None
