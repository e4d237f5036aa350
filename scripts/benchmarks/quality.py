"""How good the defaults are for classes: scikit-learn's bundled tables, cross-validated, beside scikit-learn.

All are tested on the same rows. The networks of mlplab use a part of the other rows for validation; the peers
are fitted to all of them.
"""
# mypy: disable-error-code="import-untyped,import-not-found"

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float64, Int64
from rich.table import Table
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.arguments import Benchmark, Count
from benchmarks.machine import ROOT
from benchmarks.report import Report, grid
from mlplab.errors import RunFailed

LOADERS = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
}
OURS, UNSCALED, PEER = "mlplab", "mlplab at temperature 1", "MLPClassifier"
BASELINES = {"boosting": "gradient boosting", "linear": "logistic regression", "constant": "class shares"}

Scores = dict[str, dict[str, list[float]]]
"""Test scores by contender and metric, one for each fold and seed."""


class Quality(Benchmark):
    """The arguments of this benchmark."""

    repeats: Count = 1
    output: str = "outputs/benchmarks/quality.json"
    folds: Count = 5
    seeds: Count = 2
    overrides: str = ""


def measure(arguments: Quality) -> Report:
    """Scores every contender on every table."""
    found: dict[str, Scores] = {}
    for name, load in LOADERS.items():
        data = load()
        found[name] = _scores(arguments, data.data.astype(np.float64), data.target)
    means = {
        name: {
            contender: {metric: float(np.mean(values)) for metric, values in of_metrics.items()}
            for contender, of_metrics in scores.items()
        }
        for name, scores in found.items()
    }
    return Report(arguments, [_table(arguments, means)], {}, {"means": means})


def _scores(arguments: Quality, x: Float64[np.ndarray, "row column"], y: Int64[np.ndarray, " row"]) -> Scores:
    scores: Scores = {}
    with TemporaryDirectory() as folder:
        for metrics, test in _runs(arguments, Path(folder), x, y):
            probabilities = test.select(pl.selectors.starts_with("probability_")).to_numpy()
            rows = test["row"].to_numpy() - 1
            at_one = probabilities.clip(1e-300) ** metrics["temperature"]
            at_one /= at_one.sum(1, keepdims=True)
            _add(scores, UNSCALED, y[rows], at_one)
            for contender, prefix in ((OURS, ""), *((name, f"{key}/") for key, name in BASELINES.items())):
                if f"{prefix}test/log_loss" in metrics:
                    for metric in ("log_loss", "accuracy", "calibration_error"):
                        of_metric = scores.setdefault(contender, {}).setdefault(metric, [])
                        of_metric.append(metrics[f"{prefix}test/{metric}"])
            train = np.setdiff1d(np.arange(len(y)), rows)
            _add(scores, PEER, y[rows], _peer(x[train], y[train], x[rows], seed=metrics["seed"]))
    return scores


def _runs(
    arguments: Quality, folder: Path, x: Float64[np.ndarray, "row column"], y: Int64[np.ndarray, " row"]
) -> Iterator[tuple[Mapping[str, Any], pl.DataFrame]]:
    """The metrics and the predicted test rows of each run of a sweep over folds and seeds."""
    pl.DataFrame(x).with_columns(target=pl.Series(y)).write_csv(folder / "table.csv")
    command = [
        str(ROOT / "scripts" / "train.py"),
        "-m",
        *("data=csv", f"data.path={folder / 'table.csv'}", "data.target=target", "task=multiclass"),
        *("data/split=kfold", f"data.split.folds={arguments.folds}"),
        f"data.split.fold=range({arguments.folds})",
        f"seed=range({arguments.seeds})",
        f"hydra.sweep.dir={folder / 'runs'}",
        *arguments.overrides.split(),
    ]
    ended = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise RunFailed(f"train.py ended with status {ended.returncode}:\n{ended.stderr.strip()}")
    for path in sorted((folder / "runs").rglob("metrics.json")):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        seed = int(path.parent.name.partition("seed=")[2].partition(",")[0] or 0)
        yield {**metrics, "seed": seed}, pl.read_csv(path.with_name("test_predictions.csv"))


def _peer(
    x: Float64[np.ndarray, "row column"],
    y: Int64[np.ndarray, " row"],
    test: Float64[np.ndarray, "test column"],
    *,
    seed: int,
) -> Float64[np.ndarray, "test class"]:
    """scikit-learn's network with standardised inputs, with which it is better than without."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = make_pipeline(StandardScaler(), MLPClassifier(random_state=seed)).fit(x, y)
    return model.predict_proba(test)


def _add(
    scores: Scores, contender: str, y: Int64[np.ndarray, " row"], p: Float64[np.ndarray, "row class"]
) -> None:
    of_contender = scores.setdefault(contender, {})
    values = {
        "log_loss": log_loss(y, p, labels=range(p.shape[1])),
        "accuracy": accuracy_score(y, p.argmax(1)),
        "calibration_error": _calibration_error(y, p),
    }
    for metric, value in values.items():
        of_contender.setdefault(metric, []).append(float(value))


def _calibration_error(y: Int64[np.ndarray, " row"], p: Float64[np.ndarray, "row class"]) -> float:
    """Over 15 equal bins of the confidence."""
    confidence, gap = p.max(1), p.max(1) - (p.argmax(1) == y)
    bins = np.minimum((confidence * 15).astype(int), 14)
    return float(np.abs(np.bincount(bins, gap)).sum() / len(y))


def _table(arguments: Quality, means: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table:
    title = f"test scores, means over {arguments.folds} folds and {arguments.seeds} seeds"
    table = grid(
        title, "table", "contender", "log-loss", "of MLPClassifier's", "accuracy", "calibration error"
    )
    for name, by_contender in means.items():
        for contender in (OURS, UNSCALED, PEER, *BASELINES.values()):
            if contender in by_contender:
                scores = by_contender[contender]
                table.add_row(
                    name,
                    contender,
                    f"{scores['log_loss']:.4f}",
                    f"{scores['log_loss'] / by_contender[PEER]['log_loss']:.2f}",
                    f"{scores['accuracy']:.4f}",
                    f"{scores['calibration_error']:.4f}",
                )
        table.add_section()
    ratios = [each[OURS]["log_loss"] / each[PEER]["log_loss"] for each in means.values()]
    table.add_row("mean ratio", OURS, "", f"{np.mean(ratios):.2f}", "", "")
    return table
