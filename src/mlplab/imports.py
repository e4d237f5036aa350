"""Imports of large packages, and of those that may not be installed."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from mlplab.errors import refusal

_frozen_blocks = 0  # of `frozen_objects` that are open; to count the frozen objects takes 30 ms


@contextmanager
def heavy_imports() -> Iterator[None]:
    """Turns off Python's garbage collector while large packages such as torch are imported.

    The collector would search their objects for garbage repeatedly, for a second in all.
    """
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if _frozen_blocks:
            gc.freeze()
        if is_enabled:
            gc.enable()


@contextmanager
def frozen_objects() -> Iterator[None]:
    """Excludes objects from garbage collection that exist already, and those of `heavy_imports` in the block.

    A full collection would search those of torch for a third of a second.
    """
    global _frozen_blocks
    were_frozen = _frozen_blocks > 0 or gc.get_freeze_count() > 0
    _frozen_blocks += 1
    gc.freeze()
    try:
        yield
    finally:
        _frozen_blocks -= 1
        if not were_frozen:
            gc.unfreeze()


def check_installed(where: str, extra: str, *packages: str) -> None:
    """Checks that the packages of an extra of mlplab are installed.

    Raises:
        UserError: otherwise; `where` needs them.
    """
    if missing := [package for package in packages if find_spec(package) is None]:
        what = f"needs {' and '.join(missing)}, not installed here"
        raise refusal(what, where, f"install: uv sync --extra {extra}, or pip install {' '.join(missing)}")
