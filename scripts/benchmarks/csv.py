"""A table in CSV: from file to tensors beside polars and pandas, by rows and columns; trained from a file."""

import os
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from rich.table import Table

from benchmarks import ours
from benchmarks.arguments import Benchmark, Count, Counts
from benchmarks.cap import capped
from benchmarks.child import answer
from benchmarks.report import Report, grid
from benchmarks.timing import Key, Times, alternate, digits, ratio, shown
from mlplab.data.synthetic import functions as synthetic
from mlplab.data.table import BLOCK
from mlplab.errors import Fault, UserError

FEATURES = 20
NUMBER = 4
"""Bytes of a float32."""

OVER_BUDGET = 4
"""Times the memory that it may take, that the features of the table take which is trained from a file."""

MEBIBYTE = 2**20
AT_ONCE = 100_000
FEWEST = 1000
SMALL = 2 * BLOCK
"""Rows of the table of a small training, which takes for reading what a large one does."""

WIDE = 2000
"""Rows of wide tables."""

OURS, DESCRIBE, POLARS, PANDAS, PYARROW = "mlplab", "describe", "polars", "pandas", "pandas with pyarrow"
IN_MEMORY, FROM_FILE = "in memory", "from a file"
TRAINING = (
    "data=csv",
    "data.target=target",
    *ours.SPLIT,
    *ours.SAME_ARITHMETIC,
    *ours.shape((64, 64), batch=256),
    "logger=[]",
)

Answers = Mapping[Key, Sequence[Mapping[str, Any]]]


class Csv(Benchmark):
    """The arguments of this benchmark."""

    repeats: Count = 5
    output: str = "outputs/benchmarks/csv.json"
    rows: Annotated[int, Field(ge=FEWEST)] = 1_000_000
    epochs: Count = 3
    full: bool = False
    columns: Counts = (250, 1000, 3000)


