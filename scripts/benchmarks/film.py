"""What does it cost to film a run?

film      the seconds of training, those of them in which the frames of a film were copied, those in which its
          page was written, those until Chromium shows it, and its bytes: of the article's run, of eight of
          its networks, and of one of 2 × 8 units that trains for ten seconds or more
"""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import harness
from benchmarks.checkout import Checkout

RUNS = {
    "the article": ("experiment=article",),
    "8 of its networks": ("experiment=article", "ensemble=8"),
    "2 × 8 units": (
        *("experiment=film", "data=synthetic", "data.rows=20000", "trainer.max_epochs=500"),
        "callbacks.early_stopping.patience=null",
    ),
}

PARTS = {"training": "seconds", "copying": "copying", "page": "page", "first paint": "paint"}
"""What is measured, by the heads of the table."""


class Film(harness.Benchmark):
    """The arguments of this benchmark."""


def measure(arguments: Film) -> None:
    """Times each run of each checkout."""
    contenders: dict[harness.Key, harness.Contender] = {
        (case, checkout.name): partial(_filmed, checkout, *words)
        for case, words in RUNS.items()
        for checkout in arguments.checkouts
    }
    times = harness.alternate(contenders, arguments.repeats)
    rows = {
        key: [
            *(harness.show_seconds(measured.median(part)) for part in PARTS.values()),
            f"{measured.median('bytes') / 1e6:.2f} MB",
        ]
        for key, measured in times.items()
    }
    table = harness.table_of("the film of a run", [*PARTS, "bytes"], rows)
    harness.report("film", arguments, [table], times)


def _filmed(checkout: Checkout, *words: str) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        plain = "baselines=[]", "figures=none", "test=false"
        return checkout.ask("child.film", *words, *plain, folder=Path(folder))
