"""The exit status of a command, and the message of the error by which it ends."""

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable

from mlplab.cli.terminal import print_text
from mlplab.errors import (
    Fault,
    Interrupted,
    RunFailed,
    UserError,
    cannot_write,
    is_disk_error,
    render,
    shortened,
)


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
    print_text("stderr", render(error.faults, prefix) if isinstance(error, UserError) else f"{prefix}{error}")
    return error.status
