"""Contenders measured in turn, again and again, so that a slow minute of the machine hits them all."""

import gc
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from statistics import median
from time import perf_counter
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

Key = tuple[str | int, ...]
"""What was measured: `("2×64", "plain PyTorch loop")`."""


@dataclass(frozen=True)
class Times:
    """Repeated measurements of one thing, in seconds."""

    seconds: list[float]

    @property
    def median(self) -> float:
        """The middle one, which the tables show."""
        return median(self.seconds)

    @property
    def low(self) -> float:
        """The shortest."""
        return min(self.seconds)

    @property
    def high(self) -> float:
        """The longest."""
        return max(self.seconds)

    def spread(self) -> str:
        """Shortest to longest, for a table."""
        return f"{shown(self.low)} – {shown(self.high)}"


class Clock:
    """Adds up the seconds of parts.

    Attributes:
        seconds: by the name of the part.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, part: str, function: Callable[P, R]) -> Callable[P, R]:
        """A function whose seconds are added to a part."""

        @wraps(function)
        def run(*arguments: P.args, **named: P.kwargs) -> R:
            started = perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds[part] = self.seconds.get(part, 0.0) + perf_counter() - started

        return run


def alternate(contenders: Mapping[Key, Callable[[], float]], repeats: int) -> dict[Key, Times]:
    """Asks each contender for its seconds, one after another, `repeats` times; says so on stderr."""
    times: dict[Key, Times] = {key: Times([]) for key in contenders}
    for repeat in range(1, repeats + 1):
        for key, contender in contenders.items():
            gc.collect()
            seconds = contender()
            times[key].seconds.append(seconds)
            print(f"{repeat}/{repeats} {', '.join(map(str, key))}: {shown(seconds)}", file=sys.stderr)
    return times


def shown(seconds: float) -> str:
    """A duration in the unit that suits it: `1.23 ms`."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if abs(seconds) * factor >= 1:
            return f"{digits(seconds * factor)} {unit}"
    return f"{digits(seconds * 1e9)} ns"


def ratio(times: Times, base: Times) -> str:
    """How many times the median of `base` the median is."""
    return f"{digits(times.median / base.median)}×"


def digits(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
