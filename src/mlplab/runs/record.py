"""What is written of a run when its training ends."""

from collections.abc import Sequence

from lightning.pytorch.loggers import Logger, TensorBoardLogger

from mlplab import config
from mlplab.runs.folder import Metrics, Status, finite
from mlplab.runs.inputs import Inputs
from mlplab.runs.session import Session
from mlplab.training import checkpoint

HPARAM_METRICS = {
    "val/loss": "best/val/loss",
    "val/rmse": "best/val/rmse",
    "test/rmse": "test/rmse",
    "test/mae": "test/mae",
    "test/r2": "test/r2",
}
"""Metrics of the HParams tab by their names in metrics.json; TensorBoard would show a curve's last point, not
its best, under the curve's own name."""


def record(
    session: Session, index: int, inputs: Inputs, status: Status, reason: str | None, seconds: float
) -> Metrics:
    """Writes checkpoints, curves' hyperparameters and metrics.json of one run; gives the latter's content.

    Args:
        index: of the run's member in the session.
        status: `done` if it was tested.
    """
    member, best = session.members[index], session.best
    metrics = _metrics(session, index, tested=status == "done")
    states = (
        (member.folder.best, best.state if best.epochs[index] else {}, metrics.get("best_epoch", 0)),
        (member.folder.last, session.last if status != "diverged" else {}, metrics["epochs"]),
    )
    for path, state, epoch in states:
        if state:
            checkpoint.save(
                path,
                {name: tensor[index : index + 1] for name, tensor in state.items()},
                config=member.config.plain(),
                schema=session.stack.schema.plain(),
                table=inputs.fingerprint(member.config.data),
                epoch=epoch,
                metrics=metrics,
            )
    if status == "done":
        each = inputs.baselines(member.config.data, session.stack.schema)
        metrics |= finite(
            {f"{k}/test/{name}": value for k, scores in each.items() for name, value in scores.items()}
        )
    close_loggers(member.loggers, member.config, metrics, status)
    return member.folder.write_metrics(status, metrics | {"seconds": seconds}, reason)


def _metrics(session: Session, index: int, *, tested: bool) -> Metrics:
    """Figures of a member's best epoch, and after a test those of the test."""
    metrics: Metrics = {}
    best, module = session.best, session.stack.module
    if best.epochs[index]:
        metrics |= {name: value[index].item() for name, value in best.values.items() if name != "lr"}
        metrics["best_epoch"] = int(best.epochs[index])
    metrics["epochs"] = int(module.epochs[index])
    if tested:
        metrics |= {
            name: value[index].item() for name, value in module.values.items() if name.startswith("test/")
        }
    return finite(metrics)


def close_loggers(
    loggers: Sequence[Logger], run: config.TrainConfig, metrics: Metrics, status: Status
) -> None:
    """Fills the HParams tab of TensorBoard loggers, and closes all loggers."""
    scores = {tag: metrics[name] for name, tag in HPARAM_METRICS.items() if metrics.get(name) is not None}
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(hyperparameters(run), scores)
        else:
            logger.log_hyperparams(hyperparameters(run))
        logger.finalize("success" if status == "done" else "failed")


def hyperparameters(run: config.TrainConfig) -> dict[str, str | float | int | bool]:
    """Few, flat, and the same keys for every run, so that runs can be compared column by column."""
    model, optimizer, split = run.model, run.optimizer, run.data.split
    mlp = model if isinstance(model, config.Mlp) else None
    return {
        "seed": run.seed,
        "data": run.data.name,
        "split_seed": split.seed,
        "fold": split.fold if isinstance(split, config.KFoldSplit) else 0,
        "batch_size": run.data.batch_size or 0,
        "model": model.target if isinstance(model, config.OwnModel) else model.name,
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
