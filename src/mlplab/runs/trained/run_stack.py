"""Trained runs that predict together, as one stacked network."""

from collections.abc import Sequence
from threading import Lock

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mlplab.data.loader import EVALUATION_MULTIPLE
from mlplab.errors import Fault, UserError
from mlplab.runs.predictions import weighted_mean
from mlplab.runs.trained.trained_run import TrainedRun

MEMBERS_AT_ONCE = 16
"""The most members of a forward pass."""

ROWS_AT_ONCE = 8192
"""Rows of a forward pass, those of all members together: enough to be fast. (A network of hidden layers cuts
them once more, to fit the processor's cache.)"""


class RunStack:
    """Trained runs whose features and architecture are the same, as one network.

    A member's predictions are the same alone and in any stack, bit for bit on a CPU.

    At most `MEMBERS_AT_ONCE` members are in the network at a time, which bounds its memory.

    Attributes:
        runs: the runs; the members are their networks in turn.
    """

    def __init__(self, runs: Sequence[TrainedRun]) -> None:
        self.runs = tuple(runs)
        self._states = [
            {name: tensor[member : member + 1] for name, tensor in run.state.items()}
            for run in runs
            for member in range(len(run.member_weights))
        ]
        passes = -(-len(self._states) // MEMBERS_AT_ONCE)
        self._size = -(-len(self._states) // passes)
        self._rows_at_once = ROWS_AT_ONCE // self._size // EVALUATION_MULTIPLE * EVALUATION_MULTIPLE
        self._network = runs[0].architecture.build(self._size)
        self._outputs = self._network.preprocessing.target_transform.outputs
        self._loaded = -1
        self._lock = Lock()  # of the network, for programs that predict in several threads

    def __len__(self) -> int:
        """Number of members."""
        return len(self._states)

    def __call__(self, x: Float[np.ndarray, "row feature"]) -> Float64[np.ndarray, "member row output"]:
        """Each member's predictions of rows of features, computed by the schema; NaN is a missing value."""
        rows, size, at_once = _padded(torch.from_numpy(x)), self._size, self._rows_at_once
        predicted = np.empty((len(self), len(rows), self._outputs))
        with self._lock, torch.inference_mode():
            for start in range(0, len(self), size):
                first = min(start, len(self) - size)  # the last pass may repeat some members
                self._load(first)
                for row in range(0, len(rows), at_once):
                    part = rows[row : row + at_once].expand(size, -1, -1)
                    predicted[first : first + size, row : row + at_once] = self._network(part).numpy()
        return predicted[:, : len(x)]

    def _load(self, first: int) -> None:
        """Loads the members from number `first` on into the network."""
        if first != self._loaded:
            states = self._states[first : first + self._size]
            self._network.load_state_dict(
                {name: torch.cat([state[name] for state in states]) for name in states[0]}
            )
            self._loaded = first


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
    groups: list[list[TrainedRun]] = []
    for run in runs:
        group = next((group for group in groups if _can_share(group[0], run)), None)
        if group is None:
            groups.append([run])
        else:
            group.append(run)
    return [RunStack(group) for group in groups]


def _can_share(one: TrainedRun, other: TrainedRun) -> bool:
    return (
        one.architecture == other.architecture
        and one.schema == other.schema
        and all(tensor.shape[1:] == other.state[name].shape[1:] for name, tensor in one.state.items())
    )


def predict_runs(
    runs: Sequence[TrainedRun], features: Sequence[Float[np.ndarray, "_ feature"]]
) -> list[Float64[np.ndarray, "_ output"]]:
    """The mean prediction of each run's members for rows of its own.

    Args:
        features: the rows of each run; runs with the same array predict as stacks.

    Raises:
        UserError: if a prediction is not finite.
    """
    arrays = {id(x): x for x in features}
    predicted: dict[int, Float64[np.ndarray, "_ output"]] = {}
    for key, x in arrays.items():
        for stack in stacked([run for run, each in zip(runs, features, strict=True) if id(each) == key]):
            values, first = stack(x), 0
            for run in stack.runs:
                members = slice(first, first := first + len(run.member_weights))
                predicted[id(run)] = weighted_mean(values[members], run.member_weights)
                check_finite(predicted[id(run)])
    return [predicted[id(run)] for run in runs]


def check_finite(predicted: Float64[np.ndarray, "row output"], first_row: int = 0) -> None:
    """Checks that all predictions are finite.

    Args:
        first_row: number of rows before these, for messages.

    Raises:
        UserError: otherwise.
    """
    if len(bad := np.flatnonzero(~np.isfinite(predicted).all(1))):
        what = "the prediction is not finite" + (f"; {len(bad):,} such rows" if len(bad) > 1 else "")
        remedy = "its inputs are far outside the training range; correct them, or drop the row"
        raise UserError(Fault(what, f"data row {first_row + bad[0] + 1}", remedy=remedy))
