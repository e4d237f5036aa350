"""What a search costs apart from training: composing, checking, planning and remembering its trials."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal
from unittest.mock import patch

from optuna.samplers import BaseSampler

from benchmarks.arguments import Count, Reported
from benchmarks.machine import ROOT
from benchmarks.report import Report, grid
from benchmarks.search.command import MONITOR, SHAPE, search_words
from benchmarks.timing import Clock, Times
from mlplab.cli.search import train_trials
from mlplab.cli.train_command import train_command
from mlplab.data.cache import DataCache
from mlplab.errors import RunFailed
from mlplab.sweeps.search.study import build_sampler
from mlplab.sweeps.train_stack import Outcome, StackJob

CHOOSES = ("infer_relative_search_space", "sample_relative", "sample_independent")
"""What a sampler does for each trial."""


class Bookkeeping(Reported):
    """The arguments of this benchmark."""

    trials: Count = 10_000
    batch: Count = 16
    sampler: Literal["tpe", "random"] = "random"


def measure(arguments: Bookkeeping) -> Report:
    """Searches without training: a file with some error takes the place of each run."""
    clock = Clock()
    with TemporaryDirectory() as name:
        words = search_words(Path(name, "search"), arguments.trials, 1, 0, *SHAPE)
        words = [word for word in words if not word.startswith("sweep.sampler")]
        words += [f"sweep.sampler={arguments.sampler}", f"sweep.batch={arguments.batch}"]
        with _without_training(clock), patch.object(sys, "argv", words), redirect_stdout(StringIO()):
            try:
                train_command(ROOT / "conf", "train")
            except SystemExit as ended:
                if ended.code:
                    raise RunFailed(f"the search ended with status {ended.code}") from ended
    sampler = clock.seconds["sampler"]
    own = clock.seconds["search"] - sampler
    table = grid(f"bookkeeping of {arguments.trials:,} trials", "", "seconds", "ms a trial")
    for label, seconds in {"search": own, f"sampler ({arguments.sampler})": sampler}.items():
        table.add_row(label, f"{seconds:.4g}", f"{1000 * seconds / arguments.trials:.3g}")
    return Report(arguments, [table], {("search",): Times([own])}, clock.seconds)


@contextmanager
def _without_training(clock: Clock) -> Iterator[None]:
    def timed_sampler(*arguments: Any) -> BaseSampler:
        sampler = build_sampler(*arguments)
        for name in CHOOSES:
            setattr(sampler, name, clock.timed("sampler", getattr(sampler, name)))
        return sampler

    with (
        patch("mlplab.sweeps.engines.sweep_engine._train_here", _write_metrics),
        patch("mlplab.sweeps.search.study.build_sampler", timed_sampler),
        patch("mlplab.cli.search.train_trials", clock.timed("search", train_trials)),
        patch("mlplab.cli.search.finish"),
    ):
        yield


def _write_metrics(stacks: Sequence[StackJob], cache: DataCache) -> dict[Path, Outcome]:
    """In place of training: the error is the distance of the learning rate from 0.01."""
    outcomes: dict[Path, Outcome] = {}
    for run in (run for stack in stacks for run in stack.runs):
        metrics = {"status": "done", MONITOR: abs(float(run.config.optimizer.lr) - 0.01)}
        run.folder.mkdir(parents=True)
        (run.folder / "metrics.json").write_text(json.dumps(metrics))
        outcomes[run.folder] = metrics
    return outcomes
