"""What is written of each run when a training ends."""

import time
from collections.abc import Sequence

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch import Tensor

from mlplab import config
from mlplab.runs.baselines import baselines
from mlplab.runs.build import Stack
from mlplab.runs.folder import Metrics, RunFolder, Status, finite
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


class Record:
    """Writes the folders of a training's runs when it ends, well or not.

    Args:
        loggers: of each run.
        best: the callback that kept the best weights.

    Attributes:
        last: the network's tensors at the end of each member's training; None where they are not to be kept.
    """

    def __init__(
        self,
        stack: Stack,
        folders: Sequence[RunFolder],
        loggers: Sequence[Sequence[Logger]],
        best: BestWeights,
    ) -> None:
        self.stack, self.folders, self.loggers, self.best = stack, folders, loggers, best
        self.last: dict[str, Tensor] | None = None
        self.table = stack.table.fingerprint()
        self.started = time.perf_counter()

    def write(self, status: Status, reason: str | None = None) -> list[Metrics]:
        """Checkpoints, curves' hyperparameters and metrics.json of each run; gives the latter's contents."""
        seconds = time.perf_counter() - self.started
        written = []
        for index, folder in enumerate(self.folders):
            metrics = self._metrics(index, tested=status == "done")
            self._save_checkpoints(index, metrics)
            if status == "done":
                metrics |= self._baselines(index)
            close_loggers(self.loggers[index], self.stack.configs[index], metrics, status)
            written.append(folder.write_metrics(status, metrics | {"seconds": seconds}, reason))
        return written

    def _metrics(self, index: int, *, tested: bool) -> Metrics:
        """Figures of a member's best epoch, and after a test those of the test."""
        metrics: Metrics = {}
        if self.best.state:
            metrics |= {name: value[index].item() for name, value in self.best.values.items() if name != "lr"}
            metrics["best_epoch"] = int(self.best.epochs[index])
        metrics["epochs"] = int(self.stack.module.epochs[index])
        if tested:
            values = self.stack.module.values
            metrics |= {name: values[name][index].item() for name in values if name.startswith("test/")}
        return finite(metrics)

    def _baselines(self, index: int) -> Metrics:
        x, y = self.stack.schema.centred(self.stack.table)
        each = baselines(x, y[:, 0], self.stack.splits[index])
        return finite(
            {f"{name}/test/{k}": value for name, scores in each.items() for k, value in scores.items()}
        )

    def _save_checkpoints(self, index: int, metrics: Metrics) -> None:
        folder = self.folders[index]
        best = (folder.best, self.best.state, metrics.get("best_epoch", 0))
        last = (folder.last, self.last, metrics["epochs"])
        for path, state, epoch in (best, last):
            if state:
                checkpoint.save(
                    path,
                    {name: tensor[index : index + 1] for name, tensor in state.items()},
                    config=self.stack.configs[index].plain(),
                    schema=self.stack.schema.plain(),
                    table=self.table,
                    epoch=epoch,
                    metrics=metrics,
                )


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
        "loss": run.loss.name,
        "optimizer": optimizer.name,
        "lr": optimizer.lr,
        "weight_decay": optimizer.weight_decay,
        "scheduler": run.scheduler.name,
        "max_epochs": run.trainer.max_epochs,
    }
