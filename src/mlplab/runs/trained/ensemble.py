"""Predictions of a run, or mean predictions of several runs (Lakshminarayanan et al. 2017)."""

from collections.abc import Sequence
from copy import copy
from os import PathLike, fspath
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float, Float64, Shaped

from mlplab.conformal.intervals import Levels, Uncertainty, median_of
from mlplab.data.batches.loader import EVALUATION_MULTIPLE
from mlplab.data.class_labels import label_values, predicted_classes, threshold_fault
from mlplab.data.frames import FRAME, FrameLike
from mlplab.data.new_rows import FrameTransformer, MissingColumns, as_frame
from mlplab.errors import UserError, refusal
from mlplab.runs.predictions import (
    AnyLevels,
    Spread,
    check_levels,
    column_names,
    levels_given,
    prediction_columns,
    set_column,
    spread_of,
)
from mlplab.runs.trained.run_stack import stacked
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.scoring.mean_predictions import Predicted, weighted_mean

BLOCK_VALUES = 2**21  # the most predictions of members in memory at a time: 16 MiB

Features = Float[np.ndarray, "row feature"]

# The targets in their own units, the probability of each class, or quantiles; and the columns of spread.
MeanAndSpread = tuple[Predicted, Spread]

Predictions = Shaped[np.ndarray, " row"] | Float64[np.ndarray, "row target"]
"""Predicted targets in their own units, or classes."""


