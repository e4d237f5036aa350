"""What commands print, and on which stream."""

import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from inspect import cleandoc
from shutil import get_terminal_size
from typing import Literal

from mlplab.console import wrapped
from mlplab.errors import within_limits
from mlplab.typed_commands import commands_as_typed

VERSION = "--version"

Stream = Literal["stdout", "stderr"]

log = logging.getLogger(__name__)


def print_usage(words: Sequence[str], usage: str | None) -> None:
    """Prints the version or the usage, and exits, if the command line requests it or is empty."""
    if VERSION in words:
        print(f"mlplab {version('mlplab')}")
        sys.exit(0)
    if not words or {"-h", "--help"} & set(words):
        print(commands_as_typed(cleandoc(usage or "")))
        sys.exit(0 if words else 2)


def print_text(stream: Stream, text: str) -> None:
    """Prints a text within the limits of a message, with commands as the user types them."""
    text = within_limits(commands_as_typed(text))
    file = getattr(sys, stream)  # which a progress bar replaces while it is shown
    shown = wrapped(text, get_terminal_size().columns) if file.isatty() else text
    encoding = file.encoding or "utf-8"  # which may lack the characters of a message
    print(shown.encode(encoding, "replace").decode(encoding), file=file, flush=True)


def log_to_terminal(stream: Stream) -> None:
    """Prints this package's log; warnings and errors with their level."""
    logger = logging.getLogger("mlplab")
    logger.setLevel(logging.DEBUG)
    logger.handlers = [_TerminalHandler(stream)]


def log_loading(what: str) -> None:
    """Logs what takes the first seconds of a command, before that is imported or read."""
    log.info("loading %s …", what)


class _TerminalHandler(logging.Handler):
    def __init__(self, stream: Stream) -> None:
        super().__init__(logging.INFO)
        self.stream: Stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        with suppress(OSError):  # if the reader of our output has closed it, the work still continues
            print_text(self.stream, level + self.format(record))
