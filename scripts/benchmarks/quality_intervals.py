"""How good are intervals? The peers of `quality what=intervals`, and how all are scored.

MAPIE and crepes take gradient boosting as scikit-learn has it by default. CatBoost and scikit-learn's
boosting learn quantiles; conformalised ones are corrected on rows that were held out (Romano et al. 2019).
"""
# mypy: disable-error-code="import-untyped"

import warnings
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from jaxtyping import Float64
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline

from benchmarks import harness
from benchmarks.quality_peers import model_of, standardised
from benchmarks.quality_tables import BenchmarkTable
from mlplab.conformal.intervals import interval_scores, mean_scores

LEVELS = (0.8, 0.9)

QUANTILES = (0.05, 0.1, 0.9, 0.95)
"""The limits of both levels."""

PACKAGES = {
    **{"mapie": "mapie", "crepes": "crepes", "boosting-conformal": "sklearn"},
    **{"catboost-quantiles": "catboost", "catboost-conformal": "catboost"},
}
"""What each peer needs."""

BASE = "mapie"
"""The peer that all are compared with."""

SLOW = SEEDED = ()

FOLDS = 10
"""Of MAPIE's CV+, whose intervals are the better the more there are."""

CALIBRATION = 0.2
"""The share of the rows that quantiles are conformalised with."""

NEIGHBOURS = 25
"""Rows whose mean absolute residual is the difficulty of a row, as by default in crepes."""

POINTS, ERRORS = 0.02, 2
"""By how much the coverage of a table may be below the level; or by how many standard errors, if more."""

Bounds = Float64[np.ndarray, "row level limit"]

Interval = Callable[[pd.DataFrame], Bounds]
"""Predicts the limits of new rows."""


def fit_peer(
    peer: str, table: BenchmarkTable, test: np.ndarray, seed: int
) -> tuple[np.ndarray, float, float]:
    """Fits a peer to all rows that are not for testing, and predicts the intervals of those that are.

    Returns:
        The limits `[row, level, limit]`; the seconds of the fit, and of the prediction.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = perf_counter()
        interval = _fitted(peer, table.x[~test], table.y[~test], seed)
        fitted = perf_counter()
        bounds = interval(table.x[test])
        return bounds, fitted - start, perf_counter() - fitted


def _fitted(peer: str, x: pd.DataFrame, y: np.ndarray, seed: int) -> Interval:
    match peer:
        case "mapie":
            return _cross_conformal(x, y, seed)
        case "crepes":
            return _normalised(x, y, seed)
        case "catboost-quantiles":
            quantiles = _quantiles("catboost", x, y, seed)
            return lambda new: _limits(quantiles(new))
        case _:
            return _conformal_quantiles(peer.removesuffix("-conformal"), x, y, seed)


def _cross_conformal(x: pd.DataFrame, y: np.ndarray, seed: int) -> Interval:
    """MAPIE's CV+ (Barber et al. 2021)."""
    from mapie.regression import CrossConformalRegressor

    boosting = model_of("boosting", x, y, seed, classes=False)
    model = CrossConformalRegressor(boosting, confidence_level=LEVELS, method="plus", cv=FOLDS)
    model.fit_conformalize(x, y)
    return lambda new: model.predict_interval(new)[1].transpose(0, 2, 1)


def _normalised(x: pd.DataFrame, y: np.ndarray, seed: int) -> Interval:
    """Split conformal prediction by crepes, wider where the residuals of similar rows are large."""
    from crepes import WrapRegressor
    from crepes.extras import DifficultyEstimator

    boosting = model_of("boosting", x, y, seed, classes=False)
    train, held_out = train_test_split(np.arange(len(x)), test_size=CALIBRATION, random_state=seed)
    x_train, y_train = x.iloc[train], y[train]
    residuals = np.abs(y_train - cross_val_predict(boosting, x_train, y_train))
    neighbours = make_pipeline(standardised(x), KNeighborsRegressor(min(NEIGHBOURS, len(train))))
    neighbours.fit(x_train, residuals)
    difficulty = DifficultyEstimator().fit(f=neighbours.predict)
    model = WrapRegressor(boosting)
    model.fit(x_train, y_train)
    model.calibrate(x.iloc[held_out], y[held_out], de=difficulty)
    return lambda new: np.stack([model.predict_int(new, confidence=level) for level in LEVELS], 1)


def _quantiles(
    peer: str, x: pd.DataFrame, y: np.ndarray, seed: int
) -> Callable[[pd.DataFrame], Float64[np.ndarray, "row quantile"]]:
    """Fits a model of all quantiles, or one of each; none cross."""
    if peer == "catboost":
        alpha = ",".join(map(str, QUANTILES))
        settings: list[dict[str, Any]] = [{"loss_function": f"MultiQuantile:alpha={alpha}"}]
    else:
        settings = [{"loss": "quantile", "quantile": quantile} for quantile in QUANTILES]
    models = [model_of(peer, x, y, seed, classes=False) for _ in settings]
    for model, of_quantile in zip(models, settings, strict=True):
        model[-1].set_params(**of_quantile)
        model.fit(x, y)
    return lambda new: np.sort(np.column_stack([model.predict(new) for model in models]), 1)


