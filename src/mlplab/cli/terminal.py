"""What commands print, on which stream, and their exit codes."""

import errno
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from inspect import cleandoc
from shutil import get_terminal_size
from typing import Literal

from mlplab.console import wrapped
from mlplab.errors import (
    Fault,
    Interrupted,
    RunFailed,
    UserError,
    cannot_write,
    is_disk_error,
    render,
    shortened,
    within_limits,
)
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


def exit_status(work: Callable[[], None]) -> int:
    """Runs a command's work, prints its error if it raises one, and returns the exit code."""
    try:
        try:
            work()
        finally:
            sys.stdout.flush()  # at the end of the process, nobody could handle a broken pipe
    except (UserError, RunFailed) as error:
        return print_error(error)
    except KeyboardInterrupt:
        return print_error(Interrupted("stopped by SIGINT", signal.SIGINT))
    except BrokenPipeError:  # the reader of our output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it exits
        return 1
    except Exception as error:
        if is_disk_error(error):
            return print_error(cannot_write(error))
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            what, where = "the name is too long for a file or folder", shortened(str(error.filename))
            return print_error(UserError(Fault(what, where, remedy="choose a shorter one")))
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):  # NumPy's, and torch's
            return print_error(RunFailed(f"out of memory: {error}\n  use a smaller table or network"))
        traceback.print_exc()
        return 1
    return 0


def print_error(error: UserError | RunFailed) -> int:
    """Prints an error to stderr and returns its exit code. To be stopped is none."""
    prefix = "" if isinstance(error, Interrupted) else "error: "
    _print("stderr", render(error.faults, prefix) if isinstance(error, UserError) else f"{prefix}{error}")
    return error.status


def _print(stream: Stream, text: str) -> None:
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
            _print(self.stream, level + self.format(record))
