"""Writes the final files of a run."""

from mlplab.runs.baselines import baseline_test_scores
from mlplab.runs.folder import TEST_PREDICTIONS, Metrics, Status, finite
from mlplab.runs.predictions import write_test_predictions
from mlplab.runs.stack_trainer import StackTrainer
from mlplab.runs.warm_start import inherited_rows
from mlplab.training import checkpoint
from mlplab.training.loggers import close_loggers


def finalize(trainer: StackTrainer, index: int, status: Status, reason: str | None = None) -> Metrics:
    """Writes the checkpoints, hyperparameters and metrics.json of a member; returns the metrics.

    Args:
        trainer: the trainer of the stack.
        index: the number of the member.
        status: `done` if the member was tested.
        reason: why the status is not `done`.
    """
    member, best, final = trainer.members[index], trainer.best, trainer.final_state
    metrics, seconds = trainer.metrics(index, tested=status == "done"), trainer.seconds
    # First, since it takes a while: a run killed before anything is written repeats its last steps.
    baselines = {}
    if status == "done":
        names, threads = member.config.baselines, member.config.threads
        baselines = baseline_test_scores(member.data, names, seconds, threads)
    if best.epochs[index]:
        inherited = inherited_rows(member.config, trainer.stack.table.schema)
        seen, path = {**member.data.seen_rows, "init_from": inherited}, member.folder.best
        trainer.save_checkpoint(index, path, best.state, metrics["best_epoch"], metrics, seen=seen)
    if final and status != "diverged":
        resumable = bool(final.members["run"]["active"][index])
        state = final.select([index]) if resumable else None
        last, weights = member.folder.last, trainer.last_weights
        trainer.save_checkpoint(index, last, weights, metrics["epochs"], metrics, state)
    if status == "done":
        scores = {f"{k}/test/{name}": value for k, each in baselines.items() for name, value in each.items()}
        metrics |= finite(scores)
        for path in (member.folder.best, member.folder.last):
            checkpoint.remove_older(path)
        if member.config.test_predictions:
            table, predicted = member.data.table, trainer.test_predictions(index)
            rows = member.data.split.test[: len(predicted)]  # a fast_dev_run tests one batch
            path = member.folder.path / TEST_PREDICTIONS
            write_test_predictions(path, table.schema, rows, table.y[rows], predicted)
    close_loggers(member.loggers, member.config, metrics, success=status == "done")
    return member.folder.write_metrics(status, metrics | {"seconds": seconds}, reason)
