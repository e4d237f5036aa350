"""What a second worker on a second core saves."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Annotated

from pydantic import Field

from benchmarks.arguments import Benchmark, Count
from benchmarks.engines.sweep import Engine, Sweep
from benchmarks.machine import use_cores
from benchmarks.report import Report, grid
from benchmarks.timing import Key, Times, alternate, digits, shown

ENGINES: tuple[Engine, ...] = ("local", "submitit", "Ray")

CALIBRATION = 20
"""Epochs that show how long one takes."""


class Speedup(Benchmark):
    """The arguments of this benchmark."""

    repeats: Count = 1
    minutes: Annotated[float, Field(gt=0)] = 5
    stacks: Count = 16
    members: Count = 8
    rows: Count = 5000


def measure(arguments: Speedup) -> Report:
    """Trains a sweep with one worker and with two, by each engine.

    Raises:
        UserError: if there are fewer than two cores.
    """
    use_cores(2)
    sweep = _calibrated(
        Sweep(arguments.stacks, arguments.members, 1, arguments.rows, "[64,64]"), 60 * arguments.minutes
    )
    commands: dict[Key, Callable[[], float]] = {
        (engine, workers): partial(sweep.seconds, engine, workers, nodes=2)
        for engine in ENGINES
        for workers in (1, 2)
    }
    times = alternate(commands, arguments.repeats)
    title = (
        f"{sweep.stacks} stacks of {sweep.members} networks of 2 × 64 units, {sweep.rows:,} rows, "
        f"{sweep.epochs} epochs"
    )
    caption = "whole commands on two cores; local with one worker trains in its own process"
    table = grid(title, "engine", "1 worker", "2 workers", "speed-up", "min – max", caption=caption)
    for engine in ENGINES:
        one, two = times[engine, 1], times[engine, 2]
        ratios = Times([first / second for first, second in zip(one.seconds, two.seconds, strict=True)])
        span = f"{digits(ratios.low)} – {digits(ratios.high)}"
        table.add_row(engine, shown(one.median), shown(two.median), f"{digits(ratios.median)}×", span)
    return Report(arguments, [table], times, {"epochs": sweep.epochs})


def _calibrated(sweep: Sweep, seconds: float) -> Sweep:
    """With as many epochs as one worker trains in that time."""
    one = replace(sweep, epochs=1).seconds("local", 1)
    more = replace(sweep, epochs=1 + CALIBRATION).seconds("local", 1)
    return replace(sweep, epochs=1 + round(CALIBRATION * max(0.0, seconds - one) / (more - one)))
