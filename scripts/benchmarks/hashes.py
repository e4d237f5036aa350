"""Does a change of the code change any bit of the results?

hashes    of some 80 configurations (hash_cases.yaml): alone, in stacks, killed and resumed …: of weights,
          metrics, curves, films and predictions; with tree=, which differ: status 1 if any does, or if a run
          that was resumed differs from one that was not
  only=alone,stacks,ensembles,diverged,searches,continued,resumed,python   groups of them
"""

import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

import numpy as np
import polars as pl
from pydantic import BeforeValidator

from benchmarks import harness
from mlplab.console import plural
from mlplab.errors import RunFailed

Results = Mapping[str, Mapping[str, str]]  # of each run, the hash of each result by its name

Group = Literal["alone", "stacks", "ensembles", "diverged", "searches", "continued", "resumed", "python"]

ROWS = 320
ENDINGS = "-(killed|stopped)"  # of the names of runs that were resumed


class Hashes(harness.Benchmark):
    only: Annotated[tuple[Group, ...], BeforeValidator(harness.split)] = get_args(Group)


def measure(arguments: Hashes) -> None:
    """Hashes the results of each checkout, and prints what differs; raises RunFailed if anything does."""
    found: dict[str, Results] = {}
    for checkout in arguments.checkouts:
        print(f"{checkout.name}: trains for some minutes …", file=sys.stderr)
        write_tables(folder := harness.new_folder())
        found[checkout.name] = checkout.ask("hash_child.hashes", *arguments.only, folder=folder)
    ours, *others = found.values()
    lines = [line for name, results in found.items() for line in resumed_otherwise(name, results)]
    lines += [line for other in others for line in differing(ours, other)]
    print("\n".join([*lines, f"{plural(len(ours), 'run')}; all hashes: {arguments.write(found)}"]))
    if lines:
        raise RunFailed(f"{plural(len(lines), 'run')} differ")


def differing(ours: Results, others: Results) -> Iterator[str]:
    """A line for each run whose results differ, or that only one checkout has."""
    for run in sorted({*ours, *others}):
        one, other = ours.get(run, {}), others.get(run, {})
        if names := sorted(name for name in {*one, *other} if one.get(name) != other.get(name)):
            yield f"{run}: {', '.join(names)}"


def resumed_otherwise(checkout: str, results: Results) -> Iterator[str]:
    """A line for each run that was resumed and differs from the same run without a stop."""
    resumed = {run: found for run, found in results.items() if re.search(ENDINGS, run)}
    whole = {run: results[re.sub(ENDINGS, "", run)] for run in resumed}
    yield from (f"{checkout}, resumed: {line}" for line in differing(whole, resumed))


def write_tables(folder: Path) -> None:
    """Writes the tables: columns of all kinds with missing cells, beside one or two numbers, or classes."""
    for name in ("concrete", "penguins"):
        shutil.copy(harness.ROOT / f"src/mlplab/data/{name}.csv", folder)
    drawn = np.random.default_rng(0)
    x, days = drawn.normal(size=(ROWS, 4)), drawn.integers(0, 1500, (2, ROWS))
    towns = drawn.integers(0, 30, ROWS)
    y = 10 + 2 * x[:, 0] + 2 * np.sin(x[:, 1]) + towns % 3 + drawn.normal(size=ROWS) / 2  # above 0
    dates = np.datetime64("2020-01-01") + days.astype("timedelta64[D]")
    inputs = {
        **{"a": x[:, 0], "b": x[:, 1], "skewed": np.exp(2 * x[:, 2]), "count": days[0] % 5},
        "colour": drawn.choice(["red", "green", "blue"], ROWS),
        **{"town": [f"town {town}" for town in towns], "flag": x[:, 3] > 0, "since": dates[0]},
    }
    known = {name: pl.lit(pl.Series(drawn.random(ROWS) > 0.1)) for name in inputs}
    frame = pl.DataFrame(inputs).with_columns(pl.when(known[name]).then(name).alias(name) for name in inputs)
    shops = [f"shop {town % 12}" for town in towns]
    more = {"day": dates[1], "shop": shops, "weight": days[1] % 3}
    frame = frame.hstack(pl.DataFrame(more))
    targets = {
        "numbers": {"y": y},
        "targets": {"y": y, "z": x[:, 1] * x[:, 3]},
        "two": {"y": np.where(y > np.quantile(y, 0.7), "yes", "no")},
        "three": {"y": np.array(["low", "mid", "high"])[np.digitize(y, np.quantile(y, [0.4, 0.8]))]},
    }
    for name, columns in targets.items():
        frame.hstack(pl.DataFrame(columns)).write_csv(folder / f"{name}.csv")
