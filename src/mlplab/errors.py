"""Errors, and the messages that users get."""

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import groupby
from typing import TypeGuard

MAX_FAULTS, MAX_LINES, MAX_CHARACTERS, MAX_PART = 10, 20, 2000, 700
"""The most faults, lines and characters of a message, and characters of a part of a fault."""


@dataclass(frozen=True)
class Fault:
    """A mistake: what is wrong, where, what was found, what was expected, and the remedy.

    `found` and `expected` are empty if `what` already contains them.
    """

    what: str
    where: str = ""
    found: str = ""
    expected: str = ""
    remedy: str = ""

    def __post_init__(self) -> None:
        """Cuts what is too long: values of the user's may have any length, and line breaks."""
        for name, part in vars(self).items():
            object.__setattr__(self, name, cut(" ".join(part.splitlines()), MAX_PART))

    def sentence(self) -> str:
        """The fault in one line, without its remedy."""
        details = [f"found {self.found}"] if self.found else []
        details += [f"expected {self.expected}"] if self.expected else []
        where = f"{self.where}: " if self.where else ""
        return where + self.what + (f" ({', '.join(details)})" if details else "")


class UserError(ValueError):
    """The user's input or configuration is wrong. Commands exit with code 2."""

    status = 2

    def __init__(self, *faults: Fault) -> None:
        self.faults: tuple[Fault, ...] = faults
        super().__init__(render(faults))

    def __reduce__(self) -> tuple[type, tuple[Fault, ...]]:
        """Workers raise it, too: it is pickled with its faults."""
        return type(self), self.faults


def refusal(what: str, where: object = "", remedy: str = "") -> UserError:
    """The error about a single mistake: what is wrong, where, and the remedy."""
    return UserError(Fault(what, str(where), remedy=remedy))


class FolderInUse(UserError):  # noqa: N818 - it names what is
    """Another process uses a run's folder, or has just used it."""


class RunFailed(Exception):  # noqa: N818 - it names what happened, like Python's KeyboardInterrupt
    """A run started and failed. Commands exit with code 1."""

    status = 1


class Interrupted(RunFailed):
    """A signal stopped a run. Its checkpoints are written."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.number, self.status = signal_number, 128 + signal_number


class CannotWrite(RunFailed):
    """A file could not be written (disk full); the previous version is intact."""


def cannot_write(error: OSError) -> CannotWrite:
    """The error about a disk that is full, in words."""
    place = f"{error.filename}: " if error.filename else ""
    return CannotWrite(
        f"{place}cannot be written: {error.strerror or error}\n"
        "  free some disk space, then continue: resume=FOLDER for a run, "
        "or the sweep's command with the same name=…"
    )


def is_disk_error(error: BaseException) -> TypeGuard[OSError]:
    """Whether the disk prevents writing any file, not only this one."""
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
    return isinstance(error, OSError) and error.errno in numbers


def reason_of(error: BaseException) -> str:
    """Why a run failed, in one line."""
    if isinstance(error, UserError):
        return "; ".join(fault.sentence() for fault in error.faults)
    if isinstance(error, RunFailed):
        return str(error).partition("\n")[0]
    return cut(" ".join(f"{type(error).__name__}: {error}".splitlines()), MAX_PART)


def render(faults: Sequence[Fault], prefix: str = "", most: int = MAX_FAULTS) -> str:
    """At most `most` faults, each followed by its remedy, which is shown once for adjacent faults.

    There are fewer if a message would be too long.
    """
    shown = faults if len(faults) <= most else faults[: most - 1]
    lines = []
    for remedy, group in groupby(shown, lambda fault: fault.remedy):
        lines += [prefix + fault.sentence() for fault in group]
        lines += [f"  {remedy}"] if remedy else []
    if more := len(faults) - len(shown):
        lines.append(f"{prefix}… and {more} more like these")
    text = "\n".join(lines)
    is_long = len(text) > MAX_CHARACTERS and len(shown) > 1
    return render(faults, prefix, min(most, len(faults)) - 1) if is_long else within_limits(text)


def cut(text: str, longest: int) -> str:
    """A text of at most so many characters, and a sign that there are more."""
    return text if len(text) <= longest else f"{text[:longest]}…"


def within_limits(message: str) -> str:
    """A message of at most `MAX_LINES` and `MAX_CHARACTERS`."""
    lines = message.splitlines()
    shown = "\n".join(lines[:MAX_LINES])[:MAX_CHARACTERS]
    return shown if shown == "\n".join(lines) else f"{shown}…"


def shortened(text: str, longest: int = 60) -> str:
    """A value for a message: quoted, and cut after `longest` characters."""
    return repr(cut(text, longest))


def listed(names: Iterable[str], limit: int = 12) -> str:
    """Names joined by commas, cut after `limit`."""
    names = list(names)
    return ", ".join(names[:limit]) + (f", … ({len(names)} in all)" if len(names) > limit else "")


def did_you_mean(near: Sequence[str], key: str = "", otherwise: str = "") -> str:
    """A remedy that suggests the first of the `nearest` names, after `key`; `otherwise` if there is none."""
    return f"did you mean {key}{near[0]}?" if near else otherwise


def nearest(word: str, names: Iterable[str], least: float = 0.6) -> list[str]:
    """The names closest to a mistyped `word`, best first; empty if none is as similar as `least`, of 1."""
    return get_close_matches(word, list(names), n=3, cutoff=least)
