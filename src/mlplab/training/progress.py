"""How far training has come: a bar on a terminal, a few lines elsewhere."""

import logging
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from mlplab.training.callbacks import EpochCallback
from mlplab.training.module import StackModule

log = logging.getLogger(__name__)

LINES = 10
"""About as many lines are logged in a whole training."""

REFRESH_SECONDS = 0.1


class EpochLines(EpochCallback):
    """Logs the first epoch, the last, and about every tenth of all between.

    Args:
        level: of logging.
    """

    def __init__(self, level: int) -> None:
        self.level = level

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """One line, now and then."""
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs or 0
        if epoch in (1, epochs) or epoch % max(1, epochs // LINES) == 0:
            log.log(self.level, "epoch %d/%d  %s", epoch, epochs, _told(module))


class Bar(EpochCallback):
    """A bar over all steps, with the values of the last epoch.

    Who makes it stops its `progress`, in whatever way training ends.
    """

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}"),
            console=console,
        )
        self.task: TaskID | None = None
        self.shown = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the bar."""
        assert isinstance(pl_module, StackModule)
        self.progress.start()
        self.task = self.progress.add_task(
            "", total=pl_module.steps, epoch=f"1/{trainer.max_epochs}", values=""
        )

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Moves the bar, not oftener than it is seen."""
        if self.task is not None and time.monotonic() - self.shown > REFRESH_SECONDS:
            self.shown = time.monotonic()
            self.progress.update(self.task, completed=trainer.global_step)

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Tells the epoch's values."""
        if self.task is not None:
            self.progress.update(
                self.task,
                completed=trainer.global_step,
                epoch=f"{trainer.current_epoch + 1}/{trainer.max_epochs}",
                values=_told(module),
            )


def _told(module: StackModule) -> str:
    """The mean over members of an epoch's values, the monitored one among them."""
    names = dict.fromkeys(("train/loss", "val/loss", "val/rmse", module.monitor))
    return "  ".join(f"{name} {module.values[name].mean().item():.4g}" for name in names)
