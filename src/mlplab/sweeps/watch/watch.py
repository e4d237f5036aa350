"""Shows a sweep while it runs, from the files in its folder."""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import FrameType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table as RichTable
from rich.text import Text

from mlplab.commands.render import format_score
from mlplab.console import plural, print_line
from mlplab.files import LOCK
from mlplab.runs.discovery import runs_in
from mlplab.signals import handle_signals
from mlplab.sweeps.folder import PLAN_FILE, SLURM, STUDY_FILE
from mlplab.sweeps.watch.progress import Progress
from mlplab.typed_commands import inside

LOOK_SECONDS = 2.0
"""The time between two looks."""

MAX_SHARE = 0.1
"""The largest share of the time that looks take: there may be many runs, on a slow file system."""

MAX_STACKS = 8
"""The largest number of stacks in training that are shown."""


def watch(folder: Path, console: Console, *, live: bool) -> None:
    """Shows the progress of a sweep, or of a run alone, until all runs and the command have ended.

    If not live, prints a line whenever a number changes. SIGINT and SIGTERM end the process quietly.

    Raises:
        UserError: if the folder is not that of a sweep or a run.
    """
    if not any((folder / name).exists() for name in (PLAN_FILE, LOCK, STUDY_FILE)):  # it may just have begun
        runs_in(folder)
    shown = Live(console=console, auto_refresh=False) if live else None
    with handle_signals(_exit), shown or nullcontext():  # so that the terminal gets its cursor back
        started, counts, progress = time.monotonic(), None, Progress(folder)
        while True:
            if shown:
                shown.update(view(progress), refresh=True)
            elif progress.counts != counts:
                counts = progress.counts
                print_line(console, line(progress))
            if progress.is_over:
                return
            time.sleep(max(LOOK_SECONDS, (time.monotonic() - started) / MAX_SHARE))
            started = time.monotonic()
            progress.look()


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def line(progress: Progress) -> str:
    """The progress in a line."""
    counts = ", ".join(f"{count:,} {state}" for state, count in progress.counts.items())
    left = [f"about {progress.time_left} left"] if progress.time_left else []
    first = f"{plural(progress.total, 'run')}: {counts}" if counts else "no run yet"
    return "; ".join([first, *_notes(progress), *left])


def view(progress: Progress) -> Group:
    """The progress as tables."""
    cells = {state: f"{count:,}" for state, count in progress.counts.items()}
    cells |= {} if progress.is_over else {"time left": progress.time_left or "…"}
    counts, table = RichTable(*cells), RichTable("in training", "runs", "epoch")
    counts.add_row(*cells.values())
    training = [running for stack in progress.stacks if (running := [*filter(progress.epochs.get, stack)])]
    for runs in training[:MAX_STACKS]:
        epoch, epochs = max(progress.epochs[run] for run in runs)
        name = progress.name(runs[0]) + (" …" if len(runs) > 1 else "")
        table.add_row(Text(name), f"{len(runs):,}", f"{epoch}/{epochs}" if epochs else "…")
    title = Text(f"{inside(progress.root)}: {plural(progress.total, 'run')}")
    return Group(title, counts, *([table] if training else []), *map(Text, _notes(progress)))


def _notes(progress: Progress) -> Iterator[str]:
    """The best run so far, and what to do if runs are left that nobody trains."""
    if progress.best:
        best, monitor, value = progress.best
        name = f" ({progress.name(best)})" if best != progress.root else ""
        yield f"best {monitor} {format_score(value, monitor)}{name}"
    if progress.has_stopped and progress.root in progress.states:
        yield f"it has stopped: to resume it, type resume={inside(progress.root)}"
    elif progress.has_stopped:
        queued = ", or wait in Slurm's queue (squeue --me)" if (progress.root / SLURM).is_dir() else ""
        yield f"runs have stopped{queued}: to resume them, type the sweep's command again"