def _limits(quantiles: Float64[np.ndarray, "row quantile"]) -> Bounds:
    places = [[QUANTILES.index(round(end, 2)) for end in ((1 - of) / 2, (1 + of) / 2)] for of in LEVELS]
    return quantiles[:, places]


def _conformal_quantiles(peer: str, x: pd.DataFrame, y: np.ndarray, seed: int) -> Interval:
    """Quantiles, moved outwards as far as rows that were held out need (Romano et al. 2019)."""
    train, held_out = train_test_split(np.arange(len(x)), test_size=CALIBRATION, random_state=seed)
    quantiles = _quantiles(peer, x.iloc[train], y[train], seed)
    limits = _limits(quantiles(x.iloc[held_out]))
    beyond = np.sort(np.maximum(limits[..., 0].T - y[held_out], y[held_out] - limits[..., 1].T), 1)
    rows = len(held_out)
    needed = [min(int(np.ceil(level * (rows + 1))), rows) - 1 for level in LEVELS]
    moved = np.array([of_level[place] for of_level, place in zip(beyond, needed, strict=True)])
    return lambda new: _limits(quantiles(new)) + moved[:, None] * [-1, 1]


def metrics_of(table: BenchmarkTable, y: np.ndarray, bounds: Bounds) -> dict[str, Any]:
    """Coverage, mean width and Winkler score of each level."""
    found = dict[str, float]()
    for place, level in enumerate(LEVELS):
        found |= mean_scores(interval_scores(bounds[:, place, None], y[:, None], level), None, level)
    return found


def summaries_of(scores: pl.DataFrame, base: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Means of each contender on each table, and over tables.

    `low` is the number of tables whose mean coverage over splits is below the level by more than `POINTS`,
    and by more than `ERRORS` standard errors.
    """
    names = [f"{name}_{level:g}" for level in LEVELS for name in ("coverage", "width", "winkler")]
    parts = list[pl.Expr]()
    for level in LEVELS:
        coverage = pl.col(f"coverage_{level:g}")
        error = (coverage.std() / pl.len().sqrt()).fill_null(0)
        short = level - coverage.mean() > pl.max_horizontal(POINTS, ERRORS * error)
        parts.append(short.alias(f"low_{level:g}"))
    groups = ["table", "contender"]
    means = scores.group_by(groups, maintain_order=True).agg(
        pl.col(names).mean(), *parts, pl.col("fit", "predict").mean()
    )
    of_base = means.filter(contender=base).select("table", *names)
    joined = means.join(of_base, on="table", suffix=" of base", maintain_order="left")
    ratios = [
        (pl.col(name) / pl.col(f"{name} of base")).log().mean().exp().alias(name)
        for name in names
        if not name.startswith("coverage")
    ]
    over_tables = joined.group_by("contender", maintain_order=True).agg(
        *(pl.col(f"coverage_{level:g}").mean() for level in LEVELS),
        *(pl.col(f"low_{level:g}").sum() for level in LEVELS),
        *ratios,
        pl.col("fit", "predict").mean(),
    )
    return means, over_tables


def show(scores: pl.DataFrame, base: str) -> None:
    """Prints both summaries."""
    means, over_tables = summaries_of(scores, base)
    by_table = {
        (row["table"], f"{row['contender']}, {level:g}"): [
            f"{row[f'coverage_{level:g}']:.3f}",
            f"{row[f'width_{level:g}']:.4g}",
            f"{row[f'winkler_{level:g}']:.4g}",
            harness.show_seconds(row["fit"]),
        ]
        for row in means.iter_rows(named=True)
        for level in LEVELS
    }
    harness.print_tables([harness.table_of("intervals", ["coverage", "width", "Winkler", "fit"], by_table)])
    tables = means["table"].n_unique()
    summary = {
        (f"level {level:g}", row["contender"]): [
            f"{row[f'coverage_{level:g}']:.3f}",
            f"{row[f'low_{level:g}']} of {tables}",
            *(f"{row[f'{name}_{level:g}']:.3f}×" for name in ("width", "winkler")),
            harness.show_seconds(row["fit"]),
        ]
        for level in LEVELS
        for row in over_tables.iter_rows(named=True)
    }
    title = f"over tables: mean coverage, widths and Winkler scores relative to {base}'s (geometric means)"
    caption = "low: tables with a coverage of 2 points, and two standard errors, below the level"
    headers = ["coverage", "low", "width", "Winkler", "fit"]
    harness.print_tables([harness.table_of(title, headers, summary, caption)])
