"""Trained runs that predict together, as one stacked network."""

from collections.abc import Mapping, Sequence
from threading import Lock

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mlplab.config import Mlp
from mlplab.data.batches.loader import EVALUATION_MULTIPLE
from mlplab.models import Network
from mlplab.runs.trained.trained_run import TrainedRun

MEMBERS_AT_ONCE = 16
"""The most members of a forward pass, which bounds the memory of the network."""

ROWS_AT_ONCE = 8192
"""Rows of a forward pass, those of all members together: enough to be fast. (A network of hidden layers cuts
them once more, to fit the processor's cache.)"""


class RunStack:
    """Trained runs with equal `stack_key`, as one network.

    A member's predictions are the same alone and in any stack, bit for bit on a CPU.

    Raises:
        UserError: if the weights do not fit the network.
    """

    def __init__(self, runs: Sequence[TrainedRun]) -> None:
        self.runs = tuple(runs)
        self._states = [
            {name: tensor[member : member + 1] for name, tensor in run.state.items()}
            for run in runs
            for member in range(len(run.members))
        ]
        self._models = [model for run in runs for model in run.models]
        passes = -(-len(self._states) // MEMBERS_AT_ONCE)
        self._size = -(-len(self._states) // passes)
        self._rows_at_once = ROWS_AT_ONCE // self._size // EVALUATION_MULTIPLE * EVALUATION_MULTIPLE
        self._lock = Lock()  # of the networks, for programs that predict in several threads
        self._networks = dict[str, Network]()
        self._loaded = -1
        self._load(0)

    def __reduce__(self) -> tuple[object, ...]:
        """For pickle, which cannot copy the lock."""
        return RunStack, (self.runs,)

    def __call__(self, x: Float[np.ndarray, "row feature"]) -> Float64[np.ndarray, "member row output"]:
        """Each member's predictions of rows of features, computed by the schema; NaN is a missing value."""
        rows, size, at_once = _padded(torch.from_numpy(x)), self._size, self._rows_at_once
        members = len(self._states)
        predicted = np.empty((members, len(rows), self.runs[0].outputs))
        with self._lock, torch.inference_mode():
            for start in range(0, members, size):
                first = min(start, members - size)  # the last pass may repeat some members
                network = self._load(first)
                for row in range(0, len(rows), at_once):
                    part = rows[row : row + at_once].expand(size, -1, -1)
                    predicted[first : first + size, row : row + at_once] = network(part).numpy()
        return predicted[:, : len(x)]

    def _load(self, first: int) -> Network:
        """The network of the members from number `first` on; there is one for each order of activations."""
        chosen = slice(first, first + self._size)
        models, states = self._models[chosen], self._states[chosen]
        activations = str([model.activation for model in models if isinstance(model, Mlp)])
        if activations not in self._networks:
            self._networks[activations] = self.runs[0].build_network(models)
        network = self._networks[activations]
        if first != self._loaded:
            self.runs[0].load_into(network, _stacked_states(states))
            self._loaded = first
        return network

    def whole_network(self) -> Network:
        """All members as one network."""
        network = self.runs[0].build_network(self._models)
        self.runs[0].load_into(network, _stacked_states(self._states))
        return network


def _stacked_states(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([state[name] for state in states]) for name in states[0]}


def _padded(rows: Float[Tensor, "row feature"]) -> Float[Tensor, "padded feature"]:
    """The rows, and the last one repeated up to a multiple of `EVALUATION_MULTIPLE`.

    Otherwise the rounding of the last rows would depend on how passes are cut, and so on the number of
    members. Fewer rows are never cut.
    """
    lacking = -len(rows) % EVALUATION_MULTIPLE
    if len(rows) < EVALUATION_MULTIPLE or not lacking:
        return rows
    return torch.cat([rows, rows[-1:].expand(lacking, -1)])


def stacked(runs: Sequence[TrainedRun]) -> list[RunStack]:
    """The stacks of runs that can share one."""
    keys = [run.stack_key for run in runs]
    distinct = [key for place, key in enumerate(keys) if keys.index(key) == place]
    return [RunStack([run for run in runs if run.stack_key == key]) for key in distinct]
