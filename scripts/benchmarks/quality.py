"""How good are the defaults?

quality   test errors and seconds of a fit; beside scikit-learn, boosters, RealMLP and TabM by default
  what=intervals coverage, width and Winkler score of intervals (levels 0.8 and 0.9), beside MAPIE and crepes
  tables=real    draw=50 draw_seed=36: so many tables of R's packages
  tables=development   those that settings are chosen on; only= includes large ones
  tables=codes   with users, schools, firms: to choose settings on; other_codes: to judge by
  tables=other_classes   of several classes or many rows: to judge by; few_letters: columns of few categories
  tables=late    functions that are learned late; noise: nothing to be learned
  tables=FOLDER  NAME.csv, target last, and splits/NAME-0.txt, … with `test` or another word for each row
  splits=1       of each table that is listed or drawn
  only=NAME,NAME of these tables; default: tables of mlplab and scikit-learn, five folds
  contenders=mlplab,constant,linear,mlp,boosting,xgboost,lightgbm,catboost,realmlp,tabm
                 default: installed ones but tabm. Of intervals: mlplab,mapie,crepes. none: variants alone
  variants='wide: model.hidden=[512,512]; searched: sweep=mlp sweep.minutes=3'   mlplab with such overrides
  repeats=1      seeds of mlplab and of the networks among the peers
  output=FILE    gets a line for each score; those that it has are not measured again
"""

import json
import sys
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
from sklearn.metrics import log_loss, root_mean_squared_error

from benchmarks import harness, quality_peers, quality_tables
from benchmarks.quality_peers import LEVELS
from benchmarks.quality_tables import BenchmarkTable
from mlplab.config.types import Text
from mlplab.conformal.intervals import interval_scores, mean_scores
from mlplab.console import print_line
from mlplab.errors import Fault, UserError, listed

OURS, FOLDS = "mlplab", 5
CALIBRATION_BINS = 15  # bins of the confidence
LISTED = ("development", "codes", "other_codes", "other_classes", "few_letters", "late", "noise")
BOOSTERS = ("xgboost", "lightgbm", "catboost")
TIE = 0.005  # errors that differ by less, relative to the smaller one, count half for either
POINTS, ERRORS = 0.02, 2  # coverage is low if it is below the level by more, and by more standard errors

Fit = Callable[[BenchmarkTable, np.ndarray, int], tuple[np.ndarray, float, float]]
"""Given the rows for testing and a seed: predictions, and the seconds of the fit and of the prediction."""

Contenders = dict[str, tuple[Fit, Sequence[str], int]]  # what fits each, its overrides, its number of seeds
NUMBERS = ("level", "error", "accuracy", "calibration", "coverage", "width", "fit", "predict")
SCHEMA = dict.fromkeys(("table", "contender", "task"), pl.String) | dict.fromkeys(NUMBERS, pl.Float64)

COLUMNS = {  # of each table, and over tables
    "predictions": ("error ratio accuracy calibration fit", "ratio ± rank boosters won beaten fit predict"),
    "intervals": ("coverage width error fit", "coverage low width ratio fit"),
}

CAPTIONS = {
    "predictions": "error: RMSE of numbers, log loss of classes; calibration: its error; ±: a standard "
    "error; boosters: relative to the best of XGBoost, LightGBM and CatBoost; won: tables with lower "
    f"errors than theirs; beaten: by {OURS}, share of tables; differences below 0.5 % count half",
    "intervals": "error: the Winkler score; low: tables whose coverage is 2 points, and two standard errors, "
    "below the level",
}


class Quality(harness.Benchmark):
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
    contenders, base = _contenders(arguments), quality_peers.BASE[arguments.what]
    base = base if base in contenders else next(iter(contenders))
    summaries = summaries_of([*_measured(arguments, contenders)], base)
    titles = ("scores by table", f"over tables: ratios to {base}'s are geometric means, other columns means")
    for title, columns, frame in zip(titles, COLUMNS[arguments.what], summaries, strict=True):
        names, rows = columns.split(), dict[harness.Key, list[str]]()
        for row in frame.iter_rows(named=True):
            rows[row[frame.columns[0]], row["contender"]] = [_cell(name, row[name]) for name in names]
        harness.print_tables(harness.table_of(title, names, rows))
    harness.print_tables(CAPTIONS[arguments.what])
    print_line(Console(), f"all scores: {arguments.file('jsonl')}")


