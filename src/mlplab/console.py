"""Lines on the terminal, or wherever the output goes."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from textwrap import fill
from threading import Event, Thread

from rich.console import Console

log = logging.getLogger(__name__)

LINE_SECONDS = 5.0
"""Where there is no progress bar, a line about the progress is printed this often, and less often later."""


def print_line(console: Console, *lines: str) -> None:
    """Prints lines as they are: paths and commands can be copied, and brackets are no markup."""
    console.print(*lines, sep="\n", soft_wrap=True, highlight=False, markup=False)


def plural(count: int, noun: str) -> str:
    """A number of things: `1 run`, `3 runs`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def in_digits(value: float, digits: int = 4) -> str:
    """A number with that many significant digits, such as 0.01235, 2019 or 58,870.

    It has an exponent from ten billion on, and below 0.0001.
    """
    number = float(f"{value:z.{digits}g}")
    return f"{number:,.{max(digits, 10)}g}" if abs(number) >= 10_000 else f"{number:.{max(digits, 4)}g}"


def first_few(lines: Sequence[str], most: int = 3) -> list[str]:
    """The first lines, and a sign that there are more."""
    return [*lines[:most], *(["  …"] if len(lines) > most else [])]


def wrapped(text: str, width: int) -> str:
    """Text whose lines are broken between words, and continue indented."""
    lines = text.split("\n")
    indents = [" " * (len(line) - len(line.lstrip(" ")) + 2) for line in lines]
    return "\n".join(
        fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        for line, indent in zip(lines, indents, strict=True)
    )


@contextmanager
def quiet(*names: str, level: int = logging.ERROR) -> Iterator[None]:
    """Raises the level of loggers within a block."""
    levels = {logger: logger.level for logger in map(logging.getLogger, names)}
    for logger in levels:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, before in levels.items():
            logger.setLevel(before)


@contextmanager
def progress_lines(write: Callable[[str], None], line: Callable[[], str]) -> Iterator[None]:
    """Writes a line about the progress of some work, from a thread, with the seconds since its start.

    The first are `LINE_SECONDS` apart, later ones a tenth of the time so far.
    """
    started, ended = time.monotonic(), Event()

    def print_lines() -> None:
        seconds = 0.0
        while not ended.wait(max(LINE_SECONDS, seconds / 10)):
            seconds = time.monotonic() - started
            write(f"{line()}, {seconds:.0f} s")

    thread = Thread(target=print_lines, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
