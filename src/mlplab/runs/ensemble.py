"""Predictions of a run, or mean predictions of several runs (Lakshminarayanan et al. 2017)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float64, Shaped

from mlplab.data.class_labels import label_values
from mlplab.data.new_data import NO_NUMBERS, FrameLike, FrameTransformer, as_frame
from mlplab.data.schema import Schema
from mlplab.errors import Fault, UserError, listed
from mlplab.runs.predictions import most_likely
from mlplab.runs.selection import select_runs
from mlplab.runs.trained import TrainedRun

FRAME = "the frame"
"""How messages refer to a frame in memory."""


class Ensemble:
    """Trained runs whose predictions are averaged; a single run is an ensemble of one.

    Attributes:
        members: the runs.
        schema: the input columns and the targets of the members.
        config: the configuration of each member.
        metrics: the content of each member's metrics.json.

    Raises:
        UserError: if the members' columns differ from those of the first.
    """

    def __init__(self, members: Sequence[TrainedRun]) -> None:
        self.members = tuple(members)
        self.schema = members[0].schema
        self.config = tuple(member.config for member in members)
        self.metrics = tuple(member.metrics for member in members)
        for member in members:
            if _columns(member.schema) != _columns(self.schema):
                what = "has different columns or classes than the first run of its sweep"
                raise UserError(Fault(what, str(member.folder), remedy="give the folder of one run"))

    @property
    def classes(self) -> np.ndarray:
        """The classes of the target in order, as in the training table; none if the targets are numbers."""
        return label_values(self.schema.classes, self.schema.class_kind).to_numpy()

    def predict(self, frame: FrameLike) -> Shaped[np.ndarray, " row"] | Float64[np.ndarray, "row target"]:
        """Predicts the target of each row, in its own units, or its most likely class.

        With several targets, the result has one column per target.

        Args:
            frame: a table with the schema's input columns in any order; all other columns are ignored.

        Raises:
            UserError: if a column is missing, or its values are of a different kind than in training.
        """
        predicted = self._predict(frame)
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
        return self._predict(frame)

    def _predict(self, frame: FrameLike) -> Float64[np.ndarray, "row output"]:
        predictor = Predictor(self.members, FRAME)
        predicted = predictor(as_frame(self.schema, frame, FRAME))
        predictor.warn()
        return predicted


def _columns(schema: Schema) -> tuple[object, ...]:
    """What the members of an ensemble have in common."""
    return schema.names, schema.targets, schema.classes


class Predictor:
    """Predicts frames with the same columns, one after another.

    Args:
        members: the trained runs.
        where: how messages refer to the data.
        decimal_comma: whether numbers in text have a decimal comma.

    Attributes:
        rows: number of rows predicted so far.
    """

    def __init__(self, members: Sequence[TrainedRun], where: str, *, decimal_comma: bool = False) -> None:
        self.rows = 0
        self._groups: list[tuple[FrameTransformer, list[TrainedRun]]] = []
        for member in members:  # runs trained on one table share its features
            schema, dtype = member.schema, member.dtype
            same = (group for each, group in self._groups if each.serves(schema, dtype))
            if (group := next(same, None)) is not None:
                group.append(member)
            else:
                transformer = FrameTransformer(
                    member.schema, where, member.dtype, decimal_comma=decimal_comma
                )
                self._groups.append((transformer, [member]))

    def __call__(
        self, frame: pl.DataFrame, numbers: Mapping[str, pl.Series] = NO_NUMBERS
    ) -> Float64[np.ndarray, "row output"]:
        """Predicts rows: targets in their own units, or the probability of each class.

        Args:
            numbers: columns that are already parsed, as in `FrameTransformer.features`.

        Raises:
            UserError: as `Ensemble.predict`.
        """
        each = [
            member.predict_features(x, self.rows)
            for transformer, group in self._groups
            for x in [transformer.features(frame, numbers)]
            for member in group
        ]
        self.rows += frame.height
        return np.mean(each, axis=0) if len(each) > 1 else each[0]

    def warn(self) -> None:
        """Logs warnings about unusual values in the rows predicted so far."""
        for transformer, _ in self._groups:
            transformer.warn()


def load(folder: str | Path, runs: str | int = "best") -> Ensemble:
    """Loads a run's best checkpoint, or those of a sweep's finished runs as an ensemble.

    Args:
        folder: the folder of a run or a sweep.
        runs: which runs of a sweep to load. `best`: all seeds and folds of the configuration with the best
            mean validation metric; a number: that many individual runs, best first; `all`: all runs.

    Raises:
        UserError: if there is no finished run, or a checkpoint is damaged, contains code, or belongs to
            another run.
    """
    return Ensemble([TrainedRun(run) for run in select_runs(Path(folder), runs)])