def _cell(name: str, value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return harness.show_seconds(value) if name in ("fit", "predict") else f"{value:.4g}"


def _measured(arguments: Quality, contenders: Contenders) -> Iterator[dict[str, Any]]:
    """The scores of each contender for each table, split and seed; measures those that the file lacks."""
    of_intervals, path, here = arguments.what == "intervals", arguments.file("jsonl"), harness.machine()
    metrics_of = interval_metrics_of if of_intervals else metrics_of_predictions
    known = known_scores(path)
    for table in _tables(arguments):
        for test in table.tests if not (of_intervals and table.classes) else ():
            of_split = {"table": table.name, "hash": table.digest(test)}
            of_split |= {"what": "intervals"} if of_intervals else {}
            for name, (fit, words, seeds) in contenders.items():
                for seed in range(seeds):
                    about = of_split | {"contender": name, "words": words, "seed": seed}
                    score = known.get(json.dumps(about))
                    if score is None:
                        predicted, *seconds = fit(table, test, seed)
                        score = metrics_of(table, table.y[test], predicted)
                        shown = f"{table.name}, {name}: {next(iter(score.values())):.4g}"
                        score |= dict(zip(("fit", "predict"), seconds, strict=True))
                        with path.open("a", encoding="utf-8") as file:
                            line = {"of": about, "score": score, "machine": here}
                            print(json.dumps(line), file=file)
                        print(shown, file=sys.stderr)
                    yield about | score | ({"task": table.group} if table.group else {})


def known_scores(path: Path) -> dict[str, dict[str, Any]]:
    """The scores of a file by what they are of, as JSON; raises UserError if a line is not a score."""
    scores = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines() if path.exists() else [], 1):
        try:
            score = json.loads(line)
            scores[json.dumps(score["of"])] = score["score"]
        except (ValueError, TypeError, KeyError):
            remedy = "delete this line, or give another file: output=…"
            raise UserError(Fault("is not a score", f"{path}, line {number}", remedy=remedy)) from None
    return scores


def _tables(arguments: Quality) -> Iterable[BenchmarkTable]:
    if arguments.tables in LISTED:
        return quality_tables.listed_tables(arguments.tables, arguments.only, arguments.splits)
    if arguments.tables == "real":
        tasks = ("numbers",) if arguments.what == "intervals" else ("numbers", "classes")
        tables = quality_tables.real_tables(arguments.draw, arguments.draw_seed, arguments.splits, tasks)
    elif arguments.tables:
        tables = quality_tables.tables_of(Path(arguments.tables))
    else:
        tables = quality_tables.bundled_tables(FOLDS)
    by_name = {table.name: table for table in tables}
    return [by_name[name] for name in quality_tables.chosen(by_name, arguments.only)]


def _contenders(arguments: Quality) -> Contenders:
    """This project, its variants, and the peers; raises UserError if one does not exist or is missing."""
    wanted, packages = arguments.contenders, quality_peers.PACKAGES[arguments.what]
    if unknown := [name for name in wanted or () if name not in (OURS, *packages)]:
        expected = f"some of {listed((OURS, *packages), 20)}"
        raise UserError(Fault("no such contender", "contenders", listed(unknown), expected))
    checkouts = arguments.checkouts if wanted is None or OURS in wanted else []
    ours: list[tuple[str, harness.Checkout, Sequence[str]]] = [(tree.name, tree, ()) for tree in checkouts]
    ours += [(f"{OURS} {name}", arguments.checkouts[0], of) for name, of in arguments.variants.items()]
    contenders: Contenders = {}
    for name, tree, words in ours:
        contenders[name] = partial(_fit_ours, tree, words, arguments.what), words, arguments.repeats
    for peer, package in packages.items():
        if wanted is not None and peer in wanted:
            harness.needs(package)
        if (peer not in quality_peers.SLOW if wanted is None else peer in wanted) and find_spec(package):
            seeds = arguments.repeats if peer in quality_peers.SEEDED else 1
            contenders[peer] = (partial(quality_peers.fit_peer, peer), (), seeds)
    return contenders


def _fit_ours(
    tree: harness.Checkout,
    words: Sequence[str],
    what: str,
    table: BenchmarkTable,
    test: np.ndarray,
    seed: int,
) -> tuple[np.ndarray, float, float]:
    """Trains without baselines; the seconds are those of `metrics.json`, or of the process of a search."""
    target = json.dumps(table.frame.columns[-1], ensure_ascii=False)
    searched = any(word.startswith("sweep") for word in words)
    words = (
        *("data=csv", "data.path=table.csv", f"data.target=[{target}]", "data/split=file", f"seed={seed}"),
        *("data.split.path=split.txt", "trainer.accelerator=cpu", "baselines=[]", "figures=none", *words),
    )
    where = ("-m", "hydra.sweep.dir=run") if searched else ("hydra.run.dir=run",)
    with TemporaryDirectory() as name:
        folder, run = Path(name), Path(name, "run")
        table.frame.write_csv(folder / "table.csv")
        (folder / "split.txt").write_text("\n".join(np.where(test, "test", "train")), encoding="utf-8")
        table.frame.filter(test).write_parquet(folder / "test.parquet")
        seconds = tree.run("train.py", *where, *words, folder=folder)
        if searched:
            run /= yaml.safe_load((run / "best.yaml").read_text(encoding="utf-8"))["trial"]
        else:
            seconds = json.loads((run / "metrics.json").read_bytes())["seconds"]
        answer = tree.ask("child.rows", str(run), "test.parquet", "predicted.npy", what, folder=folder)
        return np.load(folder / "predicted.npy"), seconds, answer["seconds"]


