"""Trained runs that predict together, as one stacked network."""

from collections.abc import Sequence
from threading import Lock

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mlplab.config import ResolvedModel
from mlplab.data.batches.loader import EVALUATION_MULTIPLE
from mlplab.models import Network
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.scoring.mean_predictions import OfMembers

MEMBERS_AT_ONCE = 16  # the most members of a forward pass, which bounds the memory of the network

# Rows of a forward pass, those of all members together: enough to be fast. (A network of hidden layers cuts
# them once more, to fit the processor's cache.)
ROWS_AT_ONCE = 8192


class RunStack:
    """Trained runs with equal `stack_key`, as one network.

    A member's predictions are the same alone and in any stack, bit for bit on a CPU.

    Raises:
        UserError: if the weights do not fit the network.
    """

    def __init__(self, runs: Sequence[TrainedRun]) -> None:
        self.runs = tuple(runs)
        self._lock = Lock()  # of the networks, for programs that predict in several threads
        self._members: list[tuple[ResolvedModel, dict[str, Tensor]]] = [
            (model, {name: tensor[place : place + 1] for name, tensor in run.state.items()})
            for run in runs
            for place, model in enumerate(run.models)
        ]
        self._networks = dict[str, tuple[int, Network]]()  # with the first member that is loaded
        self._load(0)

    def __reduce__(self) -> tuple[object, ...]:
        """For pickle, which cannot copy the lock."""
        return RunStack, (self.runs,)

    def __call__(self, x: Float[np.ndarray, "row feature"]) -> OfMembers:
        """Each member's predictions of rows of features, computed by the schema; NaN is a missing value."""
        rows, lacking = torch.from_numpy(x), -len(x) % EVALUATION_MULTIPLE
        # Otherwise the rounding of the last rows would depend on how passes are cut, and so on the number of
        # members. Fewer rows are never cut.
        if len(x) > EVALUATION_MULTIPLE and lacking:
            rows = torch.cat([rows, rows[-1:].expand(lacking, -1)])
        starts = range(0, len(self._members), MEMBERS_AT_ONCE)
        with self._lock, torch.inference_mode():
            return np.concatenate([_predicted(self._load(start), rows)[:, : len(x)] for start in starts])

    def _load(self, start: int) -> Network:
        """The network of the members from number `start` on; passes with equal activations share one."""
        models, states = zip(*self._members[start:][:MEMBERS_AT_ONCE], strict=True)
        activations = str([getattr(model, "activation", None) for model in models])
        loaded, network = self._networks.get(activations, (0, None))
        if network is None:
            network = self.runs[0].network_of(models, _joined(states))
        elif loaded != start:
            network.load_state_dict(_joined(states))
        self._networks[activations] = start, network
        return network

    def whole_network(self) -> Network:
        """All members as one network."""
        models, states = zip(*self._members, strict=True)
        return self.runs[0].network_of(models, _joined(states))


def _joined(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([state[name] for state in states]) for name in states[0]}


def _predicted(network: Network, rows: Float[Tensor, "row feature"]) -> OfMembers:
    members = len(network.preprocessing.impute_value)
    at_once = ROWS_AT_ONCE // members // EVALUATION_MULTIPLE * EVALUATION_MULTIPLE
    blocks = (network(block.expand(members, -1, -1)) for block in torch.split(rows, at_once))
    return torch.cat([*blocks], 1).double().numpy()


def stacked(runs: Sequence[TrainedRun]) -> list[RunStack]:
    """The stacks of runs that can share one."""
    keys = [run.stack_key for run in runs]
    distinct = [key for place, key in enumerate(keys) if keys.index(key) == place]
    return [RunStack([run for run in runs if run.stack_key == key]) for key in distinct]
