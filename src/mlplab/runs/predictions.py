"""Predictions as columns: values of targets, or the most likely class and the probability of each.

Also the levels of intervals and prediction sets that are asked for.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float64, Int64

from mlplab.config.types import read_levels
from mlplab.conformal.intervals import Levels, Sets, interval_levels, median_of
from mlplab.console import plural
from mlplab.data.class_labels import label_values, predicted_classes
from mlplab.data.schema import Schema
from mlplab.errors import listed, refusal
from mlplab.files import replacing
from mlplab.runs.discovery import TEST_PREDICTIONS
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.run import Run
from mlplab.training.scoring.mean_predictions import OfMembers, Predicted, weighted_mean

AnyLevels = float | int | str | Sequence[float | int | str]
"""One level, such as 0.9, or several: `[0.8, 0.9]` or `0.8,0.9`."""

Spread = Float64[np.ndarray, "row column"]
"""How far members disagree: the columns of `spread_of`."""


class ColumnNames(NamedTuple):
    """The names of the columns that predictions add to a table."""

    predictions: list[str]
    spread: list[str]
    limits: list[str]
    sets: list[str]


def column_names(
    schema: Schema, quantiles: Levels = (), intervals: Levels = (), sets: Levels = ()
) -> ColumnNames:
    """The names of the columns of predictions, their spread, the limits of intervals, and sets.

    Those of predictions are `prediction`, for classes `probability_<class>`, and for quantiles
    `quantile_<level>`; if there are several targets, or the training table has a column `prediction`, it is
    `prediction_<target>`. Those of spread are `prediction_sd` or `prediction_<target>_sd`, and for classes
    `entropy` and `disagreement`. Those of intervals are `lower` and `upper`, of several targets
    `lower_<target>` and so on; that of a set is `set`. Of several levels, `_0.9` follows. A name that the
    training table has gets a `_` at its end.
    """
    known = known_names(schema)
    targets = [f"_{target}" for target in schema.targets]
    names = ["prediction"]
    if len(targets) > 1 or "prediction" in known:
        names = ["prediction" + target for target in targets]
    spread = ["entropy", "disagreement"] if schema.classes else [f"{name}_sd" for name in names]
    names += [f"probability_{label}" for label in schema.classes]
    names += [f"quantile_{level:g}" for level in quantiles]
    unused = unused_names([*names, *spread], known)
    each = targets if len(targets) > 1 else [""]
    limits = [side + of + end for end, of, side in product(_ends(intervals), each, ("lower", "upper"))]
    of_sets = unused_names([f"set{end}" for end in _ends(sets)], known)
    return ColumnNames(unused[: len(names)], unused[len(names) :], unused_names(limits, known), of_sets)


def set_column(schema: Schema, name: str, sets: Sets) -> pl.Series:
    """A column of prediction sets: the classes of each, in order, with ` | ` in between."""
    labels = [pl.when(pl.col(label)).then(pl.lit(label)) for label in schema.classes]
    joined = pl.concat_str(labels, separator=" | ", ignore_nulls=True)
    return pl.DataFrame(sets, [*schema.classes]).select(joined.alias(name))[name]


def _ends(levels: Levels) -> list[str]:
    return [f"_{level:g}" if len(levels) > 1 else "" for level in levels]


def known_names(schema: Schema) -> set[str]:
    """The names of the columns of the training table."""
    return {*schema.names, *schema.targets, *schema.left_out, *([schema.weight] if schema.weight else [])}


def unused_names(names: Sequence[str], known: set[str]) -> list[str]:
    """The names, with a `_` at the end of those that are known, or come a second time."""
    unused, taken = list[str](), set(known)
    for name in names:
        while name in taken:
            name += "_"
        unused.append(name)
        taken.add(name)
    return unused


def prediction_columns(
    schema: Schema, predicted: Predicted, threshold: float, quantiles: Levels = ()
) -> list[pl.Series]:
    """The columns of predictions; of classes by `predicted_classes`, of quantiles the median first."""
    values: Sequence[pl.Series | np.ndarray] = [*predicted.T]
    if schema.classes:
        values = [label_column(schema, predicted_classes(predicted, threshold)), *values]
    elif quantiles:
        values = [median_of(predicted, quantiles)[:, 0], *values]
    names = column_names(schema, quantiles).predictions
    return [pl.Series(name, column) for name, column in zip(names, values, strict=True)]


def label_column(schema: Schema, classes: Int64[np.ndarray, " row"]) -> pl.Series:
    """Numbers of classes as the labels in the training table."""
    return label_values(schema.classes, schema.class_kind).gather(classes)


def test_rows(run: Run, predicted: Predicted, threshold: float) -> pl.DataFrame:
    """The test rows of a run, counted from 1, with what identifies them, their targets and predictions."""
    schema, rows, quantiles = run.data.table.schema, run.data.split.test, run.config.quantiles
    y, identifiers = run.data.table.y[rows], run.data.table.identifiers
    truth = [label_column(schema, y[:, 0].astype(np.int64))] if schema.classes else [*y.T]
    number = "data row" if "row" in (*schema.targets, *identifiers.columns) else "row"
    columns = {
        number: rows + 1,
        **identifiers.select(pl.all().gather(rows)).to_dict(),
        **dict(zip(schema.targets, truth, strict=True)),
    }
    return pl.DataFrame(columns).with_columns(prediction_columns(schema, predicted, threshold, quantiles))


def write_test_predictions(folder: Path, run: Run, predicted: Predicted, threshold: float) -> None:
    """Writes the test rows of a run as a CSV file to its folder, if it is to have one."""
    if run.config.test_predictions:
        with replacing(folder / TEST_PREDICTIONS, synced=False) as partial:
            test_rows(run, predicted, threshold).write_csv(partial)


def levels_given(key: str, value: AnyLevels | None) -> tuple[float, ...]:
    """The levels that an argument names; none if it is None.

    Raises:
        UserError: if one is not between 0 and 1.
    """
    try:
        return () if value is None else read_levels(value)
    except ValueError as error:
        raise refusal(str(error), f"{key}={value}") from error


def check_levels(runs: Iterable[TrainedRun], intervals: Levels = (), sets: Levels = ()) -> None:
    """Checks that runs have intervals and sets of these levels.

    Raises:
        UserError: if they do not suit the target, or a run has no residuals, or those of too few rows.
    """
    for run in runs if intervals or sets else ():
        if fault := _fault(run, intervals, sets):
            raise refusal(fault[0], run.folder, fault[1])


def _fault(run: TrainedRun, intervals: Sequence[float], sets: Sequence[float]) -> tuple[str, str] | None:
    classes, known, most = run.schema.classes, interval_levels(run.quantiles), run.uncertainty.highest_level
    if intervals and classes:
        return "predicts classes, which have no intervals", f"use sets={intervals[0]:g}"
    if sets and not classes:
        return "predicts numbers, which have no prediction sets", f"use interval={sets[0]:g}"
    other = [level for level in intervals if run.quantiles and round(level, 9) not in known]
    if other:
        ends = sorted({end for level in intervals for end in ((1 - level) / 2, 0.5, (1 + level) / 2)})
        what = f"has the quantiles {listed(map(str, run.quantiles), 9)}, none for interval={other[0]:g}"
        use = f"use interval={known[0]:g}, or " if known else ""
        return what, f"{use}train with loss.levels=[{','.join(f'{end:.9g}' for end in ends)}]"
    if np.isnan(most) and (source := run.config.init_from):
        what = f"has no held-out errors, because rows that it held out were in the training of {source}"
        return what, "train it from scratch, or with data.split and ensemble=… of that run"
    if np.isnan(most):
        return "has no held-out errors (runs from before 0.20 may have none)", "train again"
    if (wanted := max([*intervals, *sets])) > most:
        key, is_grouped = ("sets" if sets else "interval"), getattr(run.config.data.split, "group", None)
        rows = plural(min(each.rows for each in run.residuals), "group" if is_grouped else "row")
        most = np.floor(most * 1000) / 1000
        use = f"at most {key}={most:g}, or " if most else ""
        return f"held out {rows}, too few for {key}={wanted:g}", f"{use}train on more"
    return None


def spread_of(values: OfMembers, weights: Float64[np.ndarray, " member"], is_classification: bool) -> Spread:
    """How far networks disagree about each row: the columns of spread of `column_names`.

    For regression, the standard deviation of the predictions. For classes, the entropy of the mean
    probabilities in nats, and the part of it that comes from disagreement: that entropy minus the mean
    entropy of the members, which is the mutual information of the class and the member (Lakshminarayanan et
    al. 2017; Depeweg et al. 2018). It is 0 if all members predict the same, however uncertain they are. The
    sum of `weights` is 1.
    """
    mean = weighted_mean(values, weights)
    if not is_classification:
        return np.sqrt(weighted_mean((values - mean) ** 2, weights))
    total, member_entropy = _entropy(mean), weighted_mean(_entropy(values)[..., None], weights)[:, 0]
    return np.column_stack([total, (total - member_entropy).clip(min=0)])


def _entropy(probabilities: Float64[np.ndarray, "*rows class"]) -> Float64[np.ndarray, "*rows"]:
    logarithms = np.log(np.where(probabilities > 0, probabilities, 1))
    return -(probabilities * logarithms).sum(-1) + 0.0  # turns -0 into 0
