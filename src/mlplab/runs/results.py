"""The verb results: one table over many runs, from their metrics.json and config.yaml alone. No torch."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from mlplab.errors import Fault, UserError, listed, nearest
from mlplab.keys import flat
from mlplab.runs.find import read_config, read_metrics, runs_below

METRICS = ("val/rmse", "test/rmse", "test/mae", "test/r2")
REPEATS = ("seed", "data.split.seed", "data.split.fold")
"""What runs are averaged over, unless they are grouped by it."""

NAMES = ("name",)
"""Differs between any two runs and says nothing of them."""

RUN = "run"
DEPTH = 3
"""Folders within folders that are looked through: outputs, sweeps, runs."""


@dataclass(frozen=True)
class RunResult:
    """What one run's folder says: its configuration by dotted keys, and its metrics with its status."""

    folder: Path
    config: dict[str, Any]
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Group:
    """Runs that share the values of some keys.

    Attributes:
        key: those values.
        runs: how many finished.
        others: how many have another status, by it; no figure holds anything of theirs.
        scores: mean, standard deviation and standard error of each metric over the finished runs; NaN where
            there are too few.
    """

    key: tuple[str, ...]
    runs: int
    others: dict[str, int]
    scores: dict[str, tuple[float, float, float]]


@dataclass(frozen=True)
class Results:
    """Groups of runs; `by` names the keys whose values they share."""

    by: tuple[str, ...]
    groups: tuple[Group, ...]


def results(folders: Sequence[Path], by: Sequence[str] | None = None, sort: str = "test/rmse") -> Results:
    """Groups the runs below some folders.

    Args:
        by: keys to group by; `run` makes each run a group. None takes the keys in which runs differ, but
            for seeds and folds, over which the scores are averaged.
        sort: a metric (best first) or a key of `by`.

    Raises:
        UserError: if there are no runs, or a key or a metric is not theirs.
    """
    found = {run.resolve(): run for folder in folders for run in _below(folder)}  # each once
    runs = [read_run(run) for run in found.values()]
    known = sorted({key for run in runs for key in run.config})
    by = tuple(differing(runs)) if by is None else tuple(by)
    for key in by:
        _check(key, [RUN, *known], "--by")
    _check(sort, [*METRICS, *by], "--sort")
    groups: dict[tuple[str, ...], list[RunResult]] = {}
    for run in runs:
        values = tuple(str(run.folder) if key == RUN else _told(run.config.get(key)) for key in by)
        groups.setdefault(values, []).append(run)
    made = [_group(values, members) for values, members in groups.items()]
    if sort in by:
        made.sort(key=lambda group: _natural(group.key[by.index(sort)]))
    else:
        sign = -1 if sort.endswith("r2") else 1
        made.sort(key=lambda group: _last_if_nan(sign * group.scores[sort][0]))
    return Results(by, tuple(made))


def read_run(folder: Path) -> RunResult:
    """A run's configuration and metrics.

    Raises:
        UserError: if one of its files is damaged.
    """
    return RunResult(folder, dict(flat(read_config(folder))), read_metrics(folder))


def differing(runs: Sequence[RunResult]) -> list[str]:
    """The keys in which runs differ, but for names, seeds and folds."""
    values: dict[str, set[str]] = {}
    for run in runs:
        for key, value in run.config.items():
            values.setdefault(key, set()).add(_told(value))
    everywhere = Counter(key for run in runs for key in run.config)
    return [
        key
        for key, seen in values.items()
        if key not in (*NAMES, *REPEATS) and (len(seen) > 1 or everywhere[key] < len(runs))
    ]


def _below(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(Fault("no such folder", str(folder), remedy="name runs, sweeps, or outputs"))
    found = list(runs_below(folder, DEPTH))
    if not found:
        raise UserError(
            Fault("holds no run", str(folder), expected="folders with config.yaml and metrics.json in them")
        )
    return found


def _check(key: str, known: Sequence[str], flag: str) -> None:
    if key not in known:
        near = nearest(key, known) or [each for each in known if each.rpartition(".")[2] == key]
        remedy = f"did you mean {near[0]}?" if near else ""
        raise UserError(Fault("no run knows this", flag, f"'{key}'", f"one of {listed(known)}", remedy))


def _group(key: tuple[str, ...], runs: Sequence[RunResult]) -> Group:
    done = [run for run in runs if run.metrics["status"] == "done"]
    others = Counter(run.metrics["status"] for run in runs if run.metrics["status"] != "done")
    scores = {name: _summary([run.metrics.get(name) for run in done]) for name in METRICS}
    return Group(key, len(done), dict(others), scores)


def _summary(values: Iterable[Any]) -> tuple[float, float, float]:
    numbers = [value for value in values if isinstance(value, int | float) and math.isfinite(value)]
    mean = fmean(numbers) if numbers else math.nan
    sd = stdev(numbers) if len(numbers) > 1 else math.nan
    return mean, sd, sd / math.sqrt(len(numbers)) if numbers else math.nan


def _told(value: Any) -> str:
    """A value as it is typed on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(_told, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def _natural(text: str) -> tuple[int, float, str]:
    try:
        return 0, float(text), text
    except ValueError:
        return 1, 0.0, text


def _last_if_nan(value: float) -> tuple[bool, float]:
    return math.isnan(value), value
