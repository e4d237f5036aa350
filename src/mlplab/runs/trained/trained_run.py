"""A trained run, loaded from its folder alone. Needs torch, but not Lightning."""

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from mlplab.config import TrainConfig, parse
from mlplab.config.keys import differing
from mlplab.data.leaks.seen_rows import SeenRows
from mlplab.data.schema import Schema
from mlplab.errors import Fault, UserError, listed
from mlplab.models import Network
from mlplab.runs.discovery import read_config, read_metrics
from mlplab.runs.trained.architecture import Architecture, scratch_network
from mlplab.training import checkpoint


class TrainedRun:
    """The best network of a run, or the networks of its ensemble.

    Attributes:
        schema: the columns that the network takes, and its targets.
        config: the run's configuration.
        metrics: the content of its metrics.json.
        state: the tensors of the network: a stack of one member, or of those of an ensemble.
        architecture: what the shapes of these tensors follow from.
        members: the numbers of the members; those of an ensemble that diverged are missing.
        member_weights: the weight of each member in the mean prediction; their sum is 1.
        table: the fingerprint of the table and the split.
        seen: the rows in training or validation: its own, and those of the run of a warm start.

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
            self.seen = [
                SeenRows.from_arrays({name: tensor.numpy() for name, tensor in each.items()})
                for each in content["seen"]
            ]
            weights = dict(content["member_weights"])
            self.members = tuple(map(int, weights))
            self.member_weights: Float64[np.ndarray, " member"] = np.array([*weights.values()], np.float64)
            self.state = dict(content["state"])
            dtype = self.state["preprocessing.impute_value"].dtype
            self.architecture = Architecture.of(self.config, self.schema, dtype)
        except UserError as error:
            what = f"its configuration is not valid in this version: {error.faults[0].sentence()}"
            raise UserError(Fault(what, str(path), remedy=error.faults[0].remedy)) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"is damaged: an entry is missing or invalid ({error})"
            raise UserError(Fault(what, str(path), remedy="train again")) from error
        if differs:
            what = f"belongs to a different run: config.yaml in its folder differs in {listed(differs)}"
            raise UserError(Fault(what, str(path), remedy="copy whole run folders, or train again"))
        try:
            scratch_network(self.architecture, len(self.member_weights)).load_state_dict(self.state)
        except (RuntimeError, TypeError) as error:
            what = "contains weights that do not fit the network in its configuration"
            raise UserError(Fault(what, str(path), remedy="train again")) from error
        if not all(tensor.isfinite().all() for tensor in self.state.values()):
            raise UserError(Fault("contains weights that are not finite", str(path), remedy="train again"))

    @cached_property
    def network(self) -> Network:
        """The network of these tensors."""
        network = self.architecture.build(len(self.member_weights))
        network.load_state_dict(self.state)
        return network

    @property
    def dtype(self) -> type[np.floating]:
        """The type of the features."""
        return np.float64 if self.architecture.dtype == torch.float64 else np.float32
