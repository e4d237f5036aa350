"""How the intervals of `quality what=intervals` are scored and compared."""

from itertools import product
from typing import Any

import numpy as np
import polars as pl

from benchmarks import harness
from benchmarks.quality_peers import LEVELS
from benchmarks.quality_tables import BenchmarkTable
from mlplab.conformal.intervals import interval_scores, mean_scores

SCORES = ("coverage", "width", "winkler")

POINTS, ERRORS = 0.02, 2
"""By how much the coverage of a table may be below the level; or by how many standard errors, if more."""


def metrics_of(table: BenchmarkTable, y: np.ndarray, bounds: np.ndarray) -> dict[str, Any]:
    """Coverage, mean width and Winkler score of each level, of bounds `[row, level, limit]`."""
    scores: dict[str, Any] = {}
    for place, level in enumerate(LEVELS):
        scores |= mean_scores(interval_scores(bounds[:, place, None], y[:, None], level), None, level)
    return scores


def summaries_of(scores: pl.DataFrame, base: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Means of each contender on each table; over tables, of widths and scores as ratios to the base's.

    `low` is the number of tables whose mean coverage over splits is below the level by more than `POINTS`,
    and by more than `ERRORS` standard errors.
    """
    names, low = [f"{name}_{level:g}" for name, level in product(SCORES, LEVELS)], list[pl.Expr]()
    for level in LEVELS:
        coverage = pl.col(f"coverage_{level:g}")
        error = (coverage.std() / pl.len().sqrt()).fill_null(0)
        short = level - coverage.mean() > pl.max_horizontal(POINTS, ERRORS * error)
        low.append(short.alias(f"low_{level:g}"))
    groups = scores.group_by("table", "contender", maintain_order=True)
    means = groups.agg(pl.col(*names, "fit", "predict").mean(), *low)
    of_base = pl.col(names[2:]).filter(contender=base).first().over("table")
    over_tables = means.with_columns((pl.col(names[2:]) / of_base).log()).group_by(
        "contender", maintain_order=True
    )
    averages = pl.col(*names[:2], "fit", "predict").mean(), pl.col(names[2:]).mean().exp()
    return means, over_tables.agg(*averages, pl.col("^low_.*$").sum())


def show(scores: pl.DataFrame, base: str) -> None:
    """Prints both summaries."""
    means, over_tables = summaries_of(scores, base)

    def cells(row: dict[str, Any], level: float, shown: dict[str, str]) -> list[str]:
        found = [text.format(row[f"{name}_{level:g}"]) for name, text in shown.items()]
        return [*found, harness.show_seconds(row["fit"])]

    of_tables = {"coverage": "{:.3f}", "width": "{:.4g}", "winkler": "{:.4g}"}
    by_table = {
        (row["table"], f"{row['contender']}, {level:g}"): cells(row, level, of_tables)
        for row, level in product(means.iter_rows(named=True), LEVELS)
    }
    harness.print_tables(harness.table_of("intervals", ["coverage", "width", "Winkler", "fit"], by_table))
    of_all = {"coverage": "{:.3f}", "low": f"{{}} of {means['table'].n_unique()}"}
    of_all |= {"width": "{:.3f}×", "winkler": "{:.3f}×"}
    summary = {
        (f"level {level:g}", row["contender"]): cells(row, level, of_all)
        for level, row in product(LEVELS, over_tables.iter_rows(named=True))
    }
    title = f"over tables: mean coverage, widths and Winkler scores relative to {base}'s (geometric means)"
    caption = "low: tables with a coverage of 2 points, and two standard errors, below the level"
    headers = ["coverage", "low", "width", "Winkler", "fit"]
    harness.print_tables(harness.table_of(title, headers, summary, caption))
