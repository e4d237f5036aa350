"""This project as a contender of `quality`: trained in this process as `train.py` does, then loaded."""

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from rich.console import Console

import mlplab
from benchmarks import ours
from benchmarks.quality.scores import Outcome
from benchmarks.quality.tables import BenchmarkTable, Split, overrides_of
from mlplab.cli.hydra_errors import explained
from mlplab.data.cache import DataCache
from mlplab.errors import RunFailed
from mlplab.runs.resolve import resolved
from mlplab.runs.run import Run
from mlplab.runs.train import train_runs


def outcome(overrides: Sequence[str], table: BenchmarkTable, split: Split, seed: int) -> Outcome:
    """Trains a network, without the baselines beside it, and predicts the rows for testing.

    Raises:
        UserError: if an override is wrong.
        RunFailed: if the loss becomes non-finite.
    """
    with explained():
        run = ours.config(
            *overrides_of(table, split),
            *("baselines=[]", "trainer.accelerator=cpu", f"seed={seed}"),
            *overrides,
        )
    cache, test = DataCache(), table.frame.filter(split.test)
    with TemporaryDirectory() as name, _without_warnings():
        folder, run = Path(name, "run"), resolved(run, cache, alone=True)
        cache.data(run)
        start = perf_counter()
        [metrics] = train_runs([Run(run, folder)], cache, Console(file=io.StringIO()))
        fit_seconds = perf_counter() - start
        if metrics["status"] != "done":
            raise RunFailed(f"{table.name}-{split.number}: {metrics['reason']}")
        network = mlplab.load(folder)
        start = perf_counter()
        predicted = network.predict_proba(test) if table.classes else network.predict(test)
        predict_seconds = perf_counter() - start
    if table.classes:
        predicted = predicted[:, np.argsort(network.classes.astype(str))]  # as the table has them
    return Outcome(predicted, fit_seconds, predict_seconds)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Each fit would repeat those about the table."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
