"""Fast imports of large packages."""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heavy_imports() -> Iterator[None]:
    """Turns off Python's garbage collector while large packages such as torch are imported.

    The collector would search their objects for garbage repeatedly: for a second during the import, and for a
    third of a second at each later full collection.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # or libraries would report objects that are never freed
        gc.enable()
