"""In which keys runs differ, and by which metric they can be compared."""

import logging
from collections.abc import Sequence

from mlplab.config import MAY_BE_AUTO, Mark, is_marked
from mlplab.runs.compare.labels import as_typed, plain_value
from mlplab.runs.compare.ranking import SPLIT_KEYS
from mlplab.runs.compare.run_result import RunResult
from mlplab.runs.compare.same_table import is_classification

REPEATS = ("seed", *SPLIT_KEYS)
"""Keys in which runs of one configuration may differ: scores are averaged over them."""

COMMON_METRICS = ("val/log_loss", "val/rmse")
"""The metrics that compare runs which monitor different metrics: of classes and of numbers."""

LOSS_KEYS = ("loss.", "data.class_weights", "model.preprocessing.target")
"""Keys that define the loss: runs that differ in them cannot be compared by `val/loss`."""

log = logging.getLogger(__name__)


def without_repeats(runs: Sequence[RunResult]) -> list[RunResult]:
    """One run for each configuration and seed; a finished one if possible."""
    unique: dict[tuple[str, ...], RunResult] = {}
    for run in runs:
        keys = sorted(key for key in run.config if not is_marked(key, Mark.COSMETIC))
        same = (*keys, *run.values(keys))
        if same not in unique or (run.done and not unique[same].done):
            unique[same] = run
    return list(unique.values())


def varying_keys(runs: Sequence[RunResult]) -> list[str]:
    """The keys in which runs differ, except names, seeds and folds.

    Runs that were refused before their table decided what `auto` stands for do not count if there are others.
    """
    runs = [run for run in runs if "auto" not in map(run.config.get, MAY_BE_AUTO)] or runs
    keys = dict.fromkeys(key for run in runs for key in run.config if key not in REPEATS)
    return [key for key in keys if not is_marked(key, Mark.COSMETIC) and _varies(key, runs)]


def _varies(key: str, runs: Sequence[RunResult]) -> bool:
    option = f"{key.rpartition('.')[0]}.name"  # only loss=huber has loss.delta
    values, options = set[float | str](), {True: set[str](), False: set[str]()}
    for run in runs:
        options[key in run.config].add(as_typed(run.config.get(option)))
        if key in run.config:
            values.add(plain_value(run.config[key]))  # 5 is 5.0
    return len(values) > 1 or not options[True].isdisjoint(options[False])


def common_monitor(runs: Sequence[RunResult]) -> str:
    """The validation metric that ranks runs of one table.

    It is the one that all of them monitor, if there is one, and it is not `val/loss` of different losses.
    """
    monitors = {str(run.config.get("monitor")) for run in runs} - {"None", "auto"}  # auto: it was refused
    losses_differ = monitors == {"val/loss"} and any(key.startswith(LOSS_KEYS) for key in varying_keys(runs))
    if len(monitors) == 1 and not losses_differ:
        return monitors.pop()
    return COMMON_METRICS[0 if is_classification(runs) else 1]


def warn_of_ensembles(keys: Sequence[str]) -> None:
    """Warns if runs that differ in these keys are validated in different ways."""
    if "ensemble" in keys:
        what = "val/* of ensembles is out of fold, and stricter than that of single networks"
        log.warning("%s: choose among runs with the same value of ensemble", what)
