"""Predictions of a run, or mean predictions of several runs (Lakshminarayanan et al. 2017)."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float64, Shaped

from mlplab.data.loader import EVALUATION_MULTIPLE
from mlplab.data.new_data import NO_NUMBERS, FrameLike, FrameTransformer, as_frame
from mlplab.data.schema import Schema
from mlplab.data.task import label_values
from mlplab.errors import Fault, UserError, listed
from mlplab.runs.predictions import most_likely, spread_columns, weighted_mean
from mlplab.runs.selection import select_runs
from mlplab.runs.trained.chosen_ensemble import run_weights
from mlplab.runs.trained.run_stack import RunStack, check_finite, stacked
from mlplab.runs.trained.spread import Spread, entropy_and_disagreement, no_spread, standard_deviation
from mlplab.runs.trained.trained_run import TrainedRun

BLOCK_VALUES = 2**21
"""The most predictions of members in memory at a time: 16 MiB."""

FRAME = "the frame"
"""How messages refer to a frame in memory."""


class Ensemble:
    """Trained runs whose predictions are averaged; a single run is an ensemble of one.

    Args:
        weights: the weight of each run in the mean; their sum is 1. None: all equal.

    Attributes:
        members: the runs.
        weights: the weight of each.
        schema: the input columns and the targets of the members.
        config: the configuration of each member.
        metrics: the content of each member's metrics.json.

    Raises:
        UserError: if the members' columns differ from those of the first.
    """

    def __init__(self, members: Sequence[TrainedRun], weights: Sequence[float] | None = None) -> None:
        self.members = tuple(members)
        self.weights: Float64[np.ndarray, " run"] = np.full(len(members), 1 / len(members))
        if weights is not None:
            self.weights = np.array(weights)
        self.schema = members[0].schema
        self.config = tuple(member.config for member in members)
        self.metrics = tuple(member.metrics for member in members)
        for member in members:
            if _columns(member.schema) != _columns(self.schema):
                what = "has different columns or classes than the first run of its sweep"
                raise UserError(Fault(what, str(member.folder), remedy="give the folder of one run"))

    def __getstate__(self) -> dict[str, object]:
        """Without `stacks`, which hold a lock and can be built again."""
        return {name: value for name, value in vars(self).items() if name != "stacks"}

    @property
    def classes(self) -> np.ndarray:
        """The classes of the target in order, as in the training table; none if the targets are numbers."""
        return label_values(self.schema.classes, self.schema.class_kind).to_numpy()

    @cached_property
    def stacks(self) -> list[RunStack]:
        """The runs as stacks that predict together."""
        return stacked(self.members)

    def predict(self, frame: FrameLike) -> Shaped[np.ndarray, " row"] | Float64[np.ndarray, "row target"]:
        """Predicts the target of each row, in its own units, or its most likely class.

        With several targets, the result has one column per target.

        Args:
            frame: a table with the schema's input columns in any order; all other columns are ignored.

        Raises:
            UserError: if a column is missing, or its values are of a different kind than in training.
        """
        predicted = self._predictions(frame).mean
        if self.schema.classes:
            return self.classes[most_likely(predicted)]
        return predicted[:, 0] if predicted.shape[1] == 1 else predicted

    def predict_proba(self, frame: FrameLike) -> Float64[np.ndarray, "row class"]:
        """Predicts the probability of each of `classes`.

        Args:
            frame: as in `predict`.

        Raises:
            UserError: as in `predict`, and if the targets are numbers.
        """
        if not self.schema.classes:
            what = f"predicts numbers ({listed(self.schema.targets)}), which have no probabilities"
            raise UserError(Fault(what, "this network", remedy="use predict"))
        return self._predictions(frame).mean

    def predict_spread(self, frame: FrameLike) -> pl.DataFrame:
        """How far the networks disagree about each row: the columns of `spread_names`.

        Args:
            frame: as in `predict`.

        Raises:
            UserError: as in `predict`, and if there is only one network.
        """
        self.check_several()
        spread = self._predictions(frame, with_spread=True).spread
        return pl.DataFrame(spread_columns(self.schema, spread))

    def check_several(self) -> None:
        """Checks that there are several networks.

        Raises:
            UserError: otherwise.
        """
        if sum(map(len, self.stacks)) == 1:
            what, remedy = (
                "is a single network: there is no spread",
                "give a sweep and runs=all, or train again with ensemble=8",
            )
            raise UserError(Fault(what, str(self.members[0].folder), remedy=remedy))

    def _predictions(self, frame: FrameLike, *, with_spread: bool = False) -> "Predictions":
        predictor = Predictor(self, FRAME, with_spread=with_spread)
        predictions = predictor(as_frame(self.schema, frame, FRAME))
        predictor.warn()
        return predictions


def _columns(schema: Schema) -> tuple[object, ...]:
    """What the members of an ensemble have in common."""
    return schema.names, schema.targets, schema.classes


class Predictions(NamedTuple):
    """Predictions of rows.

    Attributes:
        mean: the targets in their own units, or the probability of each class.
        spread: the columns of `spread_names`; none if it was not requested.
    """

    mean: Float64[np.ndarray, "row output"]
    spread: Float64[np.ndarray, "row column"]


class Predictor:
    """Predicts frames with the same columns, one after another.

    Args:
        ensemble: the trained runs.
        where: how messages refer to the data.
        decimal_comma: whether numbers in text have a decimal comma.
        with_spread: whether to compute how far the networks disagree.

    Attributes:
        rows: number of rows predicted so far.
    """

    def __init__(
        self, ensemble: Ensemble, where: str, *, decimal_comma: bool = False, with_spread: bool = False
    ) -> None:
        self.rows = 0
        self._spread: Spread = no_spread
        if with_spread:
            self._spread = entropy_and_disagreement if ensemble.schema.classes else standard_deviation
        self._stacks = ensemble.stacks
        of_runs = dict(zip(map(id, ensemble.members), ensemble.weights, strict=True))
        self._weights = np.concatenate(
            [of_runs[id(run)] * run.member_weights for stack in self._stacks for run in stack.runs]
        )
        self._transformers: list[FrameTransformer] = []
        self._transformer_of: list[FrameTransformer] = []
        for stack in self._stacks:  # runs trained on one table share its features
            schema, dtype = stack.runs[0].schema, stack.runs[0].dtype
            same = (each for each in self._transformers if each.serves(schema, dtype))
            if (transformer := next(same, None)) is None:
                transformer = FrameTransformer(schema, where, dtype, decimal_comma=decimal_comma)
                self._transformers.append(transformer)
            self._transformer_of.append(transformer)

    def __call__(self, frame: pl.DataFrame, numbers: Mapping[str, pl.Series] = NO_NUMBERS) -> Predictions:
        """Predicts rows.

        Args:
            numbers: columns that are already parsed, as in `FrameTransformer.features`.

        Raises:
            UserError: as `Ensemble.predict`.
        """
        features = {each: each.features(frame, numbers) for each in self._transformers}
        schema = self._transformers[0].schema
        row_values = len(self._weights) * max(len(schema.targets), len(schema.classes))
        rows_at_once = max(1, BLOCK_VALUES // row_values // EVALUATION_MULTIPLE) * EVALUATION_MULTIPLE
        blocks = []
        for start in range(0, max(1, frame.height), rows_at_once):
            rows = slice(start, start + rows_at_once)
            values = [
                stack(features[transformer][rows])
                for stack, transformer in zip(self._stacks, self._transformer_of, strict=True)
            ]
            members = np.concatenate(values)
            mean = weighted_mean(members, self._weights)
            blocks.append(Predictions(mean, self._spread(members, self._weights)))
        predicted = Predictions(*map(np.concatenate, zip(*blocks, strict=True)))
        check_finite(predicted.mean, self.rows)
        self.rows += frame.height
        return predicted

    def warn(self) -> None:
        """Logs warnings about unusual values in the rows predicted so far."""
        for transformer in self._transformers:
            transformer.warn()


def load(folder: str | Path, runs: str | int = "best") -> Ensemble:
    """Loads a run's best checkpoint, or those of a sweep's finished runs as an ensemble.

    Args:
        folder: the folder of a run, a sweep or a chosen ensemble.
        runs: which runs of a sweep to load. `best`: all seeds and folds of the configuration with the best
            mean validation metric; a number: that many individual runs, best first; `all`: all runs.

    Raises:
        UserError: if there is no finished run, or a checkpoint is damaged, contains code, or belongs to
            another run.
    """
    chosen = select_runs(Path(folder), runs)
    weights = run_weights(Path(folder), chosen)
    return Ensemble([TrainedRun(run) for run in chosen], weights)