def measure(arguments: Csv) -> Report:
    """Times everyone's reading of one file, ours of smaller, larger and wide ones, and the two trainings."""
    if sys.platform != "linux":
        raise UserError(Fault("needs Linux, to measure the memory of a process"))
    rows, answers = arguments.rows, defaultdict[Key, list[dict[str, Any]]](list)
    sizes = [rows // 100, rows // 10, rows, *([10 * rows] if arguments.full else [])]
    budget = rows * FEATURES * NUMBER // OVER_BUDGET
    with TemporaryDirectory() as name:
        folder = Path(name)
        few = min(rows, SMALL)
        files = {size: _write(folder / f"{size}.csv", size) for size in {few, *sizes}}

        def train(file: Path, *overrides: str, prefix: Sequence[str] = ()) -> dict[str, Any]:
            overrides = (*TRAINING, f"data.path={file}", *overrides)
            with TemporaryDirectory(dir=folder) as place:
                return answer("table_training", *overrides, folder=Path(place), prefix=prefix)

        small = train(files[few], "trainer.max_epochs=1", f"data.memory_gib={1 / 2**30}")
        cap = cap_of(small["peak"], rows * FEATURES * NUMBER)
        with capped(cap) as prefix:
            epochs, memory = f"trainer.max_epochs={arguments.epochs}", f"data.memory_gib={budget / 2**30}"
            asked: dict[Key, Callable[[], dict[str, Any]]] = {
                (reader, size): partial(answer, "readers", reader, str(files[size]), folder=folder)
                for reader in (OURS, POLARS, PANDAS, *([PYARROW] if find_spec("pyarrow") else []))
                for size in (sizes if reader == OURS else [rows])
            }
            for columns in arguments.columns:
                wide = str(_write(folder / f"wide-{columns}.csv", WIDE, columns - 1))
                asked["wide", OURS, columns] = partial(answer, "readers", OURS, wide, folder=folder)
                asked["wide", DESCRIBE, columns] = partial(answer, "describing", wide, folder=folder)
            asked[IN_MEMORY,] = partial(train, files[rows], epochs)
            asked[FROM_FILE,] = partial(train, files[rows], epochs, memory, prefix=prefix)
            times = alternate(
                {key: _seconds(key, ask, answers) for key, ask in asked.items()}, arguments.repeats
            )
        megabytes = files[rows].stat().st_size / 1e6
    times |= {
        (where, "epoch"): Times([each["epoch"] for each in answers[where,]])
        for where in (IN_MEMORY, FROM_FILE)
    }
    limit = {"bytes": cap, "budget": budget, "small training": small, "held": bool(prefix)}
    growth = growth_of({size: times[OURS, size] for size in sizes})
    tables = [
        _readers(rows, megabytes, times, answers),
        _by_rows(sizes, times, growth),
        _by_columns(arguments.columns, times),
        _trainings(arguments, times, answers, limit),
    ]
    details = [{"of": key, "answers": each} for key, each in answers.items()]
    return Report(arguments, tables, times, {"growth": growth, "cap": limit, "details": details})


def cap_of(peak: int, size: int) -> int:
    """Bytes that a training from a file may take, by what a small one has taken at most on this machine.

    Half the table's `size` more, so that the table does not fit; or a tenth, if the table is small.
    """
    return peak + max(size // 2, peak // 10)


def _seconds(
    key: Key, ask: Callable[[], dict[str, Any]], answers: Mapping[Key, list[dict[str, Any]]]
) -> Callable[[], float]:
    """Asks, and keeps all of the answer."""

    def seconds() -> float:
        answers[key].append(ask())
        return answers[key][-1]["seconds"]

    return seconds


def _write(path: Path, rows: int, features: int = FEATURES) -> Path:
    """A table of so many rows, in parts that fit into memory."""
    with path.open("wb") as file:
        for start in range(0, rows, AT_ONCE):
            count = min(AT_ONCE, rows - start)
            frame = synthetic.draw("friedman1", rows=count, features=features, noise=1, seed=start)
            frame.write_csv(file, include_header=not start, float_precision=6)
        os.fsync(file.fileno())  # or it would be written while others are timed
    return path


def growth_of(times: Mapping[int, Times]) -> dict[str, float]:
    """How seconds grow with rows: the exponent of a power of them, without the smallest table; and the line
    of least relative squares, with its largest relative residual.
    """
    rows = np.array(list(times), dtype=np.float64)
    seconds = np.array([each.median for each in times.values()])
    exponent = np.polyfit(np.log(rows[1:]), np.log(seconds[1:]), 1)[0]
    each_row, start = np.polyfit(rows, seconds, 1, w=1 / seconds)
    residual = np.abs((start + each_row * rows) / seconds - 1).max()
    found = {"exponent": exponent, "start": start, "each row": each_row, "residual": residual}
    return {name: float(value) for name, value in found.items()}


def _readers(rows: int, megabytes: float, times: Mapping[Key, Times], answers: Answers) -> Table:
    caption = (
        "memory: the most that the process takes beyond Python with all libraries, the file's pages included "
        "where it is mapped; tensors: of float32, our target of float64"
    )
    title = f"a CSV file of {rows:,} × {FEATURES + 1} numbers, {digits(megabytes)} MB, to tensors"
    table = grid(
        title, "by", "median", "min – max", "of polars", "memory, MiB", "of the tensors", caption=caption
    )
    for name in (OURS, POLARS, PANDAS, PYARROW):
        if each := times.get((name, rows)):
            memory = median(one["memory"] for one in answers[name, rows])
            share = memory / answers[name, rows][0]["tensors"]
            figures = shown(each.median), each.spread(), ratio(each, times[POLARS, rows])
            table.add_row(name, *figures, digits(memory / MEBIBYTE), f"{share:.2f}×")
    return table


def _by_rows(sizes: Sequence[int], times: Mapping[Key, Times], growth: Mapping[str, float]) -> Table:
    caption = (
        f"as rows to the power of {growth['exponent']:.2f}, from {sizes[1]:,} on; on a line: "
        f"{shown(growth['start'])} and {shown(growth['each row'])} a row, "
        f"off by {growth['residual']:.0%} at most"
    )
    table = grid("mlplab's reading", "rows", "median", "min – max", "a row", caption=caption)
    for size in sizes:
        each = times[OURS, size]
        table.add_row(f"{size:,}", shown(each.median), each.spread(), shown(each.median / size))
    return table


def _by_columns(sizes: Sequence[int], times: Mapping[Key, Times]) -> Table:
    table = grid(
        f"mlplab, wide tables of {WIDE:,} rows", "what", "columns", "median", "min – max", "a column"
    )
    for reader, what in ((OURS, "reading"), (DESCRIBE, "describing")):
        for columns in sizes:
            each = times["wide", reader, columns]
            table.add_row(
                what, f"{columns:,}", shown(each.median), each.spread(), shown(each.median / columns)
            )
        table.add_section()
    return table


def _trainings(
    arguments: Csv, times: Mapping[Key, Times], answers: Answers, limit: Mapping[str, Any]
) -> Table:
    small = limit["small training"]
    capped_at, alone, budget = (
        f"{digits(size / MEBIBYTE)} MiB" for size in (limit["bytes"], small["peak"], limit["budget"])
    )
    held = (
        f"in a process of {capped_at} at most, of which a small training takes {alone}"
        if limit["held"]
        else "in a process that was not capped, as no group could be made for it"
    )
    title = (
        f"training on {arguments.rows:,} × {FEATURES} numbers, {FEATURES}-64-64-1, 256 rows a step, "
        f"{arguments.epochs} epochs"
    )
    caption = (
        f"from a file: the table takes {OVER_BUDGET} times the {budget} that it may, {held}; "
        "memory: in the end, beyond a small training, without files' pages"
    )
    columns = ("reading", "min – max", "epoch", "min – max", "rows a second", "test RMSE", "memory, MiB")
    table = grid(title, "table", *columns, caption=caption)
    for where in (IN_MEMORY, FROM_FILE):
        reading, epoch = times[where,], times[where, "epoch"]
        figures = [text for each in (reading, epoch) for text in (shown(each.median), each.spread())]
        rows, rmse, memory = (
            median(each[name] for each in answers[where,]) for name in ("rows", "rmse", "memory")
        )
        beyond = digits((memory - small["memory"]) / MEBIBYTE)
        table.add_row(where, *figures, digits(rows / epoch.median), f"{rmse:.4f}", beyond)
    return table
