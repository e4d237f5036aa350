"""Fast imports of large packages."""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heavy_imports() -> Iterator[None]:
    """Turns Python's garbage collector off while torch and the like are imported.

    It would search their objects for garbage again and again: during the import for a second of a command's
    time, and at each later full collection for a third of one.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # or libraries would report objects that are never freed
        gc.enable()
