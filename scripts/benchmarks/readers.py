"""A CSV file of numbers to tensors, row after row in memory, by this project and by others.

It runs in a process of its own, whose memory is measured.

python -m benchmarks.readers READER FILE   (in the folder scripts)
"""

import json
import sys
from collections.abc import Callable
from time import perf_counter

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import torch
from torch import Tensor

from benchmarks.memory import peak
from mlplab.data.infer.read_table import read_table
from mlplab.data.infer.table_spec import TableSpec
from mlplab.data.io.discovery import opened

TARGET = "target"


def ours(path: str) -> tuple[Tensor, ...]:
    """As training does: what each column is gets found out, the target has all its digits."""
    with opened(path) as source:
        table = read_table(source, TableSpec(((TARGET, "target"),)))
    return torch.from_numpy(table.x), torch.from_numpy(table.y)


def by_polars(path: str) -> tuple[Tensor, ...]:
    """Told that all are float32."""
    names = pl.scan_csv(path).collect_schema().names()
    frame = pl.read_csv(path, schema=dict.fromkeys(names, pl.Float32))
    return (torch.from_numpy(frame.to_numpy(order="c")),)


def by_pandas(path: str) -> tuple[Tensor, ...]:
    """Told likewise; by its parser in C."""
    return (torch.from_numpy(np.ascontiguousarray(pd.read_csv(path, dtype=np.float32))),)


def by_pyarrow(path: str) -> tuple[Tensor, ...]:
    """By that of pyarrow."""
    frame = pd.read_csv(path, dtype=np.float32, engine="pyarrow")
    return (torch.from_numpy(np.ascontiguousarray(frame)),)


READERS: dict[str, Callable[[str], tuple[Tensor, ...]]] = {
    "mlplab": ours,
    "polars": by_polars,
    "pandas": by_pandas,
    "pandas with pyarrow": by_pyarrow,
}


def main() -> None:
    """Prints the seconds, the bytes of memory taken beyond the libraries, and those of the tensors."""
    reader, path = sys.argv[1:]
    before = peak()
    start = perf_counter()
    tensors = READERS[reader](path)
    seconds = perf_counter() - start
    print(
        json.dumps(
            {
                "seconds": seconds,
                "memory": peak() - before,
                "tensors": sum(each.nbytes for each in tensors),
            }
        )
    )


if __name__ == "__main__":
    main()
