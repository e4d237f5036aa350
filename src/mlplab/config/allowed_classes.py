"""Which classes a configuration's `_target_` may name, and how they are imported.

Attributes of modules lead anywhere (`package.module.os.system`). So a class is allowed only if its full
name is listed, or if it is named directly in a public package; and it must be of the expected kind.
"""

import os
import re
from functools import cache
from pkgutil import resolve_name
from typing import TypeVar

from mlplab.errors import RunFailed, UserError, refusal

# Environment variable with the full names of custom classes, separated by commas.
#
# It is an environment variable because no file in a shared run folder can set it.
VARIABLE = "MLPLAB_ALLOWED_CLASSES"

T = TypeVar("T")


@cache
def user_classes() -> tuple[str, ...]:
    """The names in `VARIABLE` when this function was first called."""
    return tuple(filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))))


def check_allowed(class_path: str, pattern: str) -> str:
    """Returns the name if it matches `pattern` or is one of the `user_classes`.

    Raises:
        ValueError: otherwise.
    """
    if class_path in user_classes() or (pattern and re.fullmatch(pattern, class_path)):
        return class_path
    readable = pattern.replace(r"\.", ".").replace(r"[A-Z]\w*", "<Class>") or "only custom classes"
    raise ValueError(
        f"the class '{class_path}' is not allowed here (allowed: {readable}); "
        f"to allow a custom class, set {VARIABLE}=package.Class in the environment"
    )


def import_class(class_path: str, kind: type[T]) -> type[T]:
    """Imports the class with an allowed name.

    Raises:
        UserError: if there is no such class, or it is not a subclass of `kind`.
    """
    where = f"_target_={class_path}"
    try:
        imported = resolve_name(class_path)
    except (ImportError, AttributeError, ValueError) as error:
        raise refusal(f"cannot be imported: {error}", where, "check its spelling and PYTHONPATH") from error
    if not (isinstance(imported, type) and issubclass(imported, kind)):
        raise refusal(f"is not a {kind.__module__}.{kind.__qualname__}", where)
    return imported


def instantiate(class_path: str, kind: type[T], *arguments: object, **named: object) -> T:
    """Creates an instance of the class with an allowed name.

    Raises:
        UserError: as `import_class`, or if the class rejects the arguments.
        RunFailed: if the class calls `sys.exit`.
    """
    where = f"_target_={class_path}"
    try:
        return import_class(class_path, kind)(*arguments, **named)
    except UserError:  # a ValueError, too
        raise
    except SystemExit as error:
        raise RunFailed(f"{class_path} called exit({error.code})") from error
    except ImportError as error:
        raise refusal(f"needs a package: {error}", where, "install it: uv pip install …") from error
    except (TypeError, ValueError) as error:
        raise refusal(f"cannot be instantiated: {error}", where, "check the keys next to _target_") from error
