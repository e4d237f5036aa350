"""What engines add to a sweep on one core, where they can save nothing."""

from collections.abc import Callable
from functools import partial

from benchmarks.arguments import Benchmark, Count
from benchmarks.engines.sweep import Engine, Sweep
from benchmarks.report import Report, grid
from benchmarks.timing import Key, Times, alternate, shown

HERE = "in its own process"

ENGINES: dict[str, tuple[Engine, int]] = {
    HERE: ("local", 1),
    "local, 2 processes": ("local", 2),
    "submitit, 1 worker": ("submitit", 1),
    "Ray, 1 worker": ("Ray", 1),
    "Ray, 1 worker, and its start": ("Ray, started", 1),
}
"""Engines and their number of workers. With one worker, `local` is no engine."""


class Overhead(Benchmark):
    """The arguments of this benchmark."""

    repeats: Count = 5
    stacks: Count = 2
    members: Count = 32
    epochs: Count = 20
    rows: Count = 5000


def measure(arguments: Overhead) -> Report:
    """Trains the same sweep by each engine, on the core that the benchmark is bound to."""
    sweep = Sweep(arguments.stacks, arguments.members, arguments.epochs, arguments.rows, "[64,64]")
    commands: dict[Key, Callable[[], float]] = {
        (name,): partial(sweep.seconds, engine, workers) for name, (engine, workers) in ENGINES.items()
    }
    times = alternate(commands, arguments.repeats)
    title = f"{sweep.stacks} stacks of {sweep.members} networks of 2 × 64 units, {sweep.epochs} epochs"
    table = grid(title, "", "seconds", "added", "min – max", caption="whole commands on one core")
    for (name,), each in times.items():
        pairs = zip(each.seconds, times[HERE,].seconds, strict=True)
        added = Times([seconds - here for seconds, here in pairs])
        figures = ("", "") if name == HERE else (shown(added.median), added.spread())
        table.add_row(str(name), shown(each.median), *figures)
    return Report(arguments, [table], times, {})
