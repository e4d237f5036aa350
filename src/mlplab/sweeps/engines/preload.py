"""What workers are forked with: a process of its own imports this file, once for all of them.

A fork is safe only where no other thread runs, which could hold a lock. So these are packages that start none
(the threads of BLAS end before a fork): neither polars nor what imports it. SIGINT is ignored from the start.
"""

import atexit
import gc
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module

from mlplab.imports import heavy_imports

PACKAGES = (
    *("torch", "lightning.pytorch", "torch.utils.tensorboard", "torchmetrics"),
    *("sklearn.ensemble", "sklearn.linear_model", "altair"),
)

os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")  # of pyarrow, if it is installed
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path[:] = [place for place in sys.path if place]  # not the user's own `lightning.py`
with heavy_imports():
    for package in PACKAGES:
        with suppress(Exception):  # a worker imports it again, and raises it
            import_module(package)
gc.freeze()  # or collections would copy the pages that processes share
atexit.register(os._exit, 0)  # nothing is left to be done, and torch takes a while to be taken down
