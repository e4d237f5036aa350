"""How far training has come: a bar on a terminal, a few lines elsewhere."""

import time
from collections.abc import Callable, Sequence

from lightning.pytorch import Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from mlplab.training.callbacks import StackCallback
from mlplab.training.module import StackModule

LINES = 10
"""About as many lines are said of a whole training."""

REFRESH_SECONDS = 0.1


class EpochLines(StackCallback):
    """Says the first epoch of each member, the last, and about every tenth of all between.

    Args:
        say: takes a line, for each member.
    """

    def __init__(self, say: Sequence[Callable[[str], None]]) -> None:
        self.say = say

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """A line for each, now and then."""
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs or 0
        if epoch in (1, epochs) or epoch % max(1, epochs // LINES) == 0:
            values = {name: module.values[name].tolist() for name in _names(module)}
            for member, say in enumerate(self.say):
                if module.epochs[member] == epoch:
                    told = "  ".join(f"{name} {value[member]:.4g}" for name, value in values.items())
                    say(f"epoch {epoch}/{epochs}  {told}")


class Bar(StackCallback):
    """A bar over all steps, with the values of a run, or of many the best of the monitored metric so far.

    Who makes it stops its `progress`, in whatever way training ends.

    Args:
        title: stands before it.
    """

    def __init__(self, console: Console, title: str) -> None:
        self.progress = Progress(
            TextColumn("{task.description}epoch {task.fields[epoch]}"),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}"),
            console=console,
        )
        self.title = title
        self.task: TaskID | None = None
        self.shown = 0.0
        self.best = float("inf")

    def on_start(self, trainer: Trainer, module: StackModule) -> None:
        """Draws the bar."""
        if self.task is None:
            self.progress.start()
            total, epoch = module.sizes.epochs * module.sizes.steps, f"1/{trainer.max_epochs}"
            self.task = self.progress.add_task(self.title, total=total, epoch=epoch, values="")

    def on_step(self, trainer: Trainer, module: StackModule) -> None:
        """Moves the bar, not oftener than it is seen."""
        if self.task is not None and time.monotonic() - self.shown > REFRESH_SECONDS:
            self.shown = time.monotonic()
            self.progress.update(self.task, completed=trainer.global_step)

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Tells the epoch's values."""
        if self.task is None:
            return
        if len(module.active) == 1:
            told = "  ".join(f"{name} {module.values[name].item():.4g}" for name in _names(module))
        else:
            monitored = module.values[module.monitor][module.active.to(module.device)]
            self.best = min([self.best, *monitored.tolist()])
            told = f"best {module.monitor} {self.best:.4g} of {len(module.active)} runs"
        epoch = f"{trainer.current_epoch + 1}/{trainer.max_epochs}"
        self.progress.update(self.task, completed=trainer.global_step, epoch=epoch, values=told)


def _names(module: StackModule) -> Sequence[str]:
    return list(dict.fromkeys(("train/loss", "val/loss", "val/rmse", module.monitor)))
