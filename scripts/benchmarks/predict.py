"""Predictions of a CSV file's rows into another one, beside polars that only reads and writes them; and of
rows in memory by an ensemble of a sweep's runs."""

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
from benchmarks.sweep_prediction import FEATURES as ENSEMBLE_FEATURES
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

ENSEMBLE_ROWS = 10_000
SWEEP = (
    *("data=synthetic", "data.function=friedman1", f"data.features={ENSEMBLE_FEATURES}"),
    *(f"data.rows={TRAINED_ON}", "trainer.max_epochs=1", *ours.SPLIT, *ours.shape((64, 64), batch=256)),
    *("model.periodic_features=0", "logger=[]", "baselines=[]", "hydra.launcher.workers=1"),
)


class Predict(Benchmark):
    """The arguments of this benchmark."""

    repeats: Annotated[int, Field(gt=0)] = 5
    output: str = "outputs/benchmarks/predict.json"
    rows: Annotated[int, Field(ge=TRAINED_ON)] = 1_000_000
    runs: Annotated[int, Field(gt=1)] = 512


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
        by_ensemble = _ensemble(Path(name), arguments.runs, arguments.repeats)
    details = [{"of": key, "answers": each} for key, each in answers.items()]
    of_ensemble: dict[Key, Times] = {
        (f"{arguments.runs} runs", part): Times([each["seconds"][part] for each in by_ensemble])
        for part in by_ensemble[0]["seconds"]
    }
    memory = median(each["memory"] for each in by_ensemble)
    tables = [_shown(arguments.rows, times, answers), _ensemble_table(arguments.runs, of_ensemble, memory)]
    facts = {"details": details, "ensemble": by_ensemble}
    return Report(arguments, tables, times | of_ensemble, facts)


def _ensemble(folder: Path, runs: int, repeats: int) -> list[dict[str, Any]]:
    """Trains a sweep; what the processes answer that load and use it."""
    _script("train.py", "-m", f"seed=range({runs})", *SWEEP, "hydra.sweep.dir=sweep", folder=folder)
    return [answer("sweep_prediction", "sweep", str(ENSEMBLE_ROWS), folder=folder) for _ in range(repeats)]


def _ensemble_table(runs: int, times: Mapping[Key, Times], memory: float) -> Table:
    title = f"{runs} runs as an ensemble: networks of 2 × 64, {ENSEMBLE_FEATURES} columns"
    caption = f"memory of loading and predicting: {digits(memory / 2**20)} MiB beyond the libraries"
    table = grid(title, "what", "as one stack", "network by network", caption=caption)
    of = {str(part): each for (_, part), each in times.items()}
    table.add_row("load", shown(of["load"].median), "")
    for label, part in ((f"{ENSEMBLE_ROWS:,} rows", "all rows"), ("one row", "one row")):
        table.add_row(f"predict {label}", *(shown(of[f"{part}{how}"].median) for how in ("", ", one by one")))
    return table


def _inside(answers: list[dict[str, Any]], run: str, folder: Path) -> float:
    answers.append(answer("prediction", run, "rows.csv", "predicted.csv", folder=folder))
    return answers[-1]["seconds"]


def _process(folder: Path, file: str) -> float:
    start = perf_counter()
    words = ["run=run", f"input={file}.csv", "output=predicted.csv", "overwrite=true"]
    _script("predict.py", *words, folder=folder)
    return perf_counter() - start


def _script(name: str, *words: str, folder: Path) -> None:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / name), *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RunFailed(f"{name} ended with status {ended.returncode}:\n{ended.stderr.strip()}")


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
