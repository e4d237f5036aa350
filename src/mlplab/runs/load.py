"""Trained networks, from their folders alone. Needs torch, not Lightning."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from mlplab.config import TrainConfig, parse
from mlplab.data.matching import FrameLike, match
from mlplab.data.schema import Schema
from mlplab.errors import Fault, UserError, listed
from mlplab.keys import differing
from mlplab.nets import Encoder, Network, build_network
from mlplab.runs.find import finished_runs, read_config, read_metrics
from mlplab.training import checkpoint

ROWS_AT_ONCE = 8192
"""Rows of one forward pass; small enough for a hidden layer's values to stay in the processor's cache."""


class TrainedRun:
    """One run's best network.

    Attributes:
        schema: the columns it takes, and its target.
        config: the run's configuration.
        metrics: the content of its metrics.json.
        network: a stack of one.
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
            state = content["state"]
            encoder = Encoder.identity(1, len(self.schema.inputs), 1, state["encoder.x_mean"].dtype)
        except UserError as error:
            what = f"its configuration is not one of this version: {error.faults[0].sentence()}"
            raise UserError(Fault(what, str(path), remedy=error.faults[0].remedy)) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(Fault(f"is damaged: it lacks a part ({error})", str(path))) from error
        if differs:
            what = f"is of another run than config.yaml in its folder, which differs in {listed(differs)}"
            raise UserError(Fault(what, str(path), remedy="copy run folders whole, or train again"))
        self.network: Network = build_network([self.config.model], [self.config.seed], encoder)
        try:
            self.network.load_state_dict(state)
        except (RuntimeError, TypeError) as error:
            raise UserError(
                Fault("holds the weights of another network than its configuration says", str(path))
            ) from error
        if not all(tensor.isfinite().all() for tensor in self.network.state_dict().values()):
            raise UserError(Fault("holds weights that are not finite", str(path), remedy="train again"))
        self.network.eval()

    def predict(self, frame: FrameLike) -> Float64[np.ndarray, " row"]:
        """The target of each row, in its own units.

        Args:
            frame: has the schema's input columns, in any order; further columns are ignored.

        Raises:
            UserError: if a column is missing, or holds what is not a number.
        """
        return self.predict_matrix(match(self.schema, frame))

    def predict_matrix(
        self, x: Float64[np.ndarray, "row feature"], first_row: int = 0
    ) -> Float64[np.ndarray, " row"]:
        """As `predict`, of the schema's columns in its order; NaN is missing, and stands for the median.

        `first_row` is how many rows came before these, for messages.
        """
        centred = torch.from_numpy(x - self.schema.offsets).to(self.network.encoder.x_mean.dtype)
        with torch.inference_mode():
            parts = [
                self.network(self.network.encoder.filled(rows.unsqueeze(0)))[0, :, 0]
                for rows in torch.split(centred, ROWS_AT_ONCE)
            ]
        predicted: Float64[np.ndarray, " row"] = torch.cat(parts).numpy()
        if len(bad := np.flatnonzero(~np.isfinite(predicted))):
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
            if member.schema.names != self.schema.names or member.schema.target != self.schema.target:
                raise UserError(
                    Fault(
                        "takes other columns than the first run of its sweep",
                        str(member.folder),
                        remedy="name the folder of one run",
                    )
                )

    def predict(self, frame: FrameLike) -> Float64[np.ndarray, " row"]:
        """As `TrainedRun.predict`."""
        return self.predict_matrix(match(self.schema, frame))

    def predict_matrix(
        self, x: Float64[np.ndarray, "row feature"], first_row: int = 0
    ) -> Float64[np.ndarray, " row"]:
        """As `TrainedRun.predict_matrix`."""
        return np.mean([member.predict_matrix(x, first_row) for member in self.members], axis=0)


def load(folder: str | Path) -> TrainedRun | Ensemble:
    """The best network of a run's folder, or the ensemble of a sweep's finished runs.

    Raises:
        UserError: if there is no finished run, or a checkpoint is damaged, holds code, or is another's.
    """
    runs = [TrainedRun(run) for run in finished_runs(Path(folder))]
    return runs[0] if len(runs) == 1 else Ensemble(runs)
