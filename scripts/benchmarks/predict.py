"""How fast are predictions?

predict   CSV to CSV: in the process, with intervals, as a process, a row; beside polars; and of an ensemble
  rows=1000000   of the file
  runs=64        of the sweep
"""

from functools import partial
from itertools import product

from benchmarks import harness

TABLES = {"20 numbers": False, "and categories, a date": True}
"""Whether the table is mixed, by the name of the case."""

ENSEMBLE_ROWS = 10_000
PARTS = ("seconds", "all rows", "all rows, run by run", "one row", "one row, run by run")
"""What `child.ensemble` measures; the first is loading the runs."""

TRAINING = (
    *("model.hidden=[64,64]", "data.batch_size=256", "trainer.max_epochs=1", "ensemble=1", "baselines=[]"),
    *(*harness.PLAIN, "data=csv", "data.path=trained.csv", "data.target=target", "figures=none", "logger=[]"),
)

FILES = ("run", "rows.csv", "predicted.csv")
COMMAND = ("predict.py", "run=run", "output=predicted.csv", "overwrite=true")


class Predict(harness.Benchmark):
    rows: harness.Count = 1_000_000
    runs: harness.Count = 64


def measure(arguments: Predict) -> None:
    contenders: harness.Contenders = {}
    ensembles: harness.Contenders = {}
    for (case, mixed), checkout in product(TABLES.items(), arguments.checkouts):
        folder = harness.new_folder()
        sizes = {"trained": 1000, "rows": arguments.rows, "one": 1, "ensemble": ENSEMBLE_ROWS}
        for file, rows in sizes.items():
            harness.write_table(folder / f"{file}.csv", rows, mixed=mixed)
        checkout.run("train.py", *TRAINING, "hydra.run.dir=run", folder=folder)
        ask, run = (partial(how, folder=folder) for how in (checkout.ask, checkout.run))
        of_row = ("child.interval_of_a_row", "run", "one.csv")
        contenders |= {
            (case, checkout.name): partial(ask, "child.predict", *FILES),
            (case, f"{checkout.name}, intervals"): partial(ask, "child.predict", *FILES, "0.9"),
            (case, f"{checkout.name}, interval, 1 row"): partial(ask, *of_row),
            (case, f"{checkout.name}, process"): partial(run, *COMMAND, "input=rows.csv"),
            (case, f"{checkout.name}, process, 1 row"): partial(run, *COMMAND, "input=one.csv"),
        }
        if not mixed:
            sweep = ("-m", f"seed=range({arguments.runs})", "hydra.sweep.dir=sweep")
            checkout.run("train.py", *sweep, *TRAINING, folder=folder)
            ensembles["", checkout.name] = partial(ask, "child.ensemble", "sweep", "ensemble.csv")
        if checkout == arguments.checkouts[-1]:
            contenders[case, "polars"] = partial(ask, "peers.copy", *FILES[1:])
    times = harness.alternate(contenders, arguments.repeats)
    answers = harness.alternate(ensembles, arguments.repeats)
    parts = dict[harness.Key, harness.Times]()
    for part, ((_, name), measured) in product(PARTS, answers.items()):
        of_part = [{"seconds": answer[part], "memory": answer["memory"]} for answer in measured.answers]
        parts["load" if part == "seconds" else part, name] = harness.Times(of_part)

    def rate(key: harness.Key) -> str:
        return harness.digits((1 if key[1].endswith("1 row") else arguments.rows) / times[key].median())

    def memory(key: harness.Key) -> str:
        measured = (times | parts)[key]
        inside = "memory" in measured.answers[0]
        return harness.digits(measured.median("memory") / harness.MEBIBYTE) if inside else ""

    title, more = f"CSV to CSV, {arguments.rows:,} rows", {"rows a second": rate, "MiB": memory}
    of_files = harness.comparison(title, times, "polars", "MiB: memory beyond the libraries", **more)
    title = f"{arguments.runs} networks of 2 × 64 units as an ensemble, {ENSEMBLE_ROWS:,} rows"
    caption = "MiB: of loading and predicting"
    of_ensembles = harness.comparison(title, parts, "mlplab", caption, MiB=memory)
    harness.report(arguments, times | parts, of_files, of_ensembles)
