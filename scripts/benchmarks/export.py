"""How fast are exported networks, and how close?

export    ONNX models of networks of several kinds in ONNX Runtime, beside `run.predict`: the largest
          difference (see `model.md`), the model's size, rows a second, and the time of a single row. A model
          gets arrays of 1,000 rows, `predict` a frame
  rows=50000   that are predicted
"""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import harness

NUMBERS, MIXED = "20 numbers", "and categories, a date"

ALONE = ("data.target=target", "ensemble=1")

KINDS: dict[str, dict[str, tuple[str, ...]]] = {
    NUMBERS: {
        "a network": ALONE,
        "8 networks": ("data.target=target", "ensemble=8"),
        "by ranks": (*ALONE, "model/preprocessing=quantile"),
        "float64": (*ALONE, "trainer.precision=64"),
        "quantiles": (*ALONE, "loss=quantile"),
        **{model: (*ALONE, f"model={model}") for model in ("linear", "realmlp", "tabm")},
    },
    MIXED: {
        "a network": ALONE,
        "5 classes": ("data.target='colour 0'", "ensemble=1"),
        **{model: (*ALONE, f"model={model}") for model in ("realmlp", "tabm")},
    },
}
"""The overrides of networks that are trained, by table."""

SHORT = (
    "data=csv",
    "data.path=trained.csv",
    "trainer.max_epochs=5",
    "baselines=[]",
    "figures=none",
    "logger=[]",
)


class Export(harness.Benchmark):
    """The arguments of this benchmark."""

    rows: harness.Count = 50_000


def measure(arguments: Export) -> None:
    """Times the predictions of a network of each kind."""
    contenders: dict[harness.Key, harness.Contender] = {}
    with TemporaryDirectory() as name:
        for number, checkout in enumerate(arguments.checkouts):
            for case, kinds in KINDS.items():
                folder = Path(name, checkout.name, case)
                folder.mkdir(parents=True)
                for file, rows in (("trained", 1000), ("rows", arguments.rows)):
                    harness.write_table(folder / f"{file}.csv", rows, mixed=case == MIXED)
                for kind, words in kinds.items():
                    train = ("train.py", *SHORT, *words, f"hydra.run.dir={kind}")
                    checkout.run(*train, folder=folder)
                    title = f"{kind}, {checkout.name}" if number else kind
                    ask = partial(checkout.ask, "child.export", kind, "rows.csv", folder=folder)
                    contenders[case, title] = ask
        times = harness.alternate(contenders, arguments.repeats)
    rows_of = {
        key: [
            f"{measured.median('difference'):.0e}",
            f"{measured.median('bytes') / 1e6:.2f}",
            *(
                harness.digits(arguments.rows / measured.median(part) / 1000)
                for part in ("seconds", "predict")
            ),
            *(harness.show_seconds(measured.median(part)) for part in ("row", "predict a row")),
        ]
        for key, measured in times.items()
    }
    heads = ["differ-\nence", "MB", "1,000\nrows/s", "of\npredict", "a row", "of\npredict"]
    harness.report("export", arguments, [harness.table_of("ONNX models", heads, rows_of)], times)
