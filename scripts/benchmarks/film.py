"""What does it cost to film a run?

film      the seconds of training, those of them in which the frames of a film were copied, and those in which
          its page was written, until Chromium shows it, and its bytes: of the article's run, of eight of its
          networks, and of one of 2 × 8 units that trains for ten seconds or more; and their processes, with
          and without a film
"""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import harness
from benchmarks.checkout import Checkout

WITH, WITHOUT = "callbacks.film=true", "callbacks.film=false"

RUNS = {
    "the article": ("experiment=article",),
    "8 of its networks": ("experiment=article", "ensemble=8"),
    "2 × 8 units": (
        *("experiment=film", "data=synthetic", "data.rows=20000", "trainer.max_epochs=500"),
        *("callbacks.early_stopping.patience=null", "baselines=[]", "figures=none", "test=false"),
    ),
}


class Film(harness.Benchmark):
    """The arguments of this benchmark."""


def measure(arguments: Film) -> None:
    """Times each run of each checkout, with and without a film in turn."""
    contenders: dict[harness.Key, harness.Contender] = {}
    for case, words in RUNS.items():
        for checkout in arguments.checkouts:
            contenders[case, f"{checkout.name}, without"] = partial(_process, checkout, *words, WITHOUT)
            contenders[case, f"{checkout.name}, with"] = partial(_process, checkout, *words, WITH)
            contenders[case, f"{checkout.name}, training"] = partial(_training, checkout, *words, WITH)
    times = harness.alternate(contenders, arguments.repeats)

    def shown(part: str, key: harness.Key) -> str:
        if part not in times[key].answers[0]:
            return ""
        value = times[key].median(part)
        return f"{value / 1e6:.2f} MB" if part == "bytes" else harness.show_seconds(value)

    parts = {part: partial(shown, part) for part in ("copying", "page", "paint", "bytes")}
    base = f"{arguments.checkouts[0].name}, without"
    harness.report("film", arguments, [harness.comparison("the film of a run", times, base, parts)], times)


def _process(checkout: Checkout, *words: str) -> float:
    with TemporaryDirectory() as folder:
        return checkout.run("train.py", *words, folder=Path(folder))


def _training(checkout: Checkout, *words: str) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        return checkout.ask("child.film", *words, folder=Path(folder))
