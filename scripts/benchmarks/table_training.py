"""A training on a table in a file, in a process of its own, whose memory may be capped.

python -m benchmarks.table_training OVERRIDE...   (in the folder that takes the run)
"""

import io
import json
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import psutil
from rich.console import Console

from benchmarks import ours
from benchmarks.epochs import timed
from benchmarks.memory import peak
from mlplab.data.cache import DataCache
from mlplab.runs.resolve import resolved
from mlplab.runs.run import Run
from mlplab.runs.train import train_runs
from mlplab.training.module import StackModule


def main() -> None:
    """Prints the seconds of reading the table and of the median epoch, that one's rows, whether the table lay
    in a file, the test RMSE, and the bytes of memory in the end, of mapped files' pages beside it, and of
    memory at the most, if files' pages were then as many.
    """
    run = ours.config(*sys.argv[1:])
    start, cache = perf_counter(), DataCache()
    data = cache.data(run)
    seconds = perf_counter() - start
    with timed(StackModule) as epochs:
        [metrics] = train_runs(
            [Run(resolved(run, cache), Path("run").absolute())], cache, Console(file=io.StringIO())
        )
    memory = psutil.Process().memory_info()
    print(
        json.dumps(
            {
                "seconds": seconds,
                "epoch": median(epoch.seconds for epoch in epochs),
                "rows": len(data.split.train),
                "memmapped": data.table.memmapped,
                "rmse": metrics["test/rmse"],
                "memory": memory.rss - memory.shared,
                "files": memory.shared,
                "peak": peak() - memory.shared,
            }
        )
    )


if __name__ == "__main__":
    main()
