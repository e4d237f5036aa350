"""Writes what a run leaves when it ends."""

from collections.abc import Sequence

from lightning.pytorch.loggers import Logger, TensorBoardLogger

from mlplab import config
from mlplab.runs.baselines import baseline_test_scores
from mlplab.runs.folder import Metrics, Status, finite
from mlplab.runs.stack_trainer import StackTrainer
from mlplab.runs.warm_start import inherited_rows
from mlplab.training import checkpoint

HPARAM_METRICS = {
    "val/loss": "best/val/loss",
    "val/rmse": "best/val/rmse",
    "test/rmse": "test/rmse",
    "test/mae": "test/mae",
    "test/r2": "test/r2",
}
"""Metrics of the HParams tab by their names in metrics.json. Under the name of a curve, TensorBoard would
show the curve's last point instead of the best one."""


def finalize(trainer: StackTrainer, index: int, status: Status, reason: str | None = None) -> Metrics:
    """Writes the checkpoints, hyperparameters and metrics.json of a member; returns the metrics.

    Args:
        status: `done` if the member was tested.
        reason: why it is not.
    """
    member, best, final = trainer.members[index], trainer.best, trainer.final_state
    metrics = trainer.metrics(index, tested=status == "done")
    # Before anything is written since it takes a while: a run killed in this function trains its end again.
    baselines = baseline_test_scores(member.data) if status == "done" else {}
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
    close_loggers(member.loggers, member.config, metrics, status)
    return member.folder.write_metrics(status, metrics | {"seconds": trainer.seconds}, reason)


def close_loggers(
    loggers: Sequence[Logger], run: config.TrainConfig, metrics: Metrics, status: Status
) -> None:
    """Writes the hyperparameters, for TensorBoard with the metrics of the HParams tab, and closes loggers."""
    scores = {tag: metrics[name] for name, tag in HPARAM_METRICS.items() if metrics.get(name) is not None}
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(hyperparameters(run), scores)
        else:
            logger.log_hyperparams(hyperparameters(run))
        logger.finalize("success" if status == "done" else "failed")


def hyperparameters(run: config.TrainConfig) -> dict[str, str | float | int | bool]:
    """The hyperparameters for loggers: few, flat, and with the same keys for every run."""
    model, optimizer, split = run.model, run.optimizer, run.data.split
    mlp = model if isinstance(model, config.Mlp) else None
    return {
        "seed": run.seed,
        "data": run.data.name,
        "split_seed": 0 if isinstance(split, config.TimeSplit) else split.seed,
        "fold": split.fold if isinstance(split, config.KFoldSplit) else 0,
        "batch_size": run.data.batch_size or 0,
        "model": model.class_path if isinstance(model, config.CustomModel) else model.name,
        "hidden": "-".join(map(str, mlp.hidden)) if mlp else "",
        "activation": mlp.activation if mlp else "",
        "dropout": mlp.dropout if mlp else 0.0,
        "loss": run.loss.name,
        "optimizer": optimizer.name,
        "lr": optimizer.lr,
        "weight_decay": optimizer.weight_decay,
        "scheduler": run.scheduler.name,
        "max_epochs": run.trainer.max_epochs,
    }
