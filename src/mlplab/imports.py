"""Fast imports of large packages."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
        if gc.get_freeze_count():  # within `frozen_objects`
            gc.freeze()
        if is_enabled:
            gc.enable()


@contextmanager
def frozen_objects() -> Iterator[None]:
    """Excludes objects from garbage collection that exist already, and those of `heavy_imports` in the block.

    A full collection would search those of torch for a third of a second.
    """
    were_frozen = gc.get_freeze_count() > 0
    gc.freeze()
    try:
        yield
    finally:
        if not were_frozen:
            gc.unfreeze()
