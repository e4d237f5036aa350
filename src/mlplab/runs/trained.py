"""A trained run, loaded from its folder alone. Needs torch, but not Lightning."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64

from mlplab.config import TrainConfig, parse
from mlplab.config.keys import differing
from mlplab.data.schema import Schema
from mlplab.errors import Fault, UserError, listed
from mlplab.models import FeatureLayout, Network, build_network, build_preprocessing
from mlplab.runs.discovery import read_config, read_metrics
from mlplab.runs.predictions import weighted_mean
from mlplab.training import checkpoint

ROWS_AT_ONCE = 2048
"""Rows per forward pass, so that the hidden layers' values fit the processor's cache."""


class TrainedRun:
    """The best network of a run, or the networks of its ensemble.

    Attributes:
        schema: the columns that the network takes, and its targets.
        config: the run's configuration.
        metrics: the content of its metrics.json.
        network: a stack of one member, or of those of an ensemble.
        member_weights: the weight of each member in the mean prediction; their sum is 1.
        table: the fingerprint of the table and the split.
        seen: hashes of the rows in training or validation, including those of the run of a warm start.

    Raises:
        UserError: if the checkpoint is damaged, or belongs to another run.
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
            self.member_weights: Float64[np.ndarray, " member"] = np.array(
                content["member_weights"], np.float64
            )
            state = content["state"]
            dtype = state["preprocessing.impute_value"].dtype
            layout = FeatureLayout(self.schema.categories, self.schema.missing)
            members, classes = len(self.member_weights), len(self.schema.classes)
            seeds = [self.config.seed] * members  # the weights below replace what they would initialize
            preprocessing = build_preprocessing(
                self.config.model.preprocessing,
                layout,
                len(self.schema.targets),
                seeds,
                dtype,
                None,
                classes,
                None
                if self.config.data.class_weights == "none"
                else torch.ones(members, 1, classes).double(),
            )
        except UserError as error:
            what = f"its configuration is not valid in this version: {error.faults[0].sentence()}"
            raise UserError(Fault(what, str(path), remedy=error.faults[0].remedy)) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"is damaged: an entry is missing or invalid ({error})"
            raise UserError(Fault(what, str(path), remedy="train again")) from error
        if differs:
            what = f"belongs to a different run: config.yaml in its folder differs in {listed(differs)}"
            raise UserError(Fault(what, str(path), remedy="copy whole run folders, or train again"))
        models = [self.config.model] * members
        self.network: Network = build_network(models, seeds, preprocessing, initialize=False)
        try:
            self.network.load_state_dict(state)
        except (RuntimeError, TypeError) as error:
            what = "contains weights that do not fit the network in its configuration"
            raise UserError(Fault(what, str(path), remedy="train again")) from error
        if not all(tensor.isfinite().all() for tensor in self.network.state_dict().values()):
            raise UserError(Fault("contains weights that are not finite", str(path), remedy="train again"))
        self.network.eval()

    @property
    def dtype(self) -> type[np.floating]:
        """The type of the features."""
        return np.float64 if self.network.preprocessing.dtype == torch.float64 else np.float32

    def has_seen(self, hashes: Int64[np.ndarray, " row"]) -> Bool[np.ndarray, " row"]:
        """Which rows were in training or validation, by the `row_hashes` of this run's features."""
        return np.isin(hashes, self.seen)

    def predict_features(
        self, x: Float[np.ndarray, "row feature"], first_row: int = 0
    ) -> Float64[np.ndarray, "row output"]:
        """Predicts rows of features, computed by the schema; NaN is a missing value.

        Args:
            first_row: number of rows before these, for messages.

        Raises:
            UserError: if a prediction is not finite.
        """
        with torch.inference_mode():
            parts = [
                self.network(rows.expand(len(self.member_weights), -1, -1))
                for rows in torch.split(torch.from_numpy(x), ROWS_AT_ONCE)
            ]
        predicted = weighted_mean(torch.cat(parts, 1).numpy(), self.member_weights)
        if len(bad := np.flatnonzero(~np.isfinite(predicted).all(1))):
            raise UserError(
                Fault(
                    "the prediction is not finite" + (f"; {len(bad):,} such rows" if len(bad) > 1 else ""),
                    f"data row {first_row + bad[0] + 1}",
                    remedy="its inputs are far outside the training range; correct them, or drop the row",
                )
            )
        return predicted