class Ensemble:
    """Trained runs whose predictions are averaged; a single run is an ensemble of one.

    Args:
        weights: the weight of each run in the mean; their sum is 1. None: all equal.

    Attributes:
        schema: the input columns and the targets of the runs, with the offsets of the first.
        quantiles: the levels of the quantiles that they predict; none: they predict targets or classes.
        config, metrics: the configuration of each run, and the content of its metrics.json.
        uncertainty: the intervals or prediction sets around mean predictions.
        threshold: from which mean probability on the second of two classes is predicted: the weighted mean
            of the runs' thresholds, so that the weighted mean of the distances from them decides.
        stacks: the runs as stacks that predict together.
        network_weights: the weight of each network in the mean, in the order of the stacks.
        networks: the number of networks of all runs.

    Raises:
        UserError: if a run has another schema or precision than the first, or its weights do not fit.
    """

    def __init__(self, runs: Sequence[TrainedRun], weights: Sequence[float] | None = None) -> None:
        self.runs = tuple(runs)
        self.weights: Float64[np.ndarray, " run"] = np.array(weights or [1 / len(runs)] * len(runs))
        self.schema, self.quantiles = runs[0].schema, runs[0].quantiles
        self.config = tuple(run.config for run in runs)
        self.metrics = tuple(run.metrics for run in runs)
        for run in runs:
            own, of_first = (
                (each.schema.without_offsets, each.dtype, each.quantiles) for each in (run, runs[0])
            )
            if own != of_first:
                what = f"has other columns, classes, quantiles or precision than {runs[0].folder}"
                raise refusal(what, run.folder, "give the folder of one run")
        self.threshold = float(np.average([run.threshold for run in runs], weights=self.weights))
        residuals = [run.residuals for run in runs]
        self.uncertainty = Uncertainty(self.schema, residuals, self.quantiles, self.weights)
        predicting = [run.with_offsets(self.schema) for run in runs]
        self.stacks = stacked(predicting)
        weight_of = dict(zip(predicting, self.weights, strict=True))
        self.network_weights = np.concatenate(
            [weight_of[run] * run.member_weights for stack in self.stacks for run in stack.runs]
        )
        self.networks = len(self.network_weights)

    @property
    def classes(self) -> np.ndarray:
        """The classes of the target in order, as in the training table; none for regression."""
        return label_values(self.schema.classes, self.schema.class_kind).to_numpy()

    def with_threshold(self, threshold: float | None) -> "Ensemble":
        """The same networks, which predict the second of two classes from this probability on.

        Args:
            threshold: None: as in training.

        Raises:
            UserError: if there are not two classes.
        """
        if threshold is None:
            return self
        if len(self.schema.classes) != 2:
            raise UserError(threshold_fault(f"threshold={threshold:g}", self.schema.classes))
        other = copy(self)
        other.threshold, other.runs = threshold, tuple(map(copy, self.runs))
        for run in other.runs:
            run.threshold = threshold
        return other

    def predict(
        self,
        frame: FrameLike,
        interval: AnyLevels | None = None,
        sets: AnyLevels | None = None,
        *,
        missing_columns: MissingColumns = "refuse",
    ) -> Predictions | pl.DataFrame:
        """Predicts the target of each row, in its own units, or its class by `predicted_classes`.

        With several targets, the result has one column per target.

        Args:
            frame: a table with the schema's input columns in any order; all other columns are ignored.
            interval: the probability with which an interval contains the target, such as 0.9, or several.
                With it, the result is a frame with the columns `prediction`, `lower` and `upper`; more in
                `column_names`.
            sets: the probability with which a set contains the class, or several; it adds the column `set`.
            missing_columns: `impute`: a column that the frame lacks is missing in all rows.

        Raises:
            UserError: if a column is missing, or its values are of a different kind than in training; or as
                `check_levels`.
        """
        intervals, of_sets = levels_given("interval", interval), levels_given("sets", sets)
        check_levels(self.runs, intervals, of_sets)
        predicted = mean, _ = self.predict_outputs(frame, missing_columns=missing_columns)
        if intervals or of_sets:
            return pl.DataFrame(self.columns(predicted, self.threshold, intervals, of_sets))
        if self.schema.classes:
            return self.classes[predicted_classes(mean, self.threshold)]
        points = self.points(mean)
        return points[:, 0] if points.shape[1] == 1 else points

    def predict_quantiles(
        self, frame: FrameLike, *, missing_columns: MissingColumns = "refuse"
    ) -> pl.DataFrame:
        """Predicts the quantiles of `loss=quantile` of each row: the columns of `column_names`.

        Raises:
            UserError: as in `predict`, and if the network predicts something else.
        """
        if not self.quantiles:
            remedy = "train with loss=quantile, or use predict(frame, interval=0.9)"
            raise refusal("predicts no quantiles", self.runs[0].folder, remedy)
        predicted = self.predict_outputs(frame, missing_columns=missing_columns)
        return pl.DataFrame(self.columns(predicted, self.threshold))

    def columns(
        self, predicted: MeanAndSpread, threshold: float, intervals: Levels = (), sets: Levels = ()
    ) -> list[pl.Series]:
        """The columns of predictions, of their intervals or sets of these levels, and of their spread."""
        names, (mean, spread) = column_names(self.schema, self.quantiles, intervals, sets), predicted
        bounds = (self.uncertainty.bounds(mean, level).transpose(1, 2, 0) for level in intervals)
        limits = [limit for of_level in bounds for of_target in of_level for limit in of_target]
        of_sets = (self.uncertainty.sets(mean, level) for level in sets)
        return [
            *prediction_columns(self.schema, mean, threshold, self.quantiles),
            *map(pl.Series, names.limits, limits),
            *(set_column(self.schema, *each) for each in zip(names.sets, of_sets, strict=True)),
            *map(pl.Series, names.spread, spread.T),
        ]

    def points(self, predicted: Float64[np.ndarray, "*row output"]) -> Float64[np.ndarray, "*row point"]:
        """The predictions of targets: those themselves, or the median of their quantiles."""
        return median_of(predicted, self.quantiles) if self.quantiles else predicted

    def predict_proba(
        self, frame: FrameLike, *, missing_columns: MissingColumns = "refuse"
    ) -> Float64[np.ndarray, "row class"]:
        """Predicts the probability of each of `classes`.

        Raises:
            UserError: as in `predict`, and if the targets are numbers.
        """
        if not self.schema.classes:
            raise refusal("predicts numbers, which have no probabilities", "this network", "use predict")
        return self.predict_outputs(frame, missing_columns=missing_columns)[0]

    def predict_spread(self, frame: FrameLike, *, missing_columns: MissingColumns = "refuse") -> pl.DataFrame:
        """How far the networks disagree about each row: the columns of spread of `column_names`.

        Raises:
            UserError: as in `predict`, and if there is only one network.
        """
        self.check_several()
        _, spread = self.predict_outputs(frame, with_spread=True, missing_columns=missing_columns)
        return pl.DataFrame(spread, column_names(self.schema).spread, orient="row")

    def save(self, path: str | Path, *, seen: bool = False) -> Path:
        """Saves the runs as one file, `price.mlplab`, as `mlplab.runs.trained.load.save`."""
        from mlplab.runs.trained.load import save  # it imports this module

        save(self, Path(path), seen=seen)
        return Path(path)

    def check_several(self) -> None:
        """Checks that there are several networks.

        Raises:
            UserError: otherwise.
        """
        if self.networks == 1:
            what = "is a single network: there is no spread"
            remedy = "give a sweep and runs=all, or train again with ensemble=8"
            raise refusal(what, self.runs[0].folder, remedy)

    def predict_outputs(
        self, frame: FrameLike, *, with_spread: bool = False, missing_columns: MissingColumns = "refuse"
    ) -> MeanAndSpread:
        """The targets, the probabilities of classes, or the quantiles; and the spread, if it is requested.

        Raises:
            UserError: as in `predict`.
        """
        if isinstance(frame, str | PathLike):
            remedy = "read it first, as in polars.read_csv(…), or use the command mlplab predict"
            raise refusal("is a path, and no frame", fspath(frame), remedy)
        transformer = self.transformer(FRAME)
        x = transformer.features(as_frame(self.schema, frame, FRAME, missing_columns))
        predicted = self.predict_features(x, with_spread=with_spread, rows_before=0)
        transformer.warn()
        return predicted

    def transformer(self, where: str, *, decimal_comma: bool = False) -> FrameTransformer:
        """What makes features of frames, to which messages refer by `where`."""
        return FrameTransformer(self.schema, where, self.runs[0].dtype, decimal_comma=decimal_comma)

    def predict_features(
        self, x: Features, *, with_spread: bool = False, rows_before: int | None = None
    ) -> MeanAndSpread:
        """Mean predictions of rows of features; the spread has no columns if it is not requested.

        Args:
            rows_before: number of rows of a file before these, for messages; None: the rows are of a sample.

        Raises:
            UserError: if a value is infinite in the network's precision, or a prediction is not finite.
        """
        blocks, weights, is_classification = [], self.network_weights, bool(self.schema.classes)
        row_values = self.networks * self.runs[0].outputs
        rows_at_once = max(1, BLOCK_VALUES // row_values // EVALUATION_MULTIPLE) * EVALUATION_MULTIPLE
        for start in range(0, max(1, len(x)), rows_at_once):
            values = np.concatenate([stack(x[start : start + rows_at_once]) for stack in self.stacks])
            mean = self.uncertainty.corrected(weighted_mean(values, weights))
            spread = mean[:, :0]
            if with_spread:
                spread = spread_of(self.points(values), weights, is_classification)
            blocks.append((mean, spread))
        mean, spread = map(np.concatenate, zip(*blocks, strict=True))
        if len(bad := np.flatnonzero(np.isinf(x).any(1) | ~np.isfinite(mean).all(1))):
            where = f"data row {rows_before + bad[0] + 1}" if rows_before is not None else ""
            more = f"; {len(bad):,} such rows" if len(bad) > 1 else ""
            what = f"a value is too large for the network{more}"
            raise refusal(what, where, "it is far outside the training range; correct it, or drop the row")
        return mean, spread
