"""Commands: what they print on which stream, their exit statuses, and `key=value` arguments."""

import atexit
import gc
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlplab.config.keys import fault_of
from mlplab.errors import CannotWrite, Fault, Interrupted, RunFailed, UserError, of_the_disk

VERSION = "--version"

Text = Annotated[str, Field(min_length=1)]


class Arguments(BaseModel):
    """Keys of a command that needs no composed configuration; values come as text."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def command(verb: Callable[[Any], None], arguments: type[Arguments], usage: str) -> None:
    """Reads `key=value` arguments, runs a verb with them, and ends the process with its status."""
    words = sys.argv[1:]
    log_to_terminal("stderr")

    def work() -> None:
        if not answers(words, usage):
            verb(read_arguments(words, arguments))

    status = status_of(work)
    sys.exit(status if words else 2)


def answers(words: Sequence[str], usage: str) -> bool:
    """Prints what a command line asks for: the version, or the usage if it does, or says nothing at all."""
    if VERSION in words:
        print(version_line())
    elif not words or {"-h", "--help"} & set(words):
        print(usage.strip())
    else:
        return False
    return True


def version_line() -> str:
    """What `--version` prints."""
    return f"mlplab {version('mlplab')}"


def read_arguments(words: Sequence[str], arguments: type[Arguments]) -> Any:
    """The typed form of `key=value` words.

    Values are text, not YAML: a file may be called `null`, `1e3` or `-`.

    Raises:
        UserError: for a word that is no key=value, a key given twice, and all that the types refuse.
    """
    values: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            remedy = f"type run={word}" if "run" in arguments.model_fields and Path(word).is_dir() else ""
            raise UserError(Fault("cannot be read", word, expected="key=value", remedy=remedy))
        *sections, last = key.split(".")
        place = values
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise UserError(Fault("is given twice", key))
        if last in place:
            raise UserError(Fault("is given twice", key, remedy="keep the one that you mean"))
        place[last] = value
    try:
        return arguments.model_validate(values)
    except ValidationError as error:
        raise UserError(*(fault_of(detail, values, arguments) for detail in error.errors())) from None


@contextmanager
def heavy_imports() -> Iterator[None]:
    """Imports of torch and the like without Python's garbage collector, which has nothing to find in them.

    It would search their objects over and over while they are made, for a second of a command's time, and
    later each time that it searches all, for a third of one.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # or libraries would report what is never freed
        gc.enable()


def status_of(work: Callable[[], None]) -> int:
    """Does the work, and writes out what it printed; the exit status it ends with, its message told.

    An interrupted run ends the process at once, and with it a sweep.
    """
    try:
        try:
            work()
        finally:
            sys.stdout.flush()  # not at the end of the process, where nobody could handle a broken pipe
    except Interrupted as error:
        sys.exit(tell(error))
    except (UserError, RunFailed) as error:
        return tell(error)
    except KeyboardInterrupt:
        return tell(Interrupted("interrupted before there was anything to keep", signal.SIGINT))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains on leaving
        return 1  # whoever read our output has gone
    except Exception as error:
        if of_the_disk(error):
            return tell(CannotWrite(error))
        traceback.print_exc()
        return 1
    return 0


def tell(error: UserError | RunFailed) -> int:
    """Prints a message where errors go; gives its exit status."""
    print(error, file=sys.stderr)
    return error.status


def log_to_terminal(stream: Literal["stdout", "stderr"]) -> None:
    """Shows what this package logs; warnings and worse with their level."""
    handler = _Terminal(getattr(sys, stream))
    handler.setLevel(logging.INFO)
    handler.setFormatter(_Formatter())
    logger = logging.getLogger("mlplab")
    logger.setLevel(logging.DEBUG)
    logger.handlers = [handler]


class _Terminal(logging.StreamHandler[Any]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Whoever read our output may have gone; what is at work goes on."""


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return level + super().format(record)
