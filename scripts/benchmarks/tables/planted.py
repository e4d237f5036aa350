"""Tables in which a column `leak` contains the target `y`, or whose rows are in the order of time."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

Values = np.ndarray | Sequence[object]

DAY = 86_400

LOST, FILLED_BY_CHANCE = 0.02, 0.001


def _frame(drawn: np.random.Generator, y: np.ndarray, **more: Values) -> pl.DataFrame:
    """Three columns of noise, one of categories, more columns, and the target; true and false are classes."""
    target = np.where(y, "yes", "no") if y.dtype == np.bool_ else y
    noise = {f"x{number}": drawn.normal(size=len(y)) for number in range(3)}
    return pl.DataFrame(
        noise | {"colour": drawn.choice(["red", "green", "blue"], len(y))} | more | {"y": target}
    )


def _only(kept: np.ndarray, values: np.ndarray) -> list[object]:
    return [value if is_kept else None for is_kept, value in zip(kept, values.tolist(), strict=True)]


def leaks() -> Iterator[tuple[str, pl.DataFrame]]:
    """Fifteen tables with a column that contains the target, and their names."""
    drawn = np.random.default_rng(0)
    for rows, share, filled in (
        *((1000, 0.25, 0.95), (1000, 0.25, 0.97), (600, 0.4, 0.96), (1500, 0.5, 0.95)),
        *((4000, 0.05, 0.97), (2000, 0.1, 0.98), (3000, 0.3, 0.99)),
    ):
        y = drawn.random(rows) < share
        kept = drawn.random(rows) < np.where(y, filled, FILLED_BY_CHANCE)
        leak = drawn.choice(["a", "b", "c"], rows) if share == 0.3 else drawn.normal(size=rows)
        yield f"filled for {filled:.0%} of {share:.0%}", _frame(drawn, y, leak=_only(kept, leak))
    for rows, noise in ((300, 0.02), (1000, 0.05), (5000, 0.07)):
        number = drawn.normal(size=rows) + drawn.gamma(2, size=rows)
        leak = number + noise * number.std() * drawn.normal(size=rows)
        yield f"number with noise of {noise:.0%}", _frame(drawn, number, leak=leak)
    number = drawn.gamma(1, size=2000)
    leak = 3 * np.log(number) + 0.1 * drawn.normal(size=2000)
    yield "logarithm, some missing", _frame(drawn, number, leak=_only(drawn.random(2000) > 0.002, leak))
    for rows, classes in ((800, 2), (3000, 5)):
        state = drawn.integers(classes, size=rows)
        late = np.where(drawn.random(rows) < 0.01, drawn.integers(classes, size=rows), state)
        leak = np.array([f"state {number}" for number in late])
        y = state == 1 if classes == 2 else np.array([f"class {number}" for number in state])
        yield f"late category of {classes} classes", _frame(drawn, y, leak=leak)
    for rows, share, lost in ((1000, 0.3, 0.0), (3000, 0.04, LOST)):
        y = drawn.random(rows) < share
        leak = drawn.normal(size=rows) + (3.4 + 30 * lost) * y
        name = f"score of {share:.0%}, {lost:.0%} missing"
        yield name, _frame(drawn, y, leak=_only(drawn.random(rows) >= lost, leak))


def _days(rows: int, seconds: int = DAY) -> np.ndarray:
    return np.datetime64("2020-01-01", "us") + 1_000_000 * seconds * np.arange(rows)


def _series(drawn: np.random.Generator, rows: int, memory: float = 1.0) -> np.ndarray:
    """An autoregressive series; of memory 1, a random walk."""
    y = np.zeros(rows)
    for row, step in enumerate(drawn.normal(size=rows - 1), 1):
        y[row] = memory * y[row - 1] + step
    return y


def times() -> Iterator[tuple[str, pl.DataFrame]]:
    """Fifteen tables of series, and their names."""
    drawn = np.random.default_rng(1)
    year, week = (2 * np.pi * np.arange(1500) / days for days in (365.25, 7))
    series = {
        **{f"random walk of {rows:,}": _series(drawn, rows) for rows in (250, 1000, 4000)},
        **{f"memory of {memory}": _series(drawn, 1500, memory) for memory in (0.9, 0.95, 0.97)},
        "season and trend": 3 * np.sin(year) + year / 2 + _series(drawn, 1500, 0.95),
        "week": 2 * np.sin(week) + _series(drawn, 1500, 0.97),
        "two regimes": np.cumsum(drawn.random(1500) < 0.03) % 2 == 1,
    }
    for name, y in series.items():
        frame = _frame(drawn, y, date=_days(len(y)))
        yield name, frame
        if name in ("random walk of 1,000", "memory of 0.95", "season and trend"):
            yield f"{name}, shuffled", frame.sample(fraction=1, shuffle=True, seed=0)
    firms = np.repeat([f"firm {number}" for number in range(12)], 120)
    y = np.concatenate([10 * drawn.normal() + _series(drawn, 120) for _ in range(12)])
    panel = _frame(drawn, y, firm=firms, month=np.tile(_days(120, 30 * DAY), 12))
    yield "panel", panel
    yield "panel, shuffled", panel.sample(fraction=1, shuffle=True, seed=0)
    yield "no date", _frame(drawn, _series(drawn, 1000), a=_series(drawn, 1000), b=_series(drawn, 1000))
