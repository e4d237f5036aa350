"""How fast are predictions?

predict   the rows of a CSV file into another one: within the process, with intervals, as a process, and for
          a single row; beside polars, which only reads and writes them. And the runs of a sweep as an
          ensemble: as one stack, and run by run
  rows=1000000   of the file
  runs=64        of the sweep
"""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import harness
from benchmarks.checkout import PLAIN

POLARS = "polars"

TABLES = {"20 numbers": False, "and categories, a date": True}
"""Whether the table is mixed, by the name of the case."""

ENSEMBLE_ROWS = 10_000

PARTS = ("seconds", "all rows", "all rows, run by run", "one row", "one row, run by run")
"""What `child.ensemble` measures; the first is loading the runs."""

SHORT = ("model.hidden=[64,64]", "data.batch_size=256", "trainer.max_epochs=1", "ensemble=1", "baselines=[]")
TABLE = ("data=csv", "data.path=trained.csv", "data.target=target")
TRAINING = (*SHORT, *PLAIN, *TABLE, "figures=none", "logger=[]")


class Predict(harness.Benchmark):
    """The arguments of this benchmark."""

    rows: harness.Count = 1_000_000
    runs: harness.Count = 64


def measure(arguments: Predict) -> None:
    """Times the predictions of two tables, and those of the ensemble."""
    contenders: dict[harness.Key, harness.Contender] = {}
    ensembles: dict[harness.Key, harness.Contender] = {}
    with TemporaryDirectory() as name:
        for case, mixed in TABLES.items():
            for checkout in arguments.checkouts:
                folder = Path(name, checkout.name, case)
                folder.mkdir(parents=True)
                for file, rows in (("trained", 1000), ("rows", arguments.rows), ("one", 1)):
                    harness.write_table(folder / f"{file}.csv", rows, mixed=mixed)
                checkout.run("train.py", *TRAINING, "hydra.run.dir=run", folder=folder)
                words = ("run", "rows.csv", "predicted.csv")
                contenders[case, checkout.name] = partial(
                    checkout.ask, "child.predict", *words, folder=folder
                )
                with_intervals = {
                    "intervals": ("child.predict", *words, "0.9"),
                    "interval, 1 row": ("child.interval_of_a_row", "run", "one.csv"),
                }
                for label, ask_for in with_intervals.items():
                    contenders[case, f"{checkout.name}, {label}"] = partial(
                        checkout.ask, *ask_for, folder=folder
                    )
                for file, label in (("rows", "process"), ("one", "process, 1 row")):
                    command = ("run=run", f"input={file}.csv", "output=predicted.csv", "overwrite=true")
                    process = partial(checkout.run, "predict.py", *command, folder=folder)
                    contenders[case, f"{checkout.name}, {label}"] = process
                if not mixed:
                    harness.write_table(folder / "ensemble.csv", ENSEMBLE_ROWS)
                    sweep = ("-m", f"seed=range({arguments.runs})", "hydra.sweep.dir=sweep")
                    checkout.run("train.py", *sweep, *TRAINING, folder=folder)
                    ask = partial(checkout.ask, "child.ensemble", "sweep", "ensemble.csv", folder=folder)
                    ensembles["", checkout.name] = ask
            copy = partial(checkout.ask, "peers.copy", "rows.csv", "predicted.csv", folder=folder)
            contenders[case, POLARS] = copy
        times = harness.alternate(contenders, arguments.repeats)
        answers = harness.alternate(ensembles, arguments.repeats)
    parts = {
        ("load" if part == "seconds" else part, name): harness.Times(
            [{"seconds": answer[part], "memory": answer["memory"]} for answer in measured.answers]
        )
        for part in PARTS
        for (_, name), measured in answers.items()
    }

    def rate(key: harness.Key) -> str:
        rows = 1 if key[1].endswith("1 row") else arguments.rows
        return harness.digits(rows / times[key].median())

    def memory(key: harness.Key) -> str:
        measured = (times | parts)[key]
        inside = "memory" in measured.answers[0]
        return harness.digits(measured.median("memory") / harness.MEBIBYTE) if inside else ""

    title, more = f"CSV to CSV, {arguments.rows:,} rows", {"rows a second": rate, "MiB": memory}
    of_files = harness.comparison(title, times, POLARS, more, "MiB: memory beyond the libraries")
    title = f"{arguments.runs} networks of 2 × 64 units as an ensemble, {ENSEMBLE_ROWS:,} rows"
    of_ensembles = harness.comparison(
        title, parts, "mlplab", {"MiB": memory}, "MiB: of loading and predicting"
    )
    harness.report("predict", arguments, [of_files, of_ensembles], times | parts)
