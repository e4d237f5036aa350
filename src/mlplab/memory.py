"""Memory that a step frees is there for the next step."""

import ctypes
from contextlib import suppress

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of mallopt(3)
_KEPT = 2**30
_LARGEST_MMAP_THRESHOLD = 2**25


def keep_freed_memory() -> None:
    """Tells glibc's allocator to keep up to a gibibyte of what is freed; elsewhere does nothing.

    By default tensors of a few hundred kilobytes and up go back to the system when they are freed, and their
    pages are made anew, and zeroed, at every step: of a stack of 64 small networks' step that is half.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT)
        libc.mallopt(_TOP_PAD, _LARGEST_MMAP_THRESHOLD)
