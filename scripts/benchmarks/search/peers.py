"""Seconds until a validation error is reached, from the start of a process: mlplab, and peers with Optuna.

All train the same network, on the same rows, with the same batches, epochs and optimizer, and search the same
ranges; scikit-learn has neither dropout nor Huber's loss.
"""

import json
import sys
from math import inf
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import time
from typing import Annotated

from pydantic import Field
from rich.table import Table

from benchmarks import ours
from benchmarks.child import answer, seconds_of
from benchmarks.report import Report, grid
from benchmarks.search import command
from benchmarks.search.compare import Searches
from benchmarks.search.folder import Curve, curve_of, trials_of
from benchmarks.search.peer import Pruner, Task
from benchmarks.timing import digits, shown
from mlplab.data.cache import DataCache

OURS = "mlplab"

PEERS = {"scikit-learn with Optuna": "sklearn_peer", "Lightning with Optuna": "lightning_peer"}
"""And the modules that search so."""

SAME = (
    *("optimizer=adamw", "optimizer.betas=[0.9,0.999]", "optimizer.weight_averaging=false"),
    *("scheduler=constant", "baselines=[]", *command.SHAPE),
)
"""What the peers do too."""

Positive = Annotated[float, Field(gt=0)]


class Peers(Searches):
    """The arguments of this benchmark.

    Attributes:
        tolerance: by which the error to reach is above the median of mlplab's, as a part of it.
        target: this error instead; mlplab does not search then.
        cap: seconds after which a peer is stopped.
        pruner: of the peers.
    """

    tolerance: Annotated[float, Field(ge=0)] = 0.01
    target: Positive | None = None
    cap: Positive = 300
    pruner: Pruner = "none"


def measure(arguments: Peers) -> Report:
    """Searches with mlplab first, since its errors are what the peers are to reach."""
    seeds = range(arguments.repeats)
    curves: dict[str, list[Curve]] = {}
    if arguments.target is None:
        curves[OURS] = [_noted(OURS, seed, _ours(arguments, seed)) for seed in seeds]
    target = arguments.target or target_of(curves[OURS], arguments.tolerance)
    curves |= {name: [] for name in PEERS}
    with TemporaryDirectory() as folder:
        task = _task(arguments, Path(folder, "rows.npz"), target)
        for seed in seeds:
            for name in [*PEERS][:: -1 if seed % 2 else 1]:
                own = task._replace(seed=seed, end=time() + arguments.cap)
                curves[name].append(_noted(name, seed, _peer(PEERS[name], own)))
    facts = {"target": target, "best so far": curves}
    return Report(arguments, [_table(arguments, target, curves)], {}, facts)


def target_of(curves: list[Curve], tolerance: float) -> float:
    """The median of the lowest errors, and a little more."""
    return median(curve[-1][1] for curve in curves) * (1 + tolerance)


def seconds_to(target: float, curve: Curve) -> float:
    """When a curve reaches an error; infinite if it does not."""
    return next((seconds for seconds, error in curve if error <= target), inf)


def _task(arguments: Peers, path: Path, target: float) -> Task:
    """What the peers search; writes the file of their rows."""
    run = ours.config(*SAME)
    data = DataCache().data(run)
    ours.rows_of(run).save(path)
    return Task(
        rows=str(path),
        unit=float(data.table.y[data.split.train, 0].astype(float).std()),
        target=target,
        end=inf,
        epochs=arguments.epochs,
        seed=0,
        pruner=arguments.pruner,
    )


def _ours(arguments: Peers, seed: int) -> Curve:
    with TemporaryDirectory() as name:
        sweep = Path(name, "sweep")
        sizes, batch = (arguments.trials, arguments.epochs, seed), f"sweep.batch={arguments.batch}"
        start = time()
        seconds_of("the search", *command.search_words(sweep, *sizes, batch, *SAME))
        return _since(start, curve_of(trials_of(sweep)))


def _peer(module: str, task: Task) -> Curve:
    start = time()
    found = answer(f"search.{module}", json.dumps(task._asdict()), folder=Path(task.rows).parent)
    return _since(start, found["curve"])


def _since(start: float, curve: Curve) -> Curve:
    return [(moment - start, error) for moment, error in curve]


def _noted(name: str, seed: int, curve: Curve) -> Curve:
    seconds, error = curve[-1] if curve else (inf, inf)
    print(f"seed {seed}, {name}: {command.MONITOR} {error:.4g} after {seconds:.3g} s", file=sys.stderr)
    return curve


def _table(arguments: Peers, target: float, curves: dict[str, list[Curve]]) -> Table:
    title = f"seconds until {command.MONITOR} {target:.4g} on concrete, imports included"
    caption = f"medians over seeds; at most {arguments.cap:g} s, {arguments.epochs} epochs a trial"
    columns = ("median", "min", "max", "ratio", "reached", f"lowest {command.MONITOR}", "complete trials")
    table = grid(title, "", *columns, caption=caption)
    base = median(seconds_to(target, curve) for curve in next(iter(curves.values())))
    for name, own in curves.items():
        seconds = [seconds_to(target, curve) for curve in own]
        middle = median(seconds)
        table.add_row(
            name,
            *(_shown(each) for each in (middle, min(seconds), max(seconds))),
            "–" if inf in (middle, base) else f"{digits(middle / base)}×",
            f"{sum(each < inf for each in seconds)} of {len(seconds)}",
            f"{median(curve[-1][1] if curve else inf for curve in own):.4g}",
            f"{median(map(len, own)):g}",
        )
    return table


def _shown(seconds: float) -> str:
    return "not" if seconds == inf else shown(seconds)
