"""Composes, checks and trains runs of a sweep: makes a plan, then trains its stacks here or by an engine."""

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path

from hydra.core.override_parser.types import Override
from rich.console import Console

from mlplab import config
from mlplab.commands.train import score_tests
from mlplab.config import flat
from mlplab.data.cache import DataCache
from mlplab.errors import reason_of
from mlplab.files import remove_partial_files
from mlplab.imports import heavy_imports
from mlplab.runs.compare.run_result import RunResult
from mlplab.runs.folder import RunFolder, record_failure
from mlplab.runs.planned_run import FINAL, PlannedRun, check_same_config, has_ended, was_started
from mlplab.runs.read_folder import has_test_scores, read_metrics
from mlplab.sweeps.check_runs import ComposeRuns, RefusedRun, check_runs
from mlplab.sweeps.engines.drive import drive
from mlplab.sweeps.engines.engine import Engine, PlannedStack, open_engine
from mlplab.sweeps.engines.worker import train_stack
from mlplab.sweeps.grid import Runs
from mlplab.sweeps.plan import plan_stacks, training_cost
from mlplab.sweeps.sweep_folder import STACKS
from mlplab.training.outcome import Metrics
from mlplab.training.rungs import Bracket

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ComposedSweep:
    """What a command line, or a call in Python, says of a sweep.

    Attributes:
        choices: the option of each group.
        accelerator: of the runs that do not vary it.
        compose: the runs with these overrides, by the names of their folders.
    """

    root: Path
    overrides: Sequence[Override]
    choices: Mapping[str, object]
    settings: config.Sweep
    launcher: config.Launcher
    accelerator: str
    compose: ComposeRuns


@dataclass
class SweepLauncher:
    """Composes, checks and trains runs of a sweep: those of a grid at once, those of a search in batches."""

    composed: ComposedSweep
    cache: DataCache
    console: Console
    progress: Console

    @cached_property
    def engine(self) -> Engine:
        """Where stacks train. It is opened when it is needed first: when runs have been checked."""
        composed = self.composed
        return open_engine(composed.launcher, composed.root, self.cache, composed.accelerator)

    def close(self) -> None:
        """Ends the workers."""
        if "engine" in vars(self):
            self.engine.close()

    def launch(
        self, overrides: Runs, brackets: Mapping[str, Bracket], *, alone: bool = False
    ) -> list[RunResult]:
        """Trains runs, given by the names of their folders; returns the results of all, in order.

        Args:
            alone: whether `auto` stands for what it does in a run alone.

        Raises:
            UserError: if none of the runs can be trained.
            Interrupted: after SIGINT or SIGTERM, with the training states saved.
        """
        composed = self.composed.compose(overrides)
        runs, refused = check_runs(composed, self.cache, alone=alone)  # before torch is imported
        runs = [replace(run, bracket=brackets.get(run.folder.name)) for run in runs]
        results = launch(runs, refused, self.engine, self.progress)
        return [results[run.folder] for run in composed]


