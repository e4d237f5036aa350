"""A stack of a sweep in training: what comes of each of its runs, whatever befalls another."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from mlplab.config import TrainConfig
from mlplab.data.cache import DataCache
from mlplab.errors import CannotWrite, Interrupted, RunFailed, UserError, reason_of
from mlplab.runs.discovery import read_metrics
from mlplab.runs.folder import Metrics, Stamp, record_failed, stamp_of
from mlplab.runs.resume import has_begun, has_ended, name_in_sweep
from mlplab.runs.resume_state import kept_of_run, kept_of_stack
from mlplab.runs.train import Run, train
from mlplab.training import checkpoint
from mlplab.training.state import StackState

Outcome = Metrics | RunFailed
"""The content of a run's metrics.json, or why it did not end well."""


@dataclass(frozen=True)
class Stack:
    """Runs that train together.

    Args:
        told: which of how many it is.
        file: takes what it goes on from.
    """

    told: str
    runs: list[Run]
    file: Path

    @property
    def by_name(self) -> dict[str, TrainConfig]:
        """The runs' configurations by their names in the sweep."""
        return {name_in_sweep(run.folder, self.file): run.config for run in self.runs}

    @property
    def told_at_its_end(self) -> str:
        """How many of them have ended with it."""
        count = len(self.runs)
        return f"{self.told} has ended, with {count} run{'s' * (count > 1)}"


def train_stack(stack: Stack, console: Console, cache: DataCache) -> dict[Path, Outcome]:
    """What came of each run of a stack. If one of them breaks it, the others go on one by one."""
    outcomes: dict[Path, Outcome] = {}
    try:
        shared = kept_of_stack(stack.file, stack.by_name, cache)
    except UserError as error:
        return {run.folder: failed_for(run, error) for run in stack.runs}
    for runs, kept in _groups(stack, shared, cache, outcomes):
        try:
            trained = train(runs, console, cache, f"{stack.told}  ", kept, stack.file)
            outcomes |= {run.folder: _outcome(each) for run, each in zip(runs, trained, strict=True)}
        except (Interrupted, CannotWrite):
            raise
        except Exception as error:
            if len(runs) == 1:
                outcomes |= {run.folder: failed_for(run, error) for run in runs}  # its log has the traceback
            else:
                shared = kept_of_stack(stack.file, stack.by_name, cache)
                outcomes |= {run.folder: _alone(run, stack, shared, console, cache) for run in runs}
                checkpoint.remove(stack.file)
    return outcomes


def _groups(
    stack: Stack, shared: Mapping[str, StackState], cache: DataCache, outcomes: dict[Path, Outcome]
) -> list[tuple[list[Run], StackState | None]]:
    """The runs of a stack that stand at the same place, and what they go on from; those of which that cannot
    be told go to the outcomes."""
    groups: dict[Hashable, list[tuple[Run, StackState | None]]] = {}
    for run in stack.runs:
        try:
            kept = _kept(run, stack, shared, cache)
        except UserError as error:
            outcomes[run.folder] = failed_for(run, error)
        else:
            groups.setdefault(kept.join_key if kept else None, []).append((run, kept))
    return [
        (
            [run for run, _ in members],
            StackState.join([kept for _, kept in members if kept]) if place else None,
        )
        for place, members in groups.items()
    ]


def _kept(run: Run, stack: Stack, shared: Mapping[str, StackState], cache: DataCache) -> StackState | None:
    """What a run goes on from: the newer of what its stack and itself have kept."""
    if not run.begun:
        return None
    states = shared.get(name_in_sweep(run.folder, stack.file)), kept_of_run(run.folder, run.config, cache)
    return max((state for state in states if state), key=lambda state: state.step, default=None)


def _alone(
    run: Run, stack: Stack, shared: Mapping[str, StackState], console: Console, cache: DataCache
) -> Outcome:
    """What comes of a run whose stack another may have broken."""
    if outcome := ended(run.folder, run.config):
        return outcome
    again = replace(run, begun=stamp_if_begun(run.folder))
    try:
        kept = _kept(again, stack, shared, cache)
        [metrics] = train([again], console, cache, f"{stack.told}  ", kept)
    except (Interrupted, CannotWrite):
        raise
    except Exception as error:
        return failed_for(run, error)
    return _outcome(metrics)


def failed_for(run: Run, error: Exception) -> Outcome:
    """What came of a run that an error has reached, which may have ended before."""
    return ended(run.folder, run.config) or failed(run.folder, run.config.plain(), reason_of(error))


def ended(folder: Path, run: TrainConfig) -> Outcome | None:
    """What came of a run, if it has ended for good."""
    return _outcome(read_metrics(folder)) if has_ended(folder, run) else None


def _outcome(metrics: Metrics) -> Outcome:
    return metrics if metrics["status"] == "done" else RunFailed(metrics["reason"])


def failed(folder: Path, values: Mapping[str, Any], reason: str) -> RunFailed:
    """Says in a run's folder that it failed."""
    record_failed(folder, values, reason)
    return RunFailed(reason)


def stamp_if_begun(folder: Path) -> Stamp | None:
    """Of a run's folder, if anything has begun in it."""
    return stamp_of(folder) if has_begun(folder) else None
