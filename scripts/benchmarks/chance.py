"""Are scores of new rows honest where rows are equal by chance?

chance    on random tables of few categories: whether the accuracy that `run.evaluate` gives for 1,000 new
          rows, alone and with half of the training rows, is within two standard errors of the true one, that
          of 50,000 other rows
  draw=200 seed=0   tables
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

KINDS = ["test, close", "test, off", "unchecked"]

SMALL = ("model.hidden=[16]", "ensemble=1", "trainer.max_epochs=20", "baselines=[]", "logger=[]")


class Chance(harness.Benchmark):
    """The arguments of this benchmark."""

    draw: harness.Count = 200
    seed: Annotated[int, Field(ge=0)] = 0


def measure(arguments: Chance) -> None:
    """Counts the scores of each file by what they are called and how far off they are."""
    counts = {file: Counter[str]() for file in ("new rows", "with training rows")}
    times = list[dict[str, float]]()
    for number in range(arguments.draw):
        start, drawn = perf_counter(), np.random.default_rng([arguments.seed, number])
        table, new, others = tables_of(drawn)
        run = mlplab.train(table, "y", overrides=SMALL, figures="none", progress=False)
        true = float(np.mean(np.asarray(run.predict(others)) == others["y"].to_numpy()))
        both = pl.concat([new, table[: len(table) // 2]])
        for count, frame in zip(counts.values(), (new, both), strict=True):
            scores, kind = run.evaluate(frame), "unchecked"
            if "test/accuracy" in scores:
                error = math.sqrt(true * (1 - true) / scores["rows"])
                kind = KINDS[abs(scores["test/accuracy"] - true) > 2 * error]
            count[kind] += 1
        times.append({"seconds": perf_counter() - start})
    rows = {("accuracy", file): [str(count[kind]) for kind in KINDS] for file, count in counts.items()}
    table_of_counts = harness.table_of(f"{arguments.draw} tables of few categories", KINDS, rows)
    harness.report(arguments, [table_of_counts], {("tables", "all"): harness.Times(times)}, **counts)


def tables_of(drawn: np.random.Generator) -> list[pl.DataFrame]:
    """Two classes, and two to six columns of two to five categories that say something about them."""
    shares = [drawn.dirichlet(np.ones(drawn.integers(2, 6))) for _ in range(drawn.integers(2, 7))]
    weights, frames = [drawn.normal(size=len(share)) for share in shares], list[pl.DataFrame]()
    for rows in (int(drawn.integers(300, 2000)), NEW, OTHERS):
        codes = [drawn.choice(len(share), rows, p=share) for share in shares]
        score = 2 * sum(weight[code] for weight, code in zip(weights, codes, strict=True))
        is_yes = drawn.random(rows) < 1 / (1 + np.exp(-score))
        columns = {f"c{place}": [f"v{each}" for each in code] for place, code in enumerate(codes)}
        frames.append(pl.DataFrame({**columns, "y": np.where(is_yes, "yes", "no")}))
    return frames
