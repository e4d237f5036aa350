"""The loop of a search: Optuna chooses the values of a batch, its runs train, Optuna learns their results."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from optuna.trial import FrozenTrial

from mlplab.config import Sweep
from mlplab.config.metrics import sign_of
from mlplab.errors import UserError, reason_of
from mlplab.runs.best_trial import trial_name
from mlplab.runs.discovery import read_metrics
from mlplab.sweeps.search.samplers import FIXES_VALUES
from mlplab.sweeps.search.space import Value
from mlplab.sweeps.search.study import SearchStudy, TrialResult

FEWEST_MEMBERS = 8
"""Trials of a batch that get the same shape, if their shape is searched: smaller stacks gain little."""

RUNG = "rung/"
"""What a metrics.json calls the values at rungs."""

Train = Callable[[Sequence[FrozenTrial]], None]
"""Trains the runs of some trials, in their folders."""

log = logging.getLogger(__name__)


@dataclass
class Search:
    """A search.

    Args:
        root: the sweep folder.
        monitor: the metric that compares trials.
        defaults: the values of the first trial: those of the configuration without the search.
        shape_keys: keys of the space in which the members of a stack may not differ.
        train: trains a batch. If it raises UserError, none of its runs could be trained.
        seconds: an estimate for training that many trials together.
        deadline: the time at which training ends, in seconds since 1970; None: it has no limit.
    """

    root: Path
    settings: Sweep
    study: SearchStudy
    monitor: str
    defaults: Mapping[str, Value]
    shape_keys: Sequence[str]
    train: Train
    seconds: Callable[[int], float]
    deadline: float | None
    _seconds_each: float | None = field(default=None, init=False)

    def run(self) -> None:
        """Trains until there are as many trials as asked for, or the time is over.

        Trials that a killed process has left are trained first, in their folders.

        Raises:
            UserError: if no trial has ended yet, or two batches in a row, and the next cannot be trained. Its
                trials are left running, and are resumed by the same command.
        """
        refused = not any(trial.state.is_finished() for trial in self.study.trials)
        while batch := self._next_batch():
            before = time.monotonic()
            try:
                self.train(batch)
                results = [self._result(trial.number) for trial in batch]
                refused = False
            except UserError as error:
                if refused:
                    raise
                refused = True
                log.warning("a batch could not be trained: %s", reason_of(error))
                results = [TrialResult("failed", None, reason=reason_of(error))] * len(batch)
            for trial, result in zip(batch, results, strict=True):
                self.study.tell(trial.number, result)
            self._seconds_each = (time.monotonic() - before) / len(batch)
            self._log_progress()

    def _next_batch(self) -> list[FrozenTrial]:
        """The trials that train next: those that had been started before, and new ones to fill the batch.

        Batches end at multiples of their size, whatever was interrupted.
        """
        study, size = self.study, self.settings.batch
        batch = study.running
        asked = len(study.trials)
        end = math.ceil((asked + (not batch)) / size) * size
        if self.settings.total is not None:
            end = min(end, self.settings.total)
        count = self._affordable(end - asked)
        return batch + [study.ask(self._fixed_values(number)) for number in range(asked, asked + count)]

    def _affordable(self, count: int) -> int:
        """How many of the next trials there is time for; at least one trial in all."""
        if self.deadline is None:
            return count
        left = self.deadline - time.time()
        while count > 0 and self._seconds(count) > left:
            count -= 1
        return max(count, not self.study.trials)

    def _seconds(self, trials: int) -> float:
        """Estimated seconds of training; after a batch, from its own."""
        return self._seconds_each * trials if self._seconds_each else self.seconds(trials)

    def _fixed_values(self, number: int) -> Mapping[str, Value]:
        """The values that a trial gets without the sampler: its shape is that of the first of its group."""
        if number == 0:
            return self.defaults
        group = min(FEWEST_MEMBERS, self.settings.batch)
        first = number - number % self.settings.batch % group
        if first == number or self.settings.sampler not in FIXES_VALUES:
            return {}
        params = self.study.trials[first].params
        return {key: params[key] for key in self.shape_keys}

    def _result(self, number: int) -> TrialResult:
        """How the run of a trial has ended, by its folder."""
        metrics = read_metrics(self.root / trial_name(number))
        status, value = str(metrics["status"]), metrics.get(self.monitor)
        worst = sign_of(self.monitor) * math.inf
        rungs = {
            int(name.removeprefix(RUNG)): worst if reached is None else float(reached)
            for name, reached in metrics.items()
            if name.startswith(RUNG)
        }
        reason = str(metrics.get("reason", "" if status == "done" else "its process ended"))
        if status == "done" and value is None:
            status, reason = "failed", f"{self.monitor} is not defined"
        return TrialResult(status, value, rungs, reason)

    def _log_progress(self) -> None:
        study, best = self.study, self.study.best
        total = f" of {self.settings.total:,}" if self.settings.total else ""
        found = "none finished"
        if best:
            found = f"best {self.monitor} {best.value:.4g} ({trial_name(best.number)})"
        log.info("%s%s trials, %s done: %s", f"{len(study.trials):,}", total, f"{len(study.done):,}", found)
