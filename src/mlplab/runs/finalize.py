"""Writes the final files of a run."""

from mlplab.runs.baselines.fitted import baseline_test_scores
from mlplab.runs.folder import TEST_PREDICTIONS, Metrics, Status, finite
from mlplab.runs.predictions import write_test_predictions
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
        status: `done` if the run was tested.
        reason: why the status is not `done`.
    """
    run, best, final = trainer.runs[index], trainer.best, trainer.final_state
    metrics, seconds = trainer.metrics(index), trainer.seconds
    if status == "done":
        metrics |= trainer.test_metrics(index)
    # First, since it takes a while: a run killed before anything is written repeats its last steps.
    baselines = {}
    if status == "done":
        names, threads = run.config.baselines, run.config.threads
        baselines = baseline_test_scores(run.data, names, seconds, threads)
    if "best_epoch" in metrics:
        inherited = inherited_rows(run.config, trainer.stack.table.schema)
        seen, path = {**run.data.seen_rows, "init_from": inherited}, run.folder.best
        trainer.save_checkpoint(index, path, best.state, metrics["best_epoch"], metrics, seen=seen)
    if final and status != "diverged":
        members = trainer.members(index)
        resumable = bool(final.members["run"]["active"][members].any())
        state = final.select(members) if resumable else None
        last, weights = run.folder.last, trainer.last_weights
        trainer.save_checkpoint(index, last, weights, metrics["epochs"], metrics, state)
    if status == "done":
        scores = {f"{k}/test/{name}": value for k, each in baselines.items() for name, value in each.items()}
        metrics |= finite(scores)
        for path in (run.folder.best, run.folder.last):
            checkpoint.remove_older(path)
        if run.config.test_predictions:
            table, predicted = run.data.table, trainer.test_predictions(index)
            rows = run.data.split.test[: len(predicted)]  # a fast_dev_run tests one batch
            path = run.folder.path / TEST_PREDICTIONS
            write_test_predictions(path, table.schema, rows, table.y[rows], predicted)
        log_end(run.loggers, {"scores": scores_text(metrics)})
    close_loggers(run.loggers, success=status == "done")
    return run.folder.write_metrics(status, metrics | {"seconds": seconds}, reason)
