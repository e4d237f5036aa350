"""Predicting the rows of a file, or reading and writing them by polars alone, in a process of its own.

python -m benchmarks.prediction RUN INPUT OUTPUT   (in the folder scripts)
python -m benchmarks.prediction polars INPUT OUTPUT
"""

import json
import sys
from pathlib import Path
from time import perf_counter, process_time

import polars as pl
import torch

from benchmarks.memory import peak
from mlplab.commands.predict import predict

POLARS = "polars"


def by_polars(source: str, target: str) -> None:
    """Rows in and out, numbers as text, as they are written."""
    names = pl.scan_csv(source).collect_schema().names()
    pl.scan_csv(source, schema=dict.fromkeys(names, pl.String)).sink_csv(target)


def main() -> None:
    """Prints the seconds, those of the processor, and the bytes of memory taken beyond the libraries."""
    run, source, target = sys.argv[1:]
    torch.set_num_threads(1)  # as scripts/predict.py does
    before = peak()
    start, cpu = perf_counter(), process_time()
    if run == POLARS:
        by_polars(source, target)
    else:
        predict(Path(run), source, target, overwrite=True)
    seconds, cpu = perf_counter() - start, process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu": cpu, "memory": peak() - before}))


if __name__ == "__main__":
    main()
