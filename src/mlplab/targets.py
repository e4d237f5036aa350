"""Which classes a configuration's `_target_` may name, and how they are found.

Attributes of modules lead anywhere (`package.module.os.system`), so that an allowed name is either written
out in full or one class directly in a package's public face; and it must resolve to the expected kind.
"""

import os
import re
from functools import cache
from pkgutil import resolve_name
from typing import Any, TypeVar

from mlplab.errors import Fault, RunFailed, UserError

VARIABLE = "MLPLAB_ALLOWED_TARGETS"
"""Environment variable with the full names of the user's own classes, separated by commas.

An environment variable, since no file that came with somebody's run can set it.
"""

T = TypeVar("T")


@cache
def own_targets() -> tuple[str, ...]:
    """The names in `VARIABLE`, as it was when they were first asked for."""
    return tuple(name for each in os.environ.get(VARIABLE, "").split(",") if (name := each.strip()))


def check_target(target: str, pattern: str) -> str:
    """The target itself, if it matches `pattern` or the user's environment names it.

    Raises:
        ValueError: otherwise.
    """
    if target in own_targets() or (pattern and re.fullmatch(pattern, target)):
        return target
    readable = pattern.replace(r"\.", ".").replace(r"[A-Z]\w*", "<Class>") or "only classes of your own"
    raise ValueError(
        f"the target '{target}' is not allowed here (allowed: {readable}); "
        f"to allow a class of your own, set {VARIABLE}=package.Class in the environment"
    )


def resolve(target: str, kind: type[T]) -> type[T]:
    """The class that an allowed target names.

    Raises:
        UserError: if there is no such class, or it is not a `kind`.
    """
    try:
        found = resolve_name(target)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            Fault(
                f"cannot be imported: {error}",
                f"_target_={target}",
                remedy="check its spelling and PYTHONPATH",
            )
        ) from error
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise UserError(Fault(f"is not a {kind.__module__}.{kind.__qualname__}", f"_target_={target}"))
    return found


def build(target: str, kind: type[T], *arguments: Any, **named: Any) -> T:
    """An object of the class that an allowed target names.

    Raises:
        UserError: also if the class does not take these arguments.
        RunFailed: if it asks the process to exit.
    """
    try:
        return resolve(target, kind)(*arguments, **named)
    except SystemExit as error:
        raise RunFailed(f"{target} asked to exit, with status {error.code}") from error
    except (TypeError, ValueError) as error:
        raise UserError(
            Fault(f"cannot be made: {error}", f"_target_={target}", remedy="mend its keys")
        ) from error
