"""What does it cost to film a run?

film      the article's run as a whole process, and the training of a network of 2 × 8 units for about
          ten seconds: with and without `callbacks.film`
    epochs=N       of the latter; default: 500
"""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import harness
from benchmarks.checkout import Checkout
from mlplab.files import read_json

PROCESS, TRAINING = "the article, as a process", "training of a network of 2 × 8 units"

LONG = (
    *("experiment=film", "data=synthetic", "data.rows=20000", "baselines=[]", "figures=none", "test=false"),
    "callbacks.early_stopping.patience=null",
)


class Film(harness.Benchmark):
    """The arguments of this benchmark."""

    epochs: harness.Count = 500


def measure(arguments: Film) -> None:
    """Times each checkout, with and without a film in turn."""
    contenders: dict[harness.Key, harness.Contender] = {}
    for checkout in arguments.checkouts:
        for name, film in (("without", "false"), ("with", "true")):
            key, word = f"{checkout.name} {name} film", f"callbacks.film={film}"
            contenders[PROCESS, key] = partial(_process, checkout, "experiment=article", word)
            long = *LONG, f"trainer.max_epochs={arguments.epochs}", word
            contenders[TRAINING, key] = partial(_training, checkout, *long)
    times = harness.alternate(contenders, arguments.repeats)
    base = f"{arguments.checkouts[0].name} without film"
    harness.report("film", arguments, [harness.comparison("the film of a run", times, base)], times)


def _process(checkout: Checkout, *words: str) -> float:
    with TemporaryDirectory() as folder:
        return checkout.run("train.py", *words, folder=Path(folder))


def _training(checkout: Checkout, *words: str) -> float:
    with TemporaryDirectory() as folder:
        checkout.run("train.py", *words, "name=run", folder=Path(folder))
        return float(read_json(Path(folder, "outputs/run/metrics.json"))["seconds"])
