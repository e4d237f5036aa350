"""Progress over the rows of a file."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


def row_progress() -> Progress:
    """A progress bar that counts rows; invisible unless stderr is a terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description} {task.completed:,} rows"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
