"""What is written of each run when a training ends."""

from collections.abc import Mapping, Sequence

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch import Tensor

from mlplab import config
from mlplab.runs.baselines import baselines
from mlplab.runs.build import Stack
from mlplab.runs.folder import Metrics, RunFolder, finite
from mlplab.training import checkpoint
from mlplab.training.callbacks import BestWeights

HPARAM_METRICS = {
    "val/loss": "best/val/loss",
    "val/rmse": "best/val/rmse",
    "test/rmse": "test/rmse",
    "test/mae": "test/mae",
    "test/r2": "test/r2",
}
"""Metrics of the HParams tab by their names in metrics.json; TensorBoard would show a curve's last point, not
its best, under the curve's own name."""

State = Mapping[str, Tensor]


def run_metrics(stack: Stack, best: BestWeights, index: int, *, tested: bool) -> Metrics:
    """One member's figures: those of its best epoch, and after a test those of the test and its baselines."""
    metrics: Metrics = {}
    if best.state:
        metrics |= {name: value[index].item() for name, value in best.values.items() if name != "lr"}
        metrics["best_epoch"] = int(best.epochs[index])
    metrics["epochs"] = int(stack.module.epochs[index])
    if tested:
        values = stack.module.values
        metrics |= {name: values[name][index].item() for name in values if name.startswith("test/")}
        x, y = stack.schema.centred(stack.table)
        for name, scores in baselines(x, y[:, 0], stack.splits[index]).items():
            metrics |= {f"{name}/test/{score}": value for score, value in scores.items()}
    return finite(metrics)


def save_checkpoints(
    stack: Stack, folder: RunFolder, index: int, best: BestWeights, last: State | None, metrics: Metrics
) -> None:
    """One member's `best.ckpt` and `last.ckpt`, each if there is such a state."""
    states = ((folder.best, best.state, metrics.get("best_epoch", 0)), (folder.last, last, metrics["epochs"]))
    for path, state, epoch in states:
        if state:
            checkpoint.save(
                path,
                {name: tensor[index : index + 1] for name, tensor in state.items()},
                config=stack.configs[index].plain(),
                schema=stack.schema.plain(),
                epoch=epoch,
                metrics=metrics,
            )


def log_hyperparameters(loggers: Sequence[Logger], run: config.TrainConfig, metrics: Metrics) -> None:
    """Fills the HParams tab of TensorBoard loggers, and closes all loggers."""
    scores = {tag: metrics[name] for name, tag in HPARAM_METRICS.items() if metrics.get(name) is not None}
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(hyperparameters(run), scores)
        else:
            logger.log_hyperparams(hyperparameters(run))
        logger.finalize("success")


def hyperparameters(run: config.TrainConfig) -> dict[str, str | float | int | bool]:
    """Few, flat, and the same keys for every run, so that runs can be compared column by column."""
    model, optimizer = run.model, run.optimizer
    mlp = model if isinstance(model, config.Mlp) else None
    return {
        "seed": run.seed,
        "data": run.data.name,
        "split_seed": run.data.split.seed,
        "batch_size": run.data.batch_size or 0,
        "model": model.target if isinstance(model, config.OwnModel) else model.name,
        "hidden": "-".join(map(str, mlp.hidden)) if mlp else "",
        "activation": mlp.activation if mlp else "",
        "dropout": mlp.dropout if mlp else 0.0,
        "norm": mlp.norm if mlp else "none",
        "residual": mlp.residual if mlp else False,
        "encoder": model.encoder.name,
        "loss": run.loss.name,
        "optimizer": optimizer.name,
        "lr": optimizer.lr,
        "weight_decay": optimizer.weight_decay,
        "scheduler": run.scheduler.name,
        "max_epochs": run.trainer.max_epochs,
    }