def launch(
    runs: Sequence[PlannedRun], refused: Sequence[RefusedRun], engine: Engine, progress: Console
) -> dict[Path, RunResult]:
    """Trains the runs of a sweep; returns the result of each by its folder.

    If a run is refused or fails, this is recorded in its folder and does not affect the others. Runs that
    have ended are not repeated, but tested if that was left out; runs that were started are resumed.

    Raises:
        UserError: if all runs are refused (no files are written then), or the engine cannot train them.
        Interrupted: after SIGINT or SIGTERM, with the training states saved.
        CannotWrite: if the disk is full.
    """
    ended, root = _ended_earlier(runs, engine), engine.root
    plan = plan_stacks(runs, refused, engine)
    if not plan.stacks:
        raise plan.refused[0].error
    processes = f"{plan.workers} processes" if plan.workers > 1 else ""
    log.info("%s", plan.summary(len(ended), engine.place or processes))
    (root / STACKS).mkdir(parents=True, exist_ok=True)
    remove_partial_files(root)
    plan.write(root)
    for run in plan.refused:
        record_failure(run.folder, run.values, reason_of(run.error))
    stacks = []
    for number, members in enumerate(plan.stacks, 1):
        names = "\n".join(os.fspath(run.folder.relative_to(root)) for run in members)
        file = root / STACKS / f"{hashlib.sha256(names.encode()).hexdigest()[:12]}.ckpt"
        stacks.append(PlannedStack(f"stack {number} of {len(plan.stacks)}", members, file))
    stacks = [stack for stack in stacks if any(run.folder not in ended for run in stack.runs)]
    if any(run.bracket for run in runs):
        # Stacks share the time that is left by what they take. So neither the first uses that of the others,
        # nor are large networks cut off if there is time for all.
        sizes = [engine.call(training_cost, stack.runs[0].config) for stack in stacks]
        seconds = [size.seconds(len(stack.runs), 1) for size, stack in zip(sizes, stacks, strict=True)]
        left, workers = [*accumulate(reversed(seconds))][::-1], plan.workers  # of a stack and all after it
        stacks = [
            replace(stack, share=min(1.0, workers * seconds[number] / left[number - number % workers]))
            for number, stack in enumerate(stacks)
        ]
    is_here = plan.workers == 1 or engine.cache.frame is not None  # other processes cannot see a frame
    if is_here and not engine.is_remote:
        for stack in stacks:
            train_stack(stack, progress, engine.cache)
            if len(stacks) > 1 and not progress.is_terminal:
                log.info("%s", stack.finished_message)
    else:
        drive(stacks, engine, plan.workers)
    results = [RunResult(run.folder, dict(flat(run.values)), read_metrics(run.folder)) for run in refused]
    results += [RunResult(run.folder, dict(flat(run.config.plain())), _outcome(run)) for run in runs]
    if all(result.metrics["status"] != "running" for result in results):
        remove_partial_files(root / STACKS)  # no worker is left that could be writing there
        for job in (root / STACKS).glob("*.json"):
            job.unlink(missing_ok=True)
    with suppress(OSError):  # not empty if a stack has not ended
        (root / STACKS).rmdir()
    return {result.folder: result for result in results}


def _outcome(run: PlannedRun) -> Metrics:
    """What a run's metrics.json says, unless it is of fewer epochs, since more could not be trained."""
    metrics = read_metrics(run.folder)
    if metrics["status"] in FINAL and not has_ended(run.folder, run.config):
        reason = "could not be trained for more epochs, and stays as it was; see the messages above"
        return {"status": "failed", "reason": reason}
    if metrics["status"] in ("running", "unknown"):
        return metrics | {"reason": "has not ended; see the messages above"}
    return metrics


def _ended_earlier(runs: Sequence[PlannedRun], engine: Engine) -> set[Path]:
    """The folders of runs that have already ended; those without test scores are tested.

    Raises:
        UserError: if a folder belongs to a run with a different configuration, table or split.
    """
    ended, checked = set(), set()
    for run in runs:
        if was_started(run.folder):
            check_same_config(run.config, run.folder)
            data = engine.cache.data(run.config)
            if data not in checked and engine.call(_has_same_rows, run):
                checked.add(data)  # one run of each table and split is enough
            if has_ended(run.folder, run.config):
                ended.add(run.folder)
                metrics = read_metrics(run.folder)
                if run.config.test and metrics["status"] == "done" and not has_test_scores(metrics):
                    engine.call(score_tests, run.folder)
    return ended


def _has_same_rows(cache: DataCache, run: PlannedRun) -> bool:
    """Checks that a run was trained on this table and split; False if there is nothing to check.

    Raises:
        UserError: if they have changed.
    """
    with heavy_imports():
        from mlplab.runs import checkpoint
        from mlplab.runs.resume import REMEDY

    path = RunFolder(run.folder).best
    if path.exists():
        cache.data(run.config).check_unchanged(checkpoint.load(path).get("table"), REMEDY)
    return path.exists()
