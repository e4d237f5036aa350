"""Trains the runs of a sweep: makes a plan, then trains the stacks."""

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from mlplab.data.cache import DataCache
from mlplab.errors import RunFailed
from mlplab.files import remove_partial_files
from mlplab.runs.discovery import has_test_scores
from mlplab.runs.resume import check_same_config, was_started
from mlplab.runs.run import Run
from mlplab.runs.stack.checkpoints import check_same_rows
from mlplab.runs.stack.score_test_rows import score_finished_run
from mlplab.sweeps.engines.sweep_engine import SweepEngine
from mlplab.sweeps.folder import PLAN_FILE, STACKS, read_stacks
from mlplab.sweeps.plan import Plan, make_plan
from mlplab.sweeps.run import SweepRun
from mlplab.sweeps.train_stack import Outcome, StackJob, ended_outcome, mark_failed
from mlplab.training.pruning import Bracket

NO_BRACKETS: Mapping[Path, Bracket] = MappingProxyType({})

log = logging.getLogger(__name__)


def launch(
    runs: Sequence[SweepRun],
    root: Path,
    cache: DataCache,
    engine: SweepEngine,
    brackets: Mapping[Path, Bracket] = NO_BRACKETS,
) -> dict[Path, Outcome]:
    """Trains the runs of a sweep; returns the outcome of each by its folder.

    If a run is refused or fails, this is recorded in its folder and does not affect the others. Runs that
    have ended are not repeated, but tested if that was left out; runs that were started are resumed.

    Args:
        runs: the runs, checked by `check_runs`.
        root: the sweep's folder.
        cache: the tables and splits of the runs.
        engine: where their stacks train.
        brackets: by their folders, the rungs at which runs may be pruned.

    Raises:
        UserError: if all runs are refused (no files are written then), or the engine cannot train them.
        Interrupted: after SIGINT or SIGTERM, with the training states saved.
    """
    outcomes: dict[Path, Outcome] = dict(_ended_earlier(runs, cache))
    accelerator = next((run.config.trainer.accelerator for run in runs if run.config), "auto")
    section, earlier = engine.launcher, read_stacks(root / PLAN_FILE)
    plan = make_plan(
        runs,
        cache,
        section.max_members,
        section.workers,
        engine.slots(accelerator),
        earlier,
        trained_here=not engine.is_elsewhere,
    )
    if len(plan.refused) == len(runs):
        raise plan.refused[0].error or AssertionError
    log.info("%s", plan.summary(len(outcomes), engine.place(plan.workers)))
    (root / STACKS).mkdir(parents=True, exist_ok=True)
    remove_partial_files(root)
    plan.write(root / PLAN_FILE)
    for run in plan.refused:
        outcomes[run.folder] = mark_failed(run.folder, run.values, run.reason)
    stacks = list(_stack_jobs(plan, root, outcomes, brackets))
    outcomes |= engine.train(stacks, plan.workers, root / PLAN_FILE, cache)
    remove_partial_files(root / STACKS)  # no worker is left that could be writing there
    with suppress(OSError):  # not empty if a stack has not ended
        (root / STACKS).rmdir()
    return outcomes


def _ended_earlier(runs: Sequence[SweepRun], cache: DataCache) -> Iterator[tuple[Path, Outcome]]:
    """The outcomes of runs that have already ended.

    Raises:
        UserError: if a folder belongs to a run with a different configuration, table or split.
    """
    checked = set()
    for run in runs:
        if run.config and was_started(run.folder):
            check_same_config(run.config, run.folder)
            data = cache.data(run.config)
            if data not in checked and check_same_rows(run.folder, data):
                checked.add(data)  # one run of each table and split is enough
            if outcome := ended_outcome(run.folder, run.config):
                if run.config.test and _is_untested(outcome):
                    outcome = score_finished_run(run.folder, cache)
                yield run.folder, outcome


def _is_untested(outcome: Outcome) -> bool:
    """Whether a run has finished without test scores."""
    if isinstance(outcome, RunFailed):
        return False
    return outcome["status"] == "done" and not has_test_scores(outcome)


def _stack_jobs(
    plan: Plan, root: Path, ended: Mapping[Path, Outcome], brackets: Mapping[Path, Bracket]
) -> Iterator[StackJob]:
    """The stacks, without runs that have ended."""
    for number, members in enumerate(plan.stacks, 1):
        planned = [plan.runs[member] for member in members]
        names = "\n".join(os.fspath(run.folder.relative_to(root)) for run in planned)
        file = root / STACKS / f"{hashlib.sha256(names.encode()).hexdigest()[:12]}.ckpt"
        runs = [
            Run(run.config, run.folder, bracket=brackets.get(run.folder))
            for run in planned
            if run.config and run.folder not in ended
        ]
        if runs:
            yield StackJob(f"stack {number} of {len(plan.stacks)}", runs, file)
