"""Progress over the rows of a file."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from mlplab.console import counted_lines

BAR = 40
"""Largest width of the bar in characters."""

log = logging.getLogger(__name__)


@contextmanager
def row_progress(what: str) -> Iterator[Callable[[int], None]]:
    """A progress bar that counts rows; lines in the log if stderr is no terminal.

    Args:
        what: the work, such as `reading t.csv`.

    Yields:
        A function to call with the number of rows so far.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        progress = Progress(
            TextColumn("{task.description}: {task.completed:,} rows", markup=False),
            BarColumn(bar_width=None, table_column=Column(ratio=1, max_width=BAR)),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        )
        task = progress.add_task(what, total=None)
        with progress:
            yield lambda rows: progress.update(task, completed=rows)
    else:
        with counted_lines(log.info, lambda done: f"{what}: {done:,} rows") as count:
            yield count
