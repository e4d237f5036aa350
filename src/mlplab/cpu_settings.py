"""Processor settings for training: threads, denormal numbers, memory allocation."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

# glibc's M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD, in bytes: it keeps a gibibyte of freed memory. By
# default, it returns freed tensors of a few hundred kilobytes to the system, which allocates and zeroes their
# pages again at every step.
MALLOPT = {-3: 2**25, -1: 2**30, -2: 2**25}


@contextmanager
def cpu_settings_for_training(threads: int) -> Iterator[None]:
    """Sets the number of threads, and makes steps of small networks up to twice as fast.

    Values below 1e-38 (1e-308 in float64) are flushed to zero: the optimizer state of dead units decays to
    such values, and processors compute with them many times slower.
    """
    torch.set_num_threads(threads)
    with suppress(OSError, AttributeError):  # there is no glibc
        libc = ctypes.CDLL(None)
        for parameter, size in MALLOPT.items():
            libc.mallopt(parameter, size)
    were_flushed = sys.float_info.min / 2 == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(were_flushed)


@contextmanager
def one_thread() -> Iterator[None]:
    """Computes with one thread: how sums and factorisations are rounded depends on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
