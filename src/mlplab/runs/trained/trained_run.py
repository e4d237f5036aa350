"""A trained run, loaded from its folder alone. Needs torch, but not Lightning."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from mlplab.config import CustomModel, Mlp, ResolvedConfig, ResolvedModel, differing, parse_resolved
from mlplab.config.metrics import DEFAULT_THRESHOLD
from mlplab.config.unknown_keys import UNKNOWN_KEY
from mlplab.conformal.intervals import Uncertainty
from mlplab.conformal.residual_quantiles import Residuals
from mlplab.data.leaks.seen_rows import SeenRows
from mlplab.data.schema import Schema
from mlplab.errors import Fault, UserError, listed, refusal
from mlplab.files import Plain
from mlplab.models import FeatureLayout, Network, NetworkPlan, build_network
from mlplab.runs import checkpoint
from mlplab.runs.read_folder import read_config, read_metrics, read_version
from mlplab.runs.versions import converted, unreadable
from mlplab.training.run import member_configs

BEST = Path("checkpoints", "best.ckpt")

IMPUTE_VALUE = "preprocessing.impute_value"  # the tensor that every network has, of the type of the features

# What a checkpoint of a run may contain. A later version may add what predictions depend on.
ENTRIES = {
    *("format", "epoch", "metrics", "config", "schema", "table", "member_weights", "state"),
    *("residuals", "seen", "training"),
}


@dataclass(eq=False)
class TrainedRun:
    """The network of a run after some epochs, or the networks of its ensemble: the best, or the last.

    Args:
        table: the fingerprint of the table and the split.
        epoch: the number of epochs of training.
        metrics: the content of its metrics.json.
        threshold: the probability from which the second of two classes is predicted.
        weights: of the members in the mean prediction, by their numbers; those of an ensemble that diverged
            are missing. Their sum is 1.
        state: the tensors of the network: a stack of one member, or of those of an ensemble.
        folder: of the run, for messages.
        residuals: of the rows that were held out, for intervals and sets; none in runs from before 0.19.
        seen: the rows in training or validation: its own, and those of the run of a warm start. None in a
            file that was saved without them.

    Attributes:
        quantiles: the levels of the quantiles that it predicts; none if it predicts targets or classes.
        outputs: the number of outputs of its network.
        models: the configuration of each member's network, without dropout.
        member_weights: the weight of each member.
        dtype: the type of the features.
    """

    config: ResolvedConfig
    schema: Schema
    table: Mapping[str, int | str]
    epoch: int
    metrics: Plain
    threshold: float
    weights: Mapping[int, float]
    state: Mapping[str, Tensor]
    folder: Path
    residuals: Sequence[Residuals] = ()
    seen: Sequence[SeenRows] | None = None

    def __post_init__(self) -> None:
        configs = member_configs(self.config)
        self.quantiles = self.config.quantiles
        self.outputs = len(self.quantiles) or self.schema.outputs
        models = (configs[member].model for member in self.weights)
        without_dropout = {"dropout": 0.0}  # which does not act in predictions
        self.models = [
            model.model_copy(update=without_dropout) if isinstance(model, Mlp) else model for model in models
        ]
        self.member_weights: Float64[np.ndarray, " member"] = np.array([*self.weights.values()], np.float64)
        self.dtype = np.float64 if self.state[IMPUTE_VALUE].dtype == torch.float64 else np.float32

    @classmethod
    def read(cls, folder: Path) -> "TrainedRun":
        """The run in a folder.

        Raises:
            UserError: if there is no run, its checkpoint is damaged, or belongs to another run.
        """
        version, metrics, saved = read_version(folder), read_metrics(folder), read_config(folder)
        content = converted(checkpoint.load(folder / BEST), version)
        try:
            weights, state = dict(content["member_weights"]).items(), dict(content["state"])
            run = cls(
                config=parse_resolved(content["config"]),
                schema=Schema.from_plain(content["schema"]),
                # Interned, as other keys are: files that are saved again then have the same bytes.
                table={sys.intern(name): value for name, value in dict(content["table"]).items()},
                epoch=int(content["epoch"]),
                metrics=metrics,
                threshold=float(content["metrics"].get("threshold", DEFAULT_THRESHOLD)),
                weights={int(member): float(weight) for member, weight in weights},
                state=state,
                folder=folder,
                residuals=tuple(map(Residuals.from_arrays, _arrays(content.get("residuals", [])))),
                seen=seen_of(content),
            )
            for name in (IMPUTE_VALUE, *state):
                if not isinstance(state[name], Tensor):
                    raise TypeError(f"{name!r} is no tensor")
            if unknown := content.keys() - ENTRIES:
                raise ValueError(f"{min(unknown)!r} is unknown")
        except UserError as error:
            fault = max(error.faults, key=lambda fault: fault.what == UNKNOWN_KEY)
            what = f"its configuration is not valid in this version: {fault.sentence()}"
            raise unreadable(Fault(what, str(folder / BEST), remedy=fault.remedy), version) from error
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            what = f"is damaged: an entry is missing or invalid ({error})"
            raise unreadable(Fault(what, str(folder / BEST), remedy="train again"), version) from error
        run.check_finite()
        if differs := differing(saved, content["config"]):
            what = f"belongs to a different run: config.yaml in its folder differs in {listed(differs)}"
            raise run._refused(what, "copy whole run folders, or train again")
        return run

    def with_offsets(self, schema: Schema) -> "TrainedRun":
        """The same networks, for features of a schema that differs in offsets alone."""
        if schema.offsets == self.schema.offsets:
            return self
        old, new = torch.tensor([self.schema.offsets, schema.offsets], dtype=torch.float64)
        network = self.network_of(self.models, self.state)
        for member in range(len(self.weights)):
            network.shift(member, old - new)
        return replace(self, schema=schema, state=network.state_dict())

    def check_finite(self) -> None:
        """Raises UserError if a weight is not finite."""
        if not all(tensor.isfinite().all() for tensor in self.state.values()):
            raise self._refused("contains weights that are not finite")

    def content(self, *, seen: bool = True) -> Plain:
        """What its checkpoint holds: all that predictions need; with the rows seen, if they are known."""
        return {
            "epoch": self.epoch,
            "metrics": self.metrics,
            "config": self.config.plain(),
            "schema": self.schema.plain(),
            "table": self.table,
            "member_weights": dict(self.weights),
            "state": self.state,
            "residuals": [tensors(of_target.arrays()) for of_target in self.residuals],
            **(seen_entry(self.seen) if seen else {}),
        }

    def _refused(self, what: str, remedy: str = "train again") -> UserError:
        return refusal(what, self.folder / BEST, remedy)

    @property
    def uncertainty(self) -> Uncertainty:
        """The intervals or prediction sets around its predictions."""
        return Uncertainty(self.schema, [self.residuals], self.quantiles)

    @cached_property
    def stack_key(self) -> tuple[object, ...]:
        """Runs with equal keys can predict as one stack."""
        model = self.models[0]
        shapes = {name: (tensor.shape[1:], tensor.dtype) for name, tensor in self.state.items()}
        seed = self.config.seed if isinstance(model, CustomModel) else None  # which may do anything
        if isinstance(model, Mlp):  # each network has its own
            model = model.model_copy(update={"activation": None})
        return model, seed, self.schema, shapes, self.quantiles

    def network_of(self, models: Sequence[ResolvedModel], state: Mapping[str, Tensor]) -> Network:
        """A network for predictions.

        Args:
            models, state: those of its members, from runs with the same `stack_key`.

        Raises:
            UserError: if a custom network class cannot be found, its tensors have no member axis, or the
                weights do not fit.
        """
        schema, weights = self.schema, None
        if self.config.data.class_weights != "none":
            weights = torch.ones(len(models), 1, len(schema.classes), dtype=torch.float64)
        sizes = len(schema.targets), len(schema.classes), self.quantiles
        layout = FeatureLayout(schema.category_counts, schema.missing, *sizes)
        seeds = [self.config.seed] * len(models)
        dtype = self.state[IMPUTE_VALUE].dtype
        network = build_network(NetworkPlan(models, seeds, layout, dtype, class_weight=weights))
        try:
            network.load_state_dict(state)
        except (RuntimeError, TypeError) as error:
            what = "contains weights that do not fit the network in its configuration"
            raise self._refused(what) from error
        return network.eval()

    @cached_property
    def network(self) -> Network:
        """The network of these tensors.

        Raises:
            UserError: as `network_of`.
        """
        return self.network_of(self.models, self.state)


def tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Arrays as tensors, for a checkpoint."""
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def seen_entry(seen: Sequence[SeenRows] | None) -> Plain:
    """The entry of a checkpoint about the rows seen; none if they are unknown."""
    return {} if seen is None else {"seen": [tensors(rows.arrays()) for rows in seen]}


def seen_of(content: Plain) -> list[SeenRows] | None:
    """The rows seen, by a checkpoint; None if it has no `seen_entry`."""
    return [*map(SeenRows.from_arrays, _arrays(content["seen"]))] if "seen" in content else None


def _arrays(parts: Sequence[Mapping[str, Tensor]]) -> list[dict[str, np.ndarray]]:
    return [{name: tensor.numpy() for name, tensor in part.items()} for part in parts]
