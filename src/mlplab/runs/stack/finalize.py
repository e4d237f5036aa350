"""Calibrates, tests and finalizes the runs of a stack whose training is over."""

import traceback
from contextlib import suppress
from pathlib import Path

from mlplab.errors import Interrupted, RunFailed, UserError, is_disk_error, reason_of
from mlplab.figures.failing import warn_if_failing
from mlplab.runs.film.film import film_of
from mlplab.runs.film.page import write_film
from mlplab.runs.folder import AS_PLANNED, Metrics, Status
from mlplab.runs.stack.checkpoints import save_run
from mlplab.runs.stack.messages import end_line, few_rows_warning, scores_line
from mlplab.runs.stack.publish import publish
from mlplab.runs.stack.score_test_rows import ScoredTestRows
from mlplab.training.stack.stack_trainer import StackTrainer
from mlplab.runs import checkpoint
from mlplab.runs.loggers.files import close_loggers
from mlplab.runs.loggers.progress import TrainingProgress
from mlplab.runs.loggers.tensorboard import log_end
from mlplab.runs.loggers.trackers import finish, trackers


def finalize_ended(
    trainer: StackTrainer,
    ended: dict[int, tuple[Status, str | None]],
    progress: TrainingProgress,
    metrics: dict[Path, Metrics],
) -> None:
    """Calibrates, tests and finalizes runs with these statuses; adds their metrics by folder."""
    done = [index for index, (status, _) in ended.items() if status == "done"]
    tested = [index for index in done if trainer.runs[index].config.test]
    if done:
        trainer.calibrate(done)
    scored = trainer.score_test_rows(tested) if tested else {}
    for number, (index, (status, reason)) in enumerate(ended.items(), 1):
        which = f" of run {number} of {len(ended)}" if len(ended) > 1 else ""
        progress.show(f"test scores and baselines{which}")
        run, scores = trainer.runs[index], scored.get(index)
        run_metrics = metrics[run.folder] = finalize(trainer, index, status, reason, scores)
        if run.config.callbacks.film:
            with warn_if_failing(run.folder, "film"):
                write_film(run.folder, [film_of(trainer, index)])
        if reason:
            run.log(reason if status in AS_PLANNED else f"{status}: {reason}")
        if status != "done":
            continue
        run.log(end_line(run, run_metrics))
        for warning in filter(None, (_lost_networks(trainer, index), few_rows_warning(run))):
            run.log(f"warning: {warning}")
        run.files.log_line(scores_line(run, run_metrics))


def _lost_networks(trainer: StackTrainer, index: int) -> str:
    """A warning about the networks of an ensemble that diverged; empty if there are none."""
    members, diverged = trainer.members(index), trainer.stack.module.diverged
    reasons = [diverged[member] for member in members if member in diverged]
    what = f"{len(reasons)} of the {len(members)} networks diverged; the ensemble is made of the others"
    return f"{what}. {reasons[0]}" if reasons else ""


def finalize_failed(trainer: StackTrainer, error: BaseException, metrics: dict[Path, Metrics]) -> None:
    """Finalizes the runs that have not ended, with the error as the reason."""
    status: Status = "interrupted" if isinstance(error, Interrupted) else "failed"
    if not (isinstance(error, UserError | RunFailed) or is_disk_error(error)):
        for run in trainer.runs:
            run.files.log_line(traceback.format_exc())
    for index, run in enumerate(trainer.runs):
        if run.folder not in metrics:
            with suppress(OSError):  # which may be the error itself
                metrics[run.folder] = finalize(trainer, index, status, reason_of(error))
                run.files.log_line(f"{status}: {reason_of(error)}")


def finalize(
    trainer: StackTrainer,
    index: int,
    status: Status,
    reason: str | None = None,
    scored: ScoredTestRows | None = None,
) -> Metrics:
    """Writes the checkpoints and metrics.json of a run, and closes its loggers; returns the metrics.

    Args:
        scored: its test rows, if they were scored.
    """
    run, final, seconds = trainer.runs[index], trainer.final_state, trainer.seconds
    metrics = trainer.metrics(index, calibrated=status == "done")
    # First, since it takes a while: a run killed before anything is written repeats its last steps.
    baselines = scored.baseline_metrics() if scored else {}
    metrics |= scored.metrics() if scored else {}
    saved, members = trainer.members_not_diverged(index), trainer.members(index)
    if "best_epoch" in metrics:
        save_run(run.files.best, run, trainer.best.network, saved, metrics)
    if final and status != "diverged":
        state = final.select(members) if final.parts["members"]["active"][members].any() else None
        save_run(run.files.last, run, trainer.last_weights, saved, metrics, state)
    metrics |= baselines
    if ended := status in AS_PLANNED:
        for path in (run.files.best, run.files.last):
            checkpoint.remove_older(path)
        if scored:
            scored.write_predictions()
        log_end(run.loggers)
    open_longer = trackers(run.loggers)
    close_loggers([logger for logger in run.loggers if logger not in open_longer], success=ended)
    written = run.files.write_metrics(status, metrics | {"seconds": seconds}, reason)
    if status == "done":
        publish(run, written)
    finish(open_longer, run.folder, status)
    return written
