"""What an estimator trains on, and its training alone."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float64
from rich.console import Console

from mlplab.api.keywords import Overrides, compose_run, keywords_of
from mlplab.api.training import process_as_before
from mlplab.cli.config_folders import SHIPPED
from mlplab.cli.overrides import key_of, read_overrides
from mlplab.config import TrainConfig
from mlplab.console import quiet
from mlplab.data.cache import DataCache
from mlplab.errors import Fault, UserError
from mlplab.runs.in_memory import train_alone
from mlplab.runs.predictions import unused_names
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.sweeps.grid import lines_of

NOTHING_BESIDE: Mapping[str, Any] = {
    "data.split.test": 0,
    "baselines": [],
    "figures": "none",
    "logger": [],
    "test_predictions": False,
}
"""Keys of a run of which only the networks are wanted, trained on all rows."""

TABLE_AND_SPLIT = ("data.path", "data/split")
"""Further keys that say on which rows a run trains."""


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Rows with a target, and the overrides of a run that trains on them."""

    frame: pl.DataFrame
    given: Overrides

    @classmethod
    def of(
        cls,
        columns: pl.DataFrame,
        target: Float64[np.ndarray, " *row_and_target"],
        weight: Float64[np.ndarray, " row"] | None,
        keys: Mapping[str, Any],
        overrides: str | Sequence[str],
    ) -> "TrainingSet":
        """From columns, targets and weights, which get names of their own.

        Raises:
            UserError: if an override is that of another key than estimators take.
        """
        targets = target[:, None] if target.ndim == 1 else target
        wanted = [f"y{number}" for number in range(targets.shape[1])]
        *names, weight_name = unused_names([*wanted, "sample_weight"], {*columns.columns})
        named = dict(zip(names, targets.T, strict=True)) | ({} if weight is None else {weight_name: weight})
        frame = columns.with_columns(pl.Series(name, values) for name, values in named.items())
        data = {"data": "frame", "data.target": names, "data.weight": None if weight is None else weight_name}
        own = {**data, **NOTHING_BESIDE, **keys}
        further = [overrides] if isinstance(overrides, str) else overrides
        if taken := [word for word in further if key_of(word) in (*own, *TABLE_AND_SPLIT)]:
            remedy = "leave it out of overrides; val, random_state and sample_weight are arguments"
            raise UserError(Fault("is set by the estimator", key_of(taken[0]), taken[0], remedy=remedy))
        return cls(frame, read_overrides(further, keywords=[*keywords_of(own)]))

    @property
    def overrides(self) -> tuple[str, ...]:
        """The overrides as typed."""
        return tuple(lines_of(self.given))

    def config(self) -> TrainConfig:
        """The configuration of the run. It does not depend on the current folder.

        Raises:
            UserError: if a key is wrong.
        """
        return compose_run(self.given, [SHIPPED])

    def train(self) -> Ensemble:
        """Trains the networks of the run.

        Raises:
            UserError: if a key or the table is wrong.
            RunFailed: if the loss becomes non-finite.
        """
        with silent_training():
            return train_alone(self.config(), DataCache(self.frame), Console(quiet=True), is_quiet=True).model


@contextmanager
def silent_training() -> Iterator[None]:
    """Within the block, training leaves torch as it is, and says nothing about the table."""
    with process_as_before(), quiet("mlplab"):
        yield
