"""Writes the final files of a run."""

from mlplab.runs.folder import AS_PLANNED, Metrics, Status
from mlplab.runs.stack_trainer import StackTrainer
from mlplab.runs.texts import scores_text
from mlplab.runs.warm_start import inherited_rows
from mlplab.training import checkpoint
from mlplab.training.loggers.files import close_loggers
from mlplab.training.loggers.tensorboard import log_end


def finalize(trainer: StackTrainer, index: int, status: Status, reason: str | None = None) -> Metrics:
    """Writes the checkpoints, hyperparameters and metrics.json of a run; returns the metrics.

    Args:
        trainer: the trainer of the stack.
        index: the number of the run.
        status: `done` if the run was calibrated, and tested if that is wanted.
        reason: why the status is not `done`.
    """
    run, best, final = trainer.runs[index], trainer.best, trainer.final_state
    metrics = trainer.calibrated_metrics(index) if status == "done" else trainer.metrics(index)
    test, seconds = trainer.tested(index) if status == "done" and run.config.test else None, trainer.seconds
    # First, since it takes a while: a run killed before anything is written repeats its last steps.
    baselines = test.baseline_metrics(seconds) if test else {}
    metrics |= test.metrics() if test else {}
    if "best_epoch" in metrics:
        inherited = inherited_rows(run.config, trainer.stack.table.schema)
        seen, path = [run.data.seen, *inherited], run.folder.best
        trainer.save_checkpoint(index, path, best.state, metrics["best_epoch"], metrics, seen=seen)
    if final and status != "diverged":
        members = trainer.members(index)
        resumable = bool(final.members["run"]["active"][members].any())
        state = final.select(members) if resumable else None
        last, weights = run.folder.last, trainer.last_weights
        trainer.save_checkpoint(index, last, weights, metrics["epochs"], metrics, state)
    metrics |= baselines
    if ended := status in AS_PLANNED:
        for path in (run.folder.best, run.folder.last):
            checkpoint.remove_older(path)
        if test:
            test.write_predictions(run.folder.path)
        log_end(run.loggers, {"scores": scores_text(metrics)} if test else {})
    close_loggers(run.loggers, success=ended)
    return run.folder.write_metrics(status, metrics | {"seconds": seconds}, reason)
