"""Are scores of new rows honest where rows are equal by chance?

chance    on random tables of few categories: whether the accuracy that `run.evaluate` gives for 1,000 new
          rows, alone and with half of the training rows, is within two standard errors of the true one, that
          of 50,000 other rows
  draw=200  tables
  seed=0    of the tables
"""

import math
from collections import Counter
from time import perf_counter
from typing import Annotated

import numpy as np
import polars as pl
from pydantic import Field

import mlplab
from benchmarks import harness

NEW, OTHERS = 1000, 50_000

FILES = ("new rows", "with training rows")

SMALL = ("model.hidden=[16]", "ensemble=1", "trainer.max_epochs=20", "baselines=[]", "logger=[]")


class Chance(harness.Benchmark):
    """The arguments of this benchmark."""

    draw: harness.Count = 200
    seed: Annotated[int, Field(ge=0)] = 0


class Population:
    """Two classes, and two to six columns of two to five categories that say something about them."""

    def __init__(self, source: np.random.Generator) -> None:
        self.source = source
        self.shares = [source.dirichlet(np.ones(source.integers(2, 6))) for _ in range(source.integers(2, 7))]
        self.weights = [source.normal(size=len(share)) for share in self.shares]

    def draw(self, rows: int) -> pl.DataFrame:
        """Draws rows."""
        codes = [self.source.choice(len(share), rows, p=share) for share in self.shares]
        score = 2 * sum(weight[code] for weight, code in zip(self.weights, codes, strict=True))
        is_yes = self.source.random(rows) < 1 / (1 + np.exp(-score))
        columns = {f"c{place}": [f"v{each}" for each in code] for place, code in enumerate(codes)}
        return pl.DataFrame({**columns, "y": np.where(is_yes, "yes", "no")})


def measure(arguments: Chance) -> None:
    """Counts the scores of each file by what they are called and how far off they are."""
    counts: dict[str, Counter[str]] = {file: Counter() for file in FILES}
    times = list[dict[str, float]]()
    for number in range(arguments.draw):
        start, source = perf_counter(), np.random.default_rng([arguments.seed, number])
        population = Population(source)
        table, new, others = map(population.draw, (int(source.integers(300, 2000)), NEW, OTHERS))
        run = mlplab.train(table, "y", overrides=SMALL, figures="none", progress=False)
        true = float(np.mean(np.asarray(run.predict(others)) == others["y"].to_numpy()))
        both = pl.concat([new, table[: len(table) // 2]])
        for file, frame in zip(FILES, (new, both), strict=True):
            counts[file][_kind(run.evaluate(frame), true)] += 1
        times.append({"seconds": perf_counter() - start})
    kinds = ["test, close", "test, off", "unchecked"]
    rows = {("accuracy", file): [str(count[kind]) for kind in kinds] for file, count in counts.items()}
    table_of_counts = harness.table_of(f"{arguments.draw} tables of few categories", kinds, rows)
    facts = {file: dict(count) for file, count in counts.items()}
    harness.report("chance", arguments, [table_of_counts], {("tables", "all"): harness.Times(times)}, **facts)


def _kind(scores: dict[str, float], true: float) -> str:
    if "test/accuracy" not in scores:
        return "unchecked"
    error = math.sqrt(true * (1 - true) / scores["rows"])
    return "test, close" if abs(scores["test/accuracy"] - true) <= 2 * error else "test, off"
