"""What a user gets told when the input or the configuration is wrong, or a run fails."""

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import groupby
from typing import TypeGuard

MAX_FAULTS = 10
"""Faults that one message shows."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: `where` it stands, `what` it is, and the `remedy`.

    `found` and `expected` are left out where the sentence in `what` already says them.
    """

    what: str
    where: str = ""
    found: str = ""
    expected: str = ""
    remedy: str = ""

    def sentence(self) -> str:
        """The fault in one line, without its remedy."""
        details = [f"found {self.found}"] if self.found else []
        details += [f"expected {self.expected}"] if self.expected else []
        return (
            (f"{self.where}: " if self.where else "")
            + self.what
            + (f" ({', '.join(details)})" if details else "")
        )


class UserError(Exception):
    """The user's input or configuration is wrong; commands end with status 2."""

    status = 2

    def __init__(self, *faults: Fault) -> None:
        self.faults: tuple[Fault, ...] = faults
        super().__init__(render(faults))


class RunFailed(Exception):  # noqa: N818 - it names what happened, as Python's own KeyboardInterrupt does
    """A run began and could not end well; commands end with status 1."""

    status = 1

    def __str__(self) -> str:
        return f"error: {super().__str__()}"


class Interrupted(RunFailed):
    """A run was stopped by a signal, after its checkpoints were written."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.number, self.status = signal_number, 128 + signal_number


class CannotWrite(RunFailed):
    """A file of a run could not be written, as the disk is full, say; what was there before still is."""

    def __init__(self, error: OSError) -> None:
        place = f"{error.filename}: " if error.filename else ""
        super().__init__(
            f"{place}cannot be written: {error.strerror or error}\n"
            "  make room; then resume=FOLDER, or for a sweep the same command again, goes on"
        )


def of_the_disk(error: BaseException) -> TypeGuard[OSError]:
    """Whether it is the disk that stands against whatever is written, and not one file."""
    return isinstance(error, OSError) and error.errno in (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EIO,
    )


def reason_of(error: BaseException) -> str:
    """Why a run failed, in a line."""
    if isinstance(error, UserError):
        return "; ".join(fault.sentence() for fault in error.faults)
    if isinstance(error, RunFailed):
        return str(error).removeprefix("error: ").partition("\n")[0]
    return f"{type(error).__name__}: {error}"


def render(faults: Sequence[Fault]) -> str:
    """At most `MAX_FAULTS` faults, each with its remedy below; neighbours with the same remedy share it."""
    shown = faults if len(faults) <= MAX_FAULTS else faults[: MAX_FAULTS - 1]
    lines = []
    for remedy, group in groupby(shown, lambda fault: fault.remedy):
        lines += [f"error: {fault.sentence()}" for fault in group]
        lines += [f"  {remedy}"] if remedy else []
    if more := len(faults) - len(shown):
        lines.append(f"error: … and {more} more like these")
    return "\n".join(lines)


def shortened(text: str, longest: int = 60) -> str:
    """A value as it is shown: quoted, and cut after so many characters."""
    return repr(text if len(text) <= longest else f"{text[:longest]}…")


def listed(names: Iterable[str], limit: int = 12) -> str:
    """Names joined by commas, cut after `limit`."""
    names = list(names)
    return ", ".join(names[:limit]) + (f", … ({len(names)} in all)" if len(names) > limit else "")


def nearest(word: str, names: Iterable[str]) -> list[str]:
    """The names that a mistyped `word` may have meant, best first, none if none is close."""
    return get_close_matches(word, list(names), n=3, cutoff=0.6)
