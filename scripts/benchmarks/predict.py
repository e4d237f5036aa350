"""Predictions of a CSV file's rows into another one, beside polars that only reads and writes them."""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import Field
from rich.table import Table

from benchmarks import ours
from benchmarks.arguments import Benchmark
from benchmarks.child import answer
from benchmarks.machine import ROOT
from benchmarks.prediction import POLARS
from benchmarks.report import Report, grid
from benchmarks.timing import Key, Times, alternate, digits, ratio, shown
from mlplab.data.synthetic import functions as synthetic
from mlplab.errors import Fault, RunFailed, UserError

FEATURES = 20
TRAINED_ON = 1000
"""Rows of the tables that the networks are trained on."""

COLOURS = ("red", "orange", "green", "blue", "violet")
CATEGORICAL = 5
"""Columns of categories in the second table."""

FIRST_DAY = np.datetime64("2020-01-01")
DAYS = 1500

NUMBERS, MIXED = "numbers", f"numbers, {CATEGORICAL} categories, a date"
OURS, PROCESS, ONE_ROW, BARE = "mlplab", "mlplab, as a process", "mlplab, as a process, one row", "polars"
TRAINING = (
    "data=csv",
    "data.target=target",
    "trainer.max_epochs=1",
    *ours.SPLIT,
    *ours.shape((64, 64), batch=256),
    "logger=[]",
)


class Predict(Benchmark):
    """The arguments of this benchmark."""

    repeats: Annotated[int, Field(gt=0)] = 5
    output: str = "outputs/benchmarks/predict.json"
    rows: Annotated[int, Field(ge=TRAINED_ON)] = 1_000_000


def measure(arguments: Predict) -> Report:
    """Times predictions of two tables, within a process and as a process, and polars' reading and writing."""
    if sys.platform != "linux":
        raise UserError(Fault("needs Linux, to measure the memory of a process"))
    answers = defaultdict[Key, list[dict[str, Any]]](list)
    contenders: dict[Key, Callable[[], float]] = {}
    with TemporaryDirectory() as name:
        for number, table in enumerate((NUMBERS, MIXED)):
            folder = Path(name, str(number))
            folder.mkdir()
            for file, rows in (("trained", TRAINED_ON), ("one", 1), ("rows", arguments.rows)):
                _write(folder / f"{file}.csv", rows, mixed=table == MIXED)
            answer("table_training", *TRAINING, f"data.path={folder / 'trained.csv'}", folder=folder)
            for contender, run in ((OURS, "run"), (BARE, POLARS)):
                contenders[table, contender] = partial(_inside, answers[table, contender], run, folder)
            contenders[table, PROCESS] = partial(_process, folder, "rows")
            contenders[table, ONE_ROW] = partial(_process, folder, "one")
        times = alternate(contenders, arguments.repeats)
    details = [{"of": key, "answers": each} for key, each in answers.items()]
    return Report(arguments, [_shown(arguments.rows, times, answers)], times, {"details": details})


def _inside(answers: list[dict[str, Any]], run: str, folder: Path) -> float:
    answers.append(answer("prediction", run, "rows.csv", "predicted.csv", folder=folder))
    return answers[-1]["seconds"]


def _process(folder: Path, file: str) -> float:
    words = ["run=run", f"input={file}.csv", "output=predicted.csv", "overwrite=true"]
    start = perf_counter()
    ended = subprocess.run(
        [sys.executable, str(ROOT / "scripts/predict.py"), *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = perf_counter() - start
    if ended.returncode:
        raise RunFailed(f"predict ended with status {ended.returncode}:\n{ended.stderr.strip()}")
    return seconds


def _write(path: Path, rows: int, *, mixed: bool) -> None:
    frame = synthetic.draw("friedman1", rows=rows, features=FEATURES, noise=1, seed=rows)
    if mixed:
        drawn = np.random.default_rng(rows)
        colours = [drawn.choice(COLOURS, rows) for _ in range(CATEGORICAL)]
        frame = frame.with_columns(
            *(pl.Series(f"colour {place}", each) for place, each in enumerate(colours)),
            pl.Series("day", FIRST_DAY + drawn.integers(0, DAYS, rows).astype("timedelta64[D]")),
        )
    frame.write_csv(path, float_precision=6)


def _shown(
    rows: int, times: Mapping[Key, Times], answers: Mapping[Key, Sequence[Mapping[str, Any]]]
) -> Table:
    title = f"CSV to CSV of {rows:,} rows: {FEATURES} numbers without and with others, network of 2 × 64"
    caption = (
        "polars reads and writes text; of the processor: without the time that other processes took it away; "
        "memory: the most that is taken beyond the libraries"
    )
    columns = ("by", "median", "rows a second", "of the processor", "of polars", "memory, MiB")
    table = grid(title, "columns", *columns, caption=caption)
    for (columns_of, contender), each in times.items():
        count = 1 if contender == ONE_ROW else rows
        answered = answers.get((columns_of, contender), [])
        table.add_row(
            str(columns_of),
            str(contender),
            shown(each.median),
            digits(count / each.median),
            digits(count / median(one["cpu"] for one in answered)) if answered else "",
            ratio(each, times[columns_of, BARE]),
            digits(median(one["memory"] for one in answered) / 2**20) if answered else "",
        )
    return table
