"""Lines on the terminal."""

from rich.console import Console


def print_line(console: Console, line: str) -> None:
    """Prints a line as it is: paths and commands can be copied, and brackets are no markup."""
    console.print(line, soft_wrap=True, highlight=False, markup=False)
