"""Processor settings for training: threads, denormal numbers, memory allocation."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of mallopt(3)
_KEPT_BYTES = 2**30
_LARGEST_MMAP_THRESHOLD = 2**25


@contextmanager
def cpu_settings_for_training(threads: int) -> Iterator[None]:
    """Sets the number of threads, and makes steps of small networks up to twice as fast.

    Values below 1e-38 (1e-308 in float64) are flushed to zero: the optimizer state of dead units decays to
    such values, and processors compute with them many times slower.
    """
    torch.set_num_threads(threads)
    _keep_freed_memory()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _keep_freed_memory() -> None:
    """Makes glibc's allocator keep up to a gibibyte of freed memory; does nothing on other systems.

    By default, freed tensors of more than a few hundred kilobytes are returned to the system, which allocates
    and zeroes their pages again at every step.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_TOP_PAD, _LARGEST_MMAP_THRESHOLD)
