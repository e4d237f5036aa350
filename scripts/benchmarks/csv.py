"""What does a table in a CSV file cost?

csv       a file to tensors, beside polars and pandas; wide tables; training with a quarter of it in memory
  rows=1000000           of the file of 21 numbers
  columns=250,1000,3000  of the wide tables, which have 2,000 rows
  epochs=1               of the trainings
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

from pydantic import Field

from benchmarks import harness

COLUMNS, WIDE_ROWS, FEW_ROWS = 21, 2000, 100
IN_MEMORY, FROM_FILE = "table in memory", "table in a file"

TRAINING = (
    *("data=csv", "data.target=target", "data.split.val=0.1", "data.split.test=0.1", "data.batch_size=256"),
    *("model.hidden=[64,64]", *harness.PLAIN, "optimizer=adam", "ensemble=1", "baselines=[]"),
    *("figures=none", "logger=[]", "test_predictions=false", "hydra.run.dir=run"),
)


class Csv(harness.Benchmark):
    rows: Annotated[int, Field(ge=1000)] = 1_000_000
    columns: harness.Counts = (250, 1000, 3000)
    epochs: harness.Count = 1


def measure(arguments: Csv) -> None:
    harness.needs("pandas")
    sizes = {f"{rows:,} rows": rows for rows in (arguments.rows // 100, arguments.rows // 10, arguments.rows)}
    size, largest, folder = 4 * arguments.rows * COLUMNS, [*sizes][-1], harness.new_folder()
    few = harness.write_table(folder / "few.csv", FEW_ROWS)
    files = {case: harness.write_table(folder / f"{rows}.csv", rows) for case, rows in sizes.items()}
    for columns in arguments.columns:
        case = f"{WIDE_ROWS:,} rows of {columns:,}"
        files[case] = harness.write_table(folder / f"wide-{columns}.csv", WIDE_ROWS, columns)
    contenders: harness.Contenders = {}
    epochs: harness.Contenders = {}
    for checkout in arguments.checkouts:
        starts = [_read(checkout, few, {"seconds": 0, "memory": 0}) for _ in range(arguments.repeats)]
        start = {name: median(answer[name] for answer in starts) for name in ("seconds", "memory")}
        epoch = partial(_epoch, checkout, files[largest], arguments.epochs)
        epochs[checkout.name, IN_MEMORY] = epoch
        epochs[checkout.name, FROM_FILE] = partial(epoch, f"data.memory_gib={size / 4 / 2**30}")
        for case, file in files.items():
            contenders[case, checkout.name] = partial(_read, checkout, file, start)
            if case not in sizes:
                words = ("describe.py", "data=csv", f"data.path={file}", "data.target=target")
                contenders[case, f"{checkout.name}, describe.py"] = partial(checkout.run, *words)
    for peer in ("polars", "pandas"):
        ask = partial(arguments.checkouts[0].ask, f"peers.{peer}", str(files[largest]))
        contenders[largest, peer] = ask
    times = harness.alternate(contenders, arguments.repeats)
    trainings = harness.alternate(epochs, arguments.repeats)

    def of_tensors(key: harness.Key) -> str:
        return f"{times[key].median('memory') / size:.2f}×" if key[0] == largest else ""

    caption = "mlplab: beyond a start with 100 rows, with split and statistics; describe.py: whole processes"
    caption += "; of tensors: memory, relative to theirs"
    title = f"a CSV file of {COLUMNS} columns to tensors"
    reading = harness.comparison(title, times, "polars", caption, **{"of tensors": of_tensors})
    more = {
        "rows a second": lambda key: harness.digits(0.8 * arguments.rows / trainings[key].median()),
        "test RMSE": lambda key: f"{trainings[key].median('rmse'):.4f}",
        "MiB": lambda key: harness.digits(trainings[key].median("memory") / harness.MEBIBYTE),
    }
    title = f"an epoch of training on a table of {harness.digits(size / harness.MEBIBYTE)} MiB, 20-64-64-1"
    caption = f"{FROM_FILE}: a quarter of it in memory; MiB: of the process in the end, without mapped files"
    training = harness.comparison(title, trainings, IN_MEMORY, caption, **more)
    harness.report(arguments, times | trainings, reading, training)


def _read(checkout: harness.Checkout, file: Path, start: Mapping[str, float]) -> dict[str, float]:
    """What a table costs until its training starts, beyond another start."""
    answer = checkout.ask("child.read", *TRAINING, f"data.path={file}")
    return {name: answer[name] - start[name] for name in start}


def _epoch(checkout: harness.Checkout, file: Path, epochs: int, *overrides: str) -> dict[str, float]:
    """The median epoch of a training, and its memory when it has ended, without mapped files."""
    with TemporaryDirectory() as name:
        words = (*TRAINING, f"trainer.max_epochs={epochs}", f"data.path={file}", *overrides)
        answer = checkout.ask("child.train", *words, folder=Path(name))
        rmse = json.loads(Path(name, "run/metrics.json").read_bytes())["test/rmse"]
    return {"seconds": median(answer["epochs"]), "rmse": rmse, "memory": answer["anonymous"]}
