"""Progress of training: a bar on a terminal, lines elsewhere."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from lightning.pytorch import Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from mlplab.config.metrics import sign_of
from mlplab.console import LINE_SECONDS, print_line
from mlplab.training.callbacks import StackCallback
from mlplab.training.module import StackModule

MAX_LINES = 10
"""Approximate number of lines per training."""

REFRESH_SECONDS = 0.1

BAR_WIDTH = 40
"""Largest width of the bar in characters. It is shorter where the rest of the line needs the room."""


class EpochLines(StackCallback):
    """Logs the values of the first epoch, the last, and about `MAX_LINES` in between.

    Args:
        log: for each run, a function that logs a line.
    """

    def __init__(self, log: Sequence[Callable[[str], None]]) -> None:
        self.log = log

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Logs a line for each run in the chosen epochs."""
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs or 0
        if epoch in (1, epochs) or epoch % max(1, epochs // MAX_LINES) == 0:
            main = "val/accuracy" if module.sizes.classes else "val/rmse"
            values = _by_run(module, ("train/loss", "val/loss", main, module.monitor))
            epochs_of_run = module.epochs.view(-1, module.ensemble).max(1).values.tolist()
            for run, log in enumerate(self.log):
                if epochs_of_run[run] == epoch:
                    log(f"epoch {epoch}/{epochs}  {_shown(values, run)}")


class _Progress(StackCallback):
    """Keeps a text with the last values of a single run, or the best monitored metric of several.

    Args:
        title: text before the progress.
    """

    def __init__(self, title: str) -> None:
        self.title, self.values, self.best = title, "", float("inf")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Shows the progress within a block."""
        yield

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Updates the text."""
        active = module.active_runs()
        if len(active) == 1:
            values = _by_run(module, ("train/loss", "val/loss", module.monitor))
            self.values = _shown(values, run=0)
        else:
            monitored = module.by_run(module.monitored(module.values))[active]
            self.best = min([self.best, *monitored.tolist()])
            best = sign_of(module.monitor) * self.best
            self.values = f"best {_short(module.monitor)} {best:.4g} of {len(active)} runs"


class ProgressLines(_Progress):
    """Prints the progress every `LINE_SECONDS`."""

    def __init__(self, console: Console, title: str) -> None:
        super().__init__(title)
        self.console, self.last = console, time.monotonic()

    def on_step(self, trainer: Trainer, module: StackModule) -> None:
        """Prints a line if it is time."""
        if time.monotonic() - self.last >= LINE_SECONDS:
            self.last = time.monotonic()
            epochs, steps = trainer.max_epochs or 1, module.sizes.steps
            done, epoch = trainer.global_step / (epochs * steps), (trainer.global_step - 1) // steps + 1
            line = f"{self.title}epoch {epoch}/{epochs}  {done:.0%} of all steps  {self.values}"
            print_line(self.console, line.rstrip())


class ProgressBar(_Progress):
    """A bar over all steps."""

    def __init__(self, console: Console, title: str) -> None:
        super().__init__(title)
        self.progress = Progress(
            TextColumn("{task.description}epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None, table_column=Column(ratio=1, max_width=BAR_WIDTH)),
            TimeRemainingColumn(
                compact=True, elapsed_when_finished=True, table_column=Column(no_wrap=True, min_width=5)
            ),
            TextColumn("{task.fields[values]}"),
            console=console,
        )
        self.task: TaskID | None = None
        self.last_refresh = 0.0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Removes the bar at the end of a block."""
        try:
            yield
        finally:
            self.progress.stop()

    def on_start(self, trainer: Trainer, module: StackModule) -> None:
        """Shows the bar."""
        if self.task is None:
            self.progress.start()
            total, epoch = module.sizes.epochs * module.sizes.steps, f"1/{trainer.max_epochs}"
            self.task = self.progress.add_task(self.title, total=total, epoch=epoch, values="")

    def on_step(self, trainer: Trainer, module: StackModule) -> None:
        """Moves the bar, at most every `REFRESH_SECONDS`."""
        if self.task is not None and time.monotonic() - self.last_refresh > REFRESH_SECONDS:
            self.last_refresh = time.monotonic()
            self.progress.update(self.task, completed=trainer.global_step)

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Shows the epoch's values."""
        super().on_epoch(trainer, module)
        if self.task is not None:
            epoch = f"{trainer.current_epoch + 1}/{trainer.max_epochs}"
            self.progress.update(self.task, completed=trainer.global_step, epoch=epoch, values=self.values)


def _by_run(module: StackModule, names: Sequence[str]) -> dict[str, list[float]]:
    """Values of each run, by short names."""
    return {_short(name): module.by_run(module.values[name]).tolist() for name in names}


def _shown(values: Mapping[str, Sequence[float]], run: int) -> str:
    """Values of a run on one line, such as `train 0.2871  val 0.3102  mae 4.18`."""
    return "  ".join(f"{name} {of_runs[run]:.4g}" for name, of_runs in values.items())


def _short(name: str) -> str:
    """A loss by the set it is computed on, a metric of val by itself."""
    return name.removesuffix("/loss") if name.endswith("/loss") else name.removeprefix("val/")
