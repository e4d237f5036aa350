"""What is written of runs: what training goes on from while it lasts, all the rest when it ends."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch import Tensor

from mlplab import config
from mlplab.data.cache import DataCache
from mlplab.runs.folder import Metrics, Status, finite
from mlplab.runs.resume import name_in_sweep
from mlplab.runs.stack_trainer import StackTrainer
from mlplab.runs.warm_start import inherited_rows
from mlplab.training import checkpoint
from mlplab.training import loggers as curves
from mlplab.training.state import StackState

HPARAM_METRICS = {
    "val/loss": "best/val/loss",
    "val/rmse": "best/val/rmse",
    "test/rmse": "test/rmse",
    "test/mae": "test/mae",
    "test/r2": "test/r2",
}
"""Metrics of the HParams tab by their names in metrics.json; TensorBoard would show a curve's last point, not
its best, under the curve's own name."""


def keep(session: StackTrainer, cache: DataCache, stack_file: Path | None) -> None:
    """Writes what training would go on from: of a stack to its own file, of a run alone to its last.ckpt.

    Weights that are not finite never take the place of those that were.
    """
    for member in session.members:
        curves.flush(member.loggers)
    state = session.state()
    if stack_file:
        tables = {
            name_in_sweep(member.folder.path, stack_file): cache.fingerprint(member.config)
            for member in session.members
        }
        checkpoint.save_stack(stack_file, tables, training=state.plain())
    elif all(tensor.isfinite().all() for tensor in state.members["network"].values()):
        metrics, path = _metrics(session, 0, tested=False), session.members[0].folder.last
        _save(session, 0, cache, path, state.members["network"], metrics["epochs"], metrics, state)


def record(
    session: StackTrainer, index: int, cache: DataCache, status: Status, reason: str | None
) -> Metrics:
    """Writes checkpoints, curves' hyperparameters and metrics.json of one run; gives the latter's content.

    Args:
        index: of the run's member in the session.
        status: `done` if it was tested.
    """
    member, best = session.members[index], session.best
    metrics = _metrics(session, index, tested=status == "done")
    # Before anything is written, as it takes a while: a kill until the end of this function trains again.
    beside = cache.baseline_scores(member.config) if status == "done" else {}
    if best.epochs[index]:
        inherited = inherited_rows(member.config, session.stack.table.schema)
        seen = {**cache.seen_rows(member.config), "init_from": inherited}
        _save(
            session, index, cache, member.folder.best, best.state, metrics["best_epoch"], metrics, seen=seen
        )
    if session.reached and status != "diverged":
        goes_on = bool(session.reached.members["run"]["active"][index])
        reached = session.reached.select([index]) if goes_on else None  # one that has stopped has nothing to
        _save(session, index, cache, member.folder.last, session.last, metrics["epochs"], metrics, reached)
    if status == "done":
        metrics |= finite(
            {f"{k}/test/{name}": value for k, scores in beside.items() for name, value in scores.items()}
        )
        for path in (member.folder.best, member.folder.last):
            checkpoint.remove_older(path)
    close_loggers(member.loggers, member.config, metrics, status)
    return member.folder.write_metrics(status, metrics | {"seconds": session.seconds}, reason)


def _save(
    session: StackTrainer,
    index: int,
    cache: DataCache,
    path: Path,
    network: Mapping[str, Tensor],
    epoch: int,
    metrics: Metrics,
    state: StackState | None = None,
    seen: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Writes a member's checkpoint, with its state if training may go on from it."""
    member = session.members[index]
    checkpoint.save(
        path,
        {name: tensor[index : index + 1] for name, tensor in network.items()},
        config=member.config.plain(),
        schema=session.stack.table.schema.plain(),
        table=cache.fingerprint(member.config),
        epoch=epoch,
        metrics=metrics,
        training=state.plain() if state else None,
        seen=None if seen is None else {part: torch.from_numpy(rows) for part, rows in seen.items()},
    )


def _metrics(session: StackTrainer, index: int, *, tested: bool) -> Metrics:
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
