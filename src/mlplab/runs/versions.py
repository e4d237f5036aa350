"""Versions of mlplab that wrote runs, and how what they wrote is read today. Imports no torch.

What a release wrote is read by all later ones with the same major version. A release that renames or adds a
key, a column's property or a tensor adds a conversion, and its own example to `tests/releases` (see
docs/releasing.md). Earlier releases refuse what has a key or an entry that they do not know, because
predictions may depend on it.
"""

from collections.abc import Callable

from mlplab.errors import Fault, UserError, refusal
from mlplab.files import Plain

VERSION = "1.1"
"""The version of mlplab (major, minor), which it writes into the files of runs."""

# The first version whose runs can be read. The versions up to 1.0 wrote it, too.
OLDEST = "0.12"


def _to_1_1(content: Plain) -> None:
    """Rows in training and validation have keys apart, and chance is counted; neither is known of them."""
    for rows in content.get("seen", ()):
        keys = rows.pop("keys")
        rows |= {"train": keys, "val": keys[:0], "by_chance": keys.new_zeros(2)}


# What changes, in place, the content that releases before this one wrote; in the order of the releases.
#
# Each must do without any part of the content: commands that do not predict read the configuration and the
# schema alone.
CONVERSIONS: dict[str, Callable[[Plain], None]] = {"1.1": _to_1_1}


def check_readable(version: str, where: str) -> None:
    """Checks that this version can read what another one wrote. It may lack keys that a later one knows.

    Raises:
        UserError: otherwise.
    """
    major = numbers(version)[0]
    if numbers(version) < numbers(OLDEST) or major > numbers(VERSION)[0]:
        what = f"was written by mlplab {version}, which this version ({VERSION}) cannot read"
        raise refusal(what, where, f"train again, or use mlplab {version}")


def check_resumable(version: str, where: str) -> None:
    """Checks that this version can resume a training that another one began.

    Raises:
        UserError: otherwise.
    """
    if version != VERSION:
        what = f"was begun by another version of mlplab, which alone can resume it (this is {VERSION})"
        remedy = "use the version that environment.json names, or start a new run from it: init_from=FOLDER"
        raise refusal(what, where, remedy)


def converted(content: Plain, version: str) -> Plain:
    """What an earlier version wrote, as this one would have written it; changed in place.

    It is the `config`, `schema`, `state` (tensors) and `metrics` of a run, or a part of these.
    """
    for release, convert in CONVERSIONS.items():
        if numbers(version) < numbers(release):
            convert(content)
    return content


def unreadable(fault: Fault, version: str) -> UserError:
    """The error about what a version wrote: if it is a later one, that is the reason."""
    if numbers(version) <= numbers(VERSION):
        return UserError(fault)
    what = f"was written by mlplab {version}; this version ({VERSION}) does not know all of it"
    return refusal(f"{what}: {fault.what}", fault.where, f"use mlplab {version}")


def numbers(version: str) -> tuple[int, ...]:
    """Major and minor version."""
    return tuple(map(int, version.split(".")))
