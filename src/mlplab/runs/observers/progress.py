"""Progress of training: a bar on a terminal, a line that changes in notebooks, lines elsewhere."""

import time
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from mlplab.config.metrics import sign_of
from mlplab.console import print_line, progress_lines
from mlplab.runs.observers.messages import in_a_line, short_name
from mlplab.training.fit import Observer, StackTrainer
from mlplab.training.outcome import Outcome
from mlplab.training.run import Run

REFRESH_SECONDS = 0.1


class TrainingProgress(Observer):
    """Shows the progress over all steps, and the last values of a single run or the best of several.

    Args:
        console: where a bar is shown; if it is no terminal, lines are printed every few seconds.
        title: text before the progress.
    """

    def __init__(self, console: Console, title: str) -> None:
        self.console, self.title, self.best = console, title, float("inf")
        self.line, self.values = f"{title}starting", ""
        self.last_refresh = self.last_values = 0.0  # when the line and the values were updated
        self.bar = Progress(
            TextColumn("{task.description}epoch {task.fields[epoch]}"),
            # It is shorter where the rest of the line needs the room.
            BarColumn(bar_width=None, table_column=Column(ratio=1, max_width=40)),
            TimeColumn(Column(no_wrap=True)),
            TextColumn("{task.fields[values]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task(title, start=False, epoch="1", values="", ended=False)
        self._in_notebook: Any = None  # the output of the cell, a line whose text changes
        self._lines, self._ended, self._ending = ExitStack(), 0, 0

    def on_fit_start(self, stack: StackTrainer) -> None:
        """Shows the progress until it is closed."""
        if self.console.is_jupyter and not self.console.quiet:
            from IPython.display import display

            content = {"text/plain": self.line}
            self._in_notebook = display(content, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        elif not self.console.is_terminal:
            self._lines.enter_context(progress_lines(partial(print_line, self.console), lambda: self.line))

    def close(self) -> None:
        """Leaves the last values behind the bar."""
        self._lines.close()
        self.bar.update(self.task, values=self.values, ended=True)
        self.bar.stop()

    def on_stop(self, stack: StackTrainer) -> None:
        """Shows what happens after training."""
        self._ended, self._ending = 0, len(stack.ended_runs())
        self._show_end("")

    def ended(self, run: Run, outcome: Outcome) -> None:
        """Shows for which run it happens."""
        self._ended += 1
        if self._ending > 1 and not outcome.error:
            self._show_end(f" of run {self._ended} of {self._ending}")

    def _show_end(self, which: str) -> None:
        text = f"test scores and baselines{which}"
        self._show(self.title + text)
        self.bar.update(self.task, values=text, ended=True)

    def on_start(self, stack: StackTrainer) -> None:
        """Shows the bar."""
        progress = stack.module.progress
        self.bar.update(self.task, total=progress.max_epochs * progress.steps, ended=False)
        self.bar.start_task(self.task)
        self.bar.start()

    def on_step(self, stack: StackTrainer) -> None:
        """Updates the progress, at most every `REFRESH_SECONDS`."""
        if time.monotonic() - self.last_refresh > REFRESH_SECONDS:
            self._update(stack)

    def on_epoch(self, stack: StackTrainer) -> None:
        """Updates the progress and the values, at most as often, and after the last epoch."""
        module = stack.module
        is_last = stack.trainer.should_stop or module.progress.epoch == module.progress.max_epochs
        if not is_last and time.monotonic() - self.last_values <= REFRESH_SECONDS:
            return
        self.last_values = time.monotonic()
        runs = len(module.members.active_runs())
        if runs == 1:
            # The monitored metric is first: where a terminal is narrow, the end is cut.
            self.values = in_a_line(stack, (module.monitor, "train/loss", "val/loss"))
        else:
            lowest = stack.best.by_run(module).nan_to_num(torch.inf, torch.inf).min().item()
            self.best = min(self.best, lowest)  # which may be that of a run that has left the stack
            best = sign_of(module.monitor) * self.best
            self.values = f"best {short_name(module.monitor)} {best:.4g} of {runs} runs"
        self._update(stack)

    def _update(self, stack: StackTrainer) -> None:
        self.last_refresh = time.monotonic()
        module, step = stack.module, stack.trainer.global_step
        epochs = module.progress.max_epochs
        epoch = f"{(step - 1) // module.progress.steps + 1}/{epochs}"
        done = step / (epochs * module.progress.steps)
        self._show(f"{self.title}epoch {epoch}  {done:.0%} of all steps  {self.values}".rstrip())
        self.bar.update(self.task, completed=step, epoch=epoch, values=self.values)

    def _show(self, line: str) -> None:
        self.line = line
        if self._in_notebook:
            self._in_notebook.update({"text/plain": line}, raw=True)


class TimeColumn(ProgressColumn):
    """The time that is left, and after training the time that it took."""

    def render(self, task: Task) -> Text:
        """The time with a word that says which of them it is."""
        text = "took {}" if task.fields["ended"] else "{} left"
        seconds = task.elapsed if task.fields["ended"] else task.time_remaining
        time = str(timedelta(seconds=int(seconds or 0))).removeprefix("0:")
        return Text("" if seconds is None else text.format(time))
