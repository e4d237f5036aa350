"""Trained networks, from their folders alone. Needs torch, not Lightning."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float, Float64, Int64

from mlplab.config import TrainConfig, parse
from mlplab.config.keys import differing
from mlplab.data.schema import Schema
from mlplab.data.transform import NO_NUMBERS, FrameLike, FrameTransformer, as_frame
from mlplab.errors import Fault, UserError, listed
from mlplab.models import Network, build_network, build_preprocessing
from mlplab.runs.discovery import read_config, read_metrics
from mlplab.runs.layout import layout_of
from mlplab.runs.selection import choose_runs
from mlplab.training import checkpoint

Predicted = Float64[np.ndarray, " row"] | Float64[np.ndarray, "row target"]

FRAME = "the frame"
"""What messages call a frame in memory."""

ROWS_AT_ONCE = 2048
"""Rows of one forward pass; small enough for hidden layers' values to stay in the processor's cache."""


class TrainedRun:
    """One run's best network.

    Attributes:
        schema: the columns it takes, and its target.
        config: the run's configuration.
        metrics: the content of its metrics.json.
        network: a stack of one.
        table: the fingerprint of the table and the split that it was trained on.
        seen: hashes of the rows that training or validation saw, those of a warm start included.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metrics = read_metrics(folder)
        path = folder / "checkpoints" / "best.ckpt"
        content = checkpoint.load(path)
        try:
            differs = differing(read_config(folder), content["config"])
            self.config: TrainConfig = parse(content["config"])
            self.schema = Schema.from_plain(content["schema"])
            self.table = dict(content["table"])
            self.seen = np.concatenate([rows.numpy() for rows in content["seen"].values()])
            state = content["state"]
            dtype = state["preprocessing.impute_value"].dtype
            layout = layout_of(self.schema)
            seeds, targets = [self.config.seed], len(self.schema.targets)
            preprocessing = build_preprocessing(
                self.config.model.preprocessing, layout, targets, seeds, dtype, None
            )
        except UserError as error:
            what = f"its configuration is not one of this version: {error.faults[0].sentence()}"
            raise UserError(Fault(what, str(path), remedy=error.faults[0].remedy)) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(Fault(f"is damaged: it lacks a part ({error})", str(path))) from error
        if differs:
            what = f"is of another run than config.yaml in its folder, which differs in {listed(differs)}"
            raise UserError(Fault(what, str(path), remedy="copy run folders whole, or train again"))
        self.network: Network = build_network([self.config.model], seeds, preprocessing)
        try:
            self.network.load_state_dict(state)
        except (RuntimeError, TypeError) as error:
            raise UserError(
                Fault("holds the weights of another network than its configuration says", str(path))
            ) from error
        if not all(tensor.isfinite().all() for tensor in self.network.state_dict().values()):
            raise UserError(Fault("holds weights that are not finite", str(path), remedy="train again"))
        self.network.eval()

    def predict(self, frame: FrameLike) -> Predicted:
        """The target of each row, in its own units; of several targets a column each.

        Args:
            frame: has the schema's input columns, in any order; further columns are ignored.

        Raises:
            UserError: if a column is missing, or holds what training had nothing like.
        """
        return _of_frame(self, frame)

    def predictor(self, where: str, *, comma: bool = False) -> "Predictor":
        """Predicts the frames of a source, one after the other."""
        return Predictor([self], where, comma=comma)

    @property
    def dtype(self) -> type[np.floating]:
        """Of features."""
        return np.float64 if self.network.preprocessing.dtype == torch.float64 else np.float32

    def has_seen(self, hashes: Int64[np.ndarray, " row"]) -> Bool[np.ndarray, " row"]:
        """Which rows were in the training or the validation part, by `row_hashes` of this run's features."""
        return np.isin(hashes, self.seen)

    def predict_features(
        self, x: Float[np.ndarray, "row feature"], first_row: int = 0
    ) -> Float64[np.ndarray, "row target"]:
        """As `predict`, of the features that the schema makes of a table; NaN is a missing value.

        `first_row` is how many rows came before these, for messages.
        """
        with torch.inference_mode():
            parts = [
                self.network(rows.unsqueeze(0))[0] for rows in torch.split(torch.from_numpy(x), ROWS_AT_ONCE)
            ]
        predicted: Float64[np.ndarray, "row target"] = torch.cat(parts).numpy()
        if len(bad := np.flatnonzero(~np.isfinite(predicted).all(1))):
            raise UserError(
                Fault(
                    f"the prediction of data row {first_row + bad[0] + 1} is not a finite number",
                    "the data",
                    f"{len(bad)} such rows" if len(bad) > 1 else "",
                    remedy="its inputs are far from those of training; correct them, or leave such rows out",
                )
            )
        return predicted


