"""Shows a sweep while it runs, from the files in its folder."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table as RichTable
from rich.text import Text

from mlplab.commands.render import format_score, inside
from mlplab.console import print_line
from mlplab.errors import Fault, UserError, listed
from mlplab.files import LOCK
from mlplab.runs.discovery import DEPTH, runs_below
from mlplab.sweeps.folder import PLAN_FILE, SLURM_JOBS, STUDY_FILE
from mlplab.sweeps.watch.progress import Progress, Training, read_progress
from mlplab.sweeps.watch.time_left import seconds_left

SECONDS = 2.0
"""The time between two looks."""

SHARE = 0.1
"""The largest share of the time that looks take: there may be many runs, on a slow file system."""

MOST = 8
"""The largest number of stacks in training that are shown."""

BAR = 24
"""The width of a bar, in characters."""

FILES = (PLAN_FILE, LOCK, STUDY_FILE)
"""One of them is in the folder of a sweep even if no run has started."""


def watch(folder: Path, console: Console, *, live: bool) -> None:
    """Shows the progress of a sweep, or of a run alone, until all runs and the command have ended.

    SIGINT and SIGTERM end the process quietly.

    Args:
        live: whether to replace what is shown; else a line is printed whenever a number changes.

    Raises:
        UserError: if the folder is not that of a sweep or a run.
    """
    _check(folder)
    with _quiet_signals():
        if live:
            with Live(console=console, auto_refresh=False) as shown:
                for progress in _looks(folder):
                    shown.update(view(progress, time.time()), refresh=True)
        else:
            counts: dict[str, int] | None = None
            for progress in _looks(folder):
                if progress.counts != counts:
                    counts = progress.counts
                    print_line(console, line(progress, time.time()))


def _check(folder: Path) -> None:
    """Checks that a folder is that of a run, or of a sweep that may have just been started.

    Raises:
        UserError: otherwise.
    """
    remedy = "give the folder of a sweep or a run"
    if not folder.is_dir():
        raise UserError(Fault("no such folder", str(folder), remedy=remedy))
    if any((folder / name).exists() for name in FILES):
        return
    if sweeps := sorted(path.parent for path in folder.glob(f"*/{PLAN_FILE}")):
        remedy = f"watch one of them, such as {sweeps[-1]}"
        raise UserError(
            Fault("contains sweeps", str(folder), listed(path.name for path in sweeps), remedy=remedy)
        )
    if not any(runs_below(folder, DEPTH - 1)):
        raise UserError(Fault("contains no run", str(folder), remedy=remedy))


@contextmanager
def _quiet_signals() -> Iterator[None]:
    """SIGINT and SIGTERM raise SystemExit, so that the terminal gets its cursor back."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    previous = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


def _looks(folder: Path) -> Iterator[Progress]:
    """The progress again and again, until the sweep is over."""
    progress = None
    while not (progress and progress.is_over):
        started = time.monotonic()
        progress = read_progress(folder, progress)
        seconds = time.monotonic() - started
        yield progress
        if not progress.is_over:
            time.sleep(max(SECONDS, seconds / SHARE))


def line(progress: Progress, now: float) -> str:
    """The progress in a line.

    Args:
        now: seconds since 1970.
    """
    counts = ", ".join(f"{count:,} {state}" for state, count in progress.counts.items())
    total = _total(progress)
    parts = [f"{total}: {counts}" if counts else total, _best(progress), _remedy(progress)]
    if (seconds := seconds_left(progress, now)) is not None:
        parts.append(f"about {duration(seconds)} left")
    return "; ".join(part for part in parts if part)


def view(progress: Progress, now: float) -> Group:
    """The progress as tables.

    Args:
        now: seconds since 1970.
    """
    counts = RichTable(*progress.counts)
    cells = [f"{count:,}" for count in progress.counts.values()]
    if not progress.is_over:
        counts.add_column("time left")
        cells.append("…" if (seconds := seconds_left(progress, now)) is None else duration(seconds))
    counts.add_row(*cells)
    training = list(progress.training)
    below = [text for text in (_best(progress), _remedy(progress)) if text]
    return Group(
        Text(f"{inside(progress.root)}: {_total(progress)}"),
        counts,
        *([_training_table(progress, training)] if training else []),
        *map(Text, below),
    )


def _training_table(progress: Progress, training: Sequence[Training]) -> RichTable:
    """A row for each stack in training."""
    more = len(training) - MOST
    caption = f"and {more:,} more stack{'s' * (more > 1)}" if more > 0 else None
    table = RichTable(caption=caption)
    table.caption_justify = "left"
    table.add_column("in training", overflow="ellipsis")
    for name in ("runs", "epoch", ""):
        table.add_column(name, no_wrap=True)
    for each in training[:MOST]:
        name = _name(progress, each.runs[0]) + " …" * (len(each.runs) > 1)
        done = each.epochs
        epoch = f"{done.epoch}/{done.epochs}" if done else "…"
        bar = ProgressBar(done.epochs, done.epoch, width=BAR) if done else ""
        table.add_row(Text(name), f"{len(each.runs):,}", epoch, bar)
    return table


def _total(progress: Progress) -> str:
    if not progress.total:
        return "no run yet"
    total = f"{progress.total:,} run{'s' * (progress.total != 1)}"
    return total if progress.is_total_known or progress.is_over else f"{total} so far"


def _best(progress: Progress) -> str:
    """The best run so far; empty if none has finished."""
    if not (best := progress.best):
        return ""
    name = f" ({_name(progress, best.folder)})" if best.folder != progress.root else ""
    return f"best {best.monitor} {format_score(best.value, best.monitor)}{name}"


def _remedy(progress: Progress) -> str:
    """What to do if runs are left that nobody trains."""
    if not progress.has_stopped:
        return ""
    if progress.root in progress.runs:
        return f"it has stopped: to resume it, type resume={inside(progress.root)}"
    remedy = "to resume them, type the sweep's command again"
    if (progress.root / SLURM_JOBS).is_file():
        return f"runs have stopped, or wait in Slurm's queue (squeue --me): {remedy}"
    return f"runs have stopped: {remedy}"


def _name(progress: Progress, run: Path) -> str:
    return str(run.relative_to(progress.root)) if run != progress.root else run.name


def duration(seconds: float) -> str:
    """A time for people: `40 s`, `3 min`, `2 h 10 min`, `3 d 4 h`."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"
