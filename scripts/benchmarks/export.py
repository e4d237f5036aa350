"""How fast are exported networks?

export    ONNX Runtime, 1,000 rows at a time, beside `run.predict`: size, speed, and a single row
  rows=50000   that are predicted
"""

from functools import partial
from itertools import product

from benchmarks import harness

NUMBERS, MIXED = "20 numbers", "and categories, a date"
NETWORK = "data.target=target ensemble=1"
KINDS = {  # the overrides of networks that are trained, by table
    NUMBERS: {
        "a network": NETWORK,
        "8 networks": "data.target=target ensemble=8",
        "by ranks": f"{NETWORK} model/preprocessing=quantile",
        "float64": f"{NETWORK} trainer.precision=64",
        "quantiles": f"{NETWORK} loss=quantile",
        **{model: f"{NETWORK} model={model}" for model in ("linear", "realmlp", "tabm")},
    },
    MIXED: {
        "a network": NETWORK,
        "5 classes": "data.target=colour-0 ensemble=1",
        **{model: f"{NETWORK} model={model}" for model in ("realmlp", "tabm")},
    },
}

PARTS = ("seconds", "predict", "row", "predict a row")
"""What `child.export` measures: of all rows, and of one; the model and `run.predict`."""

SHORT = "data=csv data.path=trained.csv trainer.max_epochs=5 baselines=[] figures=none logger=[]"


class Export(harness.Benchmark):
    rows: harness.Count = 50_000


def measure(arguments: Export) -> None:
    contenders: harness.Contenders = {}
    for (case, kinds), checkout in product(KINDS.items(), arguments.checkouts):
        folder = harness.new_folder()
        for file, rows in (("trained", 1000), ("rows", arguments.rows)):
            harness.write_table(folder / f"{file}.csv", rows, mixed=case == MIXED)
        for kind, words in kinds.items():
            checkout.run("train.py", *SHORT.split(), *words.split(), f"hydra.run.dir={kind}", folder=folder)
            ask = partial(checkout.ask, "child.export", kind, "rows.csv", folder=folder)
            contenders[case, f"{checkout.name}, {kind}"] = ask
    times = harness.alternate(contenders, arguments.repeats)
    rows_of = {
        key: [
            f"{measured.median('bytes') / 1e6:.2f}",
            *(harness.digits(arguments.rows / measured.median(part) / 1000) for part in PARTS[:2]),
            *(harness.show_seconds(measured.median(part)) for part in PARTS[2:]),
        ]
        for key, measured in times.items()
    }
    heads = ["MB", "1,000\nrows/s", "of\npredict", "a row", "of\npredict"]
    harness.report(arguments, times, harness.table_of("ONNX models", heads, rows_of))