class Ensemble:
    """The runs of a sweep: they predict the mean of their predictions.

    Attributes:
        members: the runs.
        schema: the columns they take, and their target.
        config: of each member.
        metrics: of each member.
    """

    def __init__(self, members: Sequence[TrainedRun]) -> None:
        self.members = tuple(members)
        self.schema = members[0].schema
        self.config = tuple(member.config for member in members)
        self.metrics = tuple(member.metrics for member in members)
        for member in members:
            if member.schema.names != self.schema.names or member.schema.targets != self.schema.targets:
                raise UserError(
                    Fault(
                        "takes other columns than the first run of its sweep",
                        str(member.folder),
                        remedy="name the folder of one run",
                    )
                )

    def predict(self, frame: FrameLike) -> Predicted:
        """As `TrainedRun.predict`."""
        return _of_frame(self, frame)

    def predictor(self, where: str, *, comma: bool = False) -> "Predictor":
        """As `TrainedRun.predictor`."""
        return Predictor(self.members, where, comma=comma)


class Predictor:
    """Predicts frames of the same columns, one after the other: the mean of some runs' predictions.

    Attributes:
        rows: how many were predicted.
    """

    def __init__(self, members: Sequence[TrainedRun], where: str, *, comma: bool) -> None:
        self.rows = 0
        self._matchers: list[tuple[FrameTransformer, list[TrainedRun]]] = []
        for member in members:  # those trained on one table need its features once
            alike = (
                group
                for transformer, group in self._matchers
                if transformer.serves(member.schema, member.dtype)
            )
            if (group := next(alike, None)) is not None:
                group.append(member)
            else:
                transformer = FrameTransformer(member.schema, where, member.dtype, comma=comma)
                self._matchers.append((transformer, [member]))

    def __call__(
        self, frame: pl.DataFrame, numbers: Mapping[str, pl.Series] = NO_NUMBERS
    ) -> Float64[np.ndarray, "row target"]:
        """Predicts rows; `numbers` as in `FrameTransformer.features`.

        Raises:
            UserError: as `TrainedRun.predict`.
        """
        each = [
            member.predict_features(x, self.rows)
            for transformer, group in self._matchers
            for x in [transformer.features(frame, numbers)]
            for member in group
        ]
        self.rows += frame.height
        return np.mean(each, axis=0) if len(each) > 1 else each[0]

    def warn(self) -> None:
        """Tells what was odd about the rows."""
        for transformer, _ in self._matchers:
            transformer.warn()


def _of_frame(run: TrainedRun | Ensemble, frame: FrameLike) -> Predicted:
    predictor = run.predictor(FRAME)
    predicted = predictor(as_frame(run.schema, frame, FRAME))
    predictor.warn()
    return predicted[:, 0] if predicted.shape[1] == 1 else predicted


def load(folder: str | Path, runs: str | int = "best") -> TrainedRun | Ensemble:
    """The best network of a run's folder, or an ensemble of a sweep's finished runs.

    Args:
        runs: of a sweep, which ones: `best` takes those of the configuration with the best mean validation
            metric, with all its seeds and folds; a number that many single runs, the best first; `all` all.

    Raises:
        UserError: if there is no finished run, or a checkpoint is damaged, holds code, or is another's.
    """
    chosen = [TrainedRun(run) for run in choose_runs(Path(folder), runs)]
    return chosen[0] if len(chosen) == 1 else Ensemble(chosen)
