"""What it costs to start a process for each stack, as submitit does, and not to keep it."""

from collections.abc import Callable
from functools import partial

from benchmarks.arguments import Benchmark, Count, Counts
from benchmarks.engines.sweep import Engine, Sweep
from benchmarks.machine import use_cores
from benchmarks.report import Report, grid
from benchmarks.timing import Key, Times, alternate, shown

KEPT: Engine = "local"

ENGINES: tuple[Engine, ...] = (KEPT, "submitit", "Ray")


class Start(Benchmark):
    """The arguments of this benchmark."""

    repeats: Count = 3
    stacks: Counts = (2, 8, 32, 64)
    epochs: Count = 5
    rows: Count = 1000


def measure(arguments: Start) -> Report:
    """Trains stacks of one small network with two workers, by each engine.

    Raises:
        UserError: if there are fewer than two cores.
    """
    use_cores(2)
    commands: dict[Key, Callable[[], float]] = {
        (engine, stacks): partial(
            Sweep(stacks, 1, arguments.epochs, arguments.rows, "[32,32]").seconds, engine, 2, nodes=2
        )
        for stacks in arguments.stacks
        for engine in ENGINES
    }
    times = alternate(commands, arguments.repeats)
    title = f"stacks of one network of 2 × 32 units, {arguments.rows:,} rows, {arguments.epochs} epochs"
    caption = "whole commands, two workers on two cores; added: to a stack, beside local"
    added = [f"{engine}: added" for engine in ENGINES[1:]]
    table = grid(title, "stacks", *ENGINES, *added, caption=caption)
    for stacks in arguments.stacks:
        kept = times[KEPT, stacks].seconds
        differences = [
            Times(
                [
                    (each - local) / stacks
                    for each, local in zip(times[engine, stacks].seconds, kept, strict=True)
                ]
            )
            for engine in ENGINES[1:]
        ]
        table.add_row(
            str(stacks),
            *(shown(times[engine, stacks].median) for engine in ENGINES),
            *(shown(each.median) for each in differences),
        )
    return Report(arguments, [table], times, {})
