"""Progress over the rows of a file."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


def row_progress() -> Progress:
    """Counts rows on a terminal while it is open; shows nothing elsewhere."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description} {task.completed:,} rows"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
