"""What a run has left: its configuration and its metrics; and both in brief, for tables and charts."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlplab.config.dotted_keys import flat
from mlplab.files import Plain
from mlplab.runs.discovery import TRIAL, read_config, read_metrics

FRACTION = re.compile(r"-?\d+(?:\.\d+(?:e[+-]?\d+)?|e[+-]?\d+)")
"""A number with a point or an exponent."""

RUN = "run"
"""Stands for the folder of a run among the keys of its configuration."""


@dataclass(frozen=True)
class RunResult:
    """The configuration (by dotted keys) and the metrics of a run."""

    folder: Path
    config: Plain
    metrics: Plain

    @property
    def done(self) -> bool:
        """Whether the run has finished."""
        return bool(self.metrics["status"] == "done")

    def metric(self, name: str) -> float:
        """The value of a metric; NaN if there is none."""
        value = self.metrics.get(name)
        return float(value) if isinstance(value, int | float) else math.nan

    def values(self, keys: Iterable[str]) -> tuple[str, ...]:
        """The values of some keys as typed on the command line; of `run`, the folder."""
        return tuple(str(self.folder) if key == RUN else as_typed(self.config.get(key)) for key in keys)


def read_run(folder: Path) -> RunResult:
    """Reads the configuration and metrics of a run.

    Raises:
        UserError: if a file is damaged or of a different version.
    """
    return RunResult(folder, dict(flat(read_config(folder))), read_metrics(folder))


def trials_in_order(runs: Sequence[RunResult]) -> list[RunResult]:
    """The trials of one search, in the order in which it asked for them; empty if the runs are others."""
    names = {run.folder: TRIAL.fullmatch(run.folder.name) for run in runs}
    if None in names.values() or len({folder.parent for folder in names}) != 1:
        return []
    return sorted(runs, key=lambda run: (len(run.folder.name), run.folder.name))


def labelled(keys: Sequence[str], values: Sequence[str]) -> str:
    """Values in brief, with the short names of their keys: `lr=0.001,hidden=[8]`."""
    return ",".join(f"{key}={in_brief(value)}" for key, value in zip(short_keys(keys), values, strict=True))


def short_keys(keys: Sequence[str]) -> list[str]:
    """The last part of each key, or as many parts as tell it from the others: `lr`, `split.seed`.

    The name of an option is that of its group: `optimizer`, not `optimizer.name`.
    """
    named = [key.removesuffix(".name") for key in keys]

    def short(key: str) -> str:
        parts = key.split(".")
        ends = [".".join(parts[start:]) for start in reversed(range(len(parts)))]
        return next((end for end in ends if sum(f".{name}".endswith(f".{end}") for name in named) == 1), key)

    return [short(key) for key in named]


def as_typed(value: object) -> str:
    """A value as typed on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(as_typed, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def plain_value(value: object) -> float | int | str:
    """A number as it is, anything else as typed on the command line."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else as_typed(value)


def in_brief(value: str) -> str:
    """A value as typed, with four digits instead of more than six: 0.01235 for 0.0123456789.

    Searches sample such numbers; people type shorter ones.
    """
    is_list = value.startswith("[")
    return FRACTION.sub(_rounded, value) if is_list or FRACTION.fullmatch(value) else value


def _rounded(match: re.Match[str]) -> str:
    number = float(match[0])
    if float(f"{number:.6g}") == number:
        return match[0]
    return f"{number:.4g}" if abs(number) < 1e4 or "e" in match[0] else f"{number:.0f}"