def metrics_of_predictions(table: BenchmarkTable, y: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """RMSE of numbers; log loss, accuracy and calibration error of classes."""
    if not table.classes:
        error = float(root_mean_squared_error(y, predicted))
        return {"error": error, "task": "numbers", "accuracy": None, "calibration": None}
    p = predicted / predicted.sum(1, keepdims=True)
    confidence, right = p.max(1), p.argmax(1) == y
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    calibration = float(np.abs(np.bincount(bins, confidence - right)).sum() / len(y))
    error = float(log_loss(y, p, labels=range(len(table.classes))))
    return {"error": error, "task": "classes", "accuracy": float(right.mean()), "calibration": calibration}


def interval_metrics_of(table: BenchmarkTable, y: np.ndarray, bounds: np.ndarray) -> dict[str, Any]:
    """Coverage, mean width and Winkler score of each level, of bounds `[row, level, limit]`."""
    scores: dict[str, Any] = {}
    for place, level in enumerate(LEVELS):
        scores |= mean_scores(interval_scores(bounds[:, place, None], y[:, None], level), None, level)
    return scores


def rows_of(score: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for `summaries_of`; of intervals, one for each level, as if it were another table."""
    if "error" in score:
        yield score
    for level in () if "error" in score else LEVELS:
        of = {"table": f"{score['table']}, {level:g}", "task": f"level {level:g}", "level": level}
        names = {"coverage": "coverage", "width": "width", "error": "winkler"}
        yield score | of | {name: score[f"{key}_{level:g}"] for name, key in names.items()}


def summaries_of(scores: Iterable[dict[str, Any]], base: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Means of each contender on each table; and over those of numbers, of classes, all, or of a level."""
    error, contender, coverage = pl.col("error"), pl.col("contender"), pl.col("coverage")
    groups = pl.DataFrame([row for score in scores for row in rows_of(score)], SCHEMA).group_by(
        "table", "contender", "task", maintain_order=True
    )
    spread = (coverage.std() / pl.len().sqrt()).fill_null(0)
    low = pl.col("level").first() - coverage.mean() > pl.max_horizontal(POINTS, ERRORS * spread)
    means = groups.agg(pl.col(NUMBERS).mean(), low=low)

    def ratio(others: Sequence[str], of: pl.Expr = error) -> pl.Expr:
        return of / of.filter(contender.is_in(others)).min().over("table")

    means = means.with_columns(
        ratio=ratio([base]),
        widths=ratio([base], pl.col("width")),
        rank=error.rank().over("table"),
        boosters=ratio(BOOSTERS),
        ours=ratio([OURS]),
    ).with_columns(
        won=pl.when(~contender.is_in(BOOSTERS)).then(_beats(1 / pl.col("boosters"))),
        beaten=pl.when(contender != OURS).then(_beats(pl.col("ours"))),
    )
    has_all = means["task"].n_unique() > 1 and means["level"].is_null().all()
    parts = [means, means.with_columns(task=pl.lit("all"))] if has_all else [means]
    return means, pl.concat(parts).group_by("task", "contender", maintain_order=True).agg(
        pl.col("ratio", "boosters").log().mean().exp(),
        (pl.col("ratio").log().std() / pl.len().sqrt()).alias("±"),
        pl.when(pl.col("won").count() > 0).then(pl.col("won").sum()),
        pl.col("rank", "beaten", "coverage", "fit", "predict").mean(),
        width=pl.col("widths").log().mean().exp(),
        low=pl.format("{} of {}", pl.col("low").sum(), pl.len()),
    )


def _beats(ratio: pl.Expr) -> pl.Expr:
    """1 where the error of another is larger, by this ratio; a half if they are almost equal."""
    return pl.when(ratio > 1 + TIE).then(1.0).when(1 / ratio > 1 + TIE).then(0.0).when(ratio > 0).then(0.5)
