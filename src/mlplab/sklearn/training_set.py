"""What an estimator trains on: X as columns, y, keys; and its training, alone or together with others."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from hydra.core.override_parser.types import Override
from jaxtyping import Float64
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from mlplab.api.keywords import keywords_of
from mlplab.api.training import process_as_before
from mlplab.composition.compose import compose_run
from mlplab.composition.config_folders import SHIPPED
from mlplab.composition.overrides import key_of, read_overrides
from mlplab.config import FrameData, TrainConfig
from mlplab.console import quiet
from mlplab.data.cache import DataCache, RunData
from mlplab.data.frames import in_memory, to_polars
from mlplab.data.schema import Schema
from mlplab.errors import Fault, RunFailed, UserError
from mlplab.runs.in_memory import train_alone, train_in_memory
from mlplab.runs.planned_run import PlannedRun, resolved
from mlplab.runs.predictions import unused_names
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.sweeps.grid import lines_of
from mlplab.sweeps.plan import cut, stack_key, training_cost

Input = Any  # a frame, an array or a list, as scikit-learn takes them; it has no types

# The configurations of the latest training sets: to compose one takes longer than to train on a small table.
CONFIGS = dict[tuple[str, ...], TrainConfig]()


def as_columns(estimator: BaseEstimator, X: Input, *, reset: bool) -> pl.DataFrame:  # noqa: N803
    """The columns of a frame or an array, with their names in `fit`: x0, x1, … if these are not text.

    Args:
        reset: whether to set the attributes about the columns, as in `fit`, instead of checking them.

    Raises:
        ValueError: if X is neither a frame nor an array, or has other columns than in `fit`.
    """
    X = in_memory(X)  # noqa: N806
    if is_frame := hasattr(X, "columns"):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
    else:
        X = validate_data(estimator, X, reset=reset, dtype=None, ensure_all_finite="allow-nan")  # noqa: N806
    names = [*getattr(estimator, "feature_names_in_", ())]
    names = names or [f"x{number}" for number in range(estimator.n_features_in_)]
    if not is_frame:
        return to_polars(dict(zip(names, X.T, strict=True)), "X")
    if hasattr(X, "set_axis"):  # pandas' names may be numbers
        X = X.set_axis(names, axis=1)  # noqa: N806
    return to_polars(X, "X", names).rename(dict(zip(X.columns, names, strict=True)))


@dataclass(frozen=True)
class TrainingSet:
    """Rows with a target, and the overrides of a run that trains on them."""

    frame: pl.DataFrame
    given: Sequence[Override]

    @property
    def overrides(self) -> tuple[str, ...]:
        """The overrides as typed."""
        return tuple(lines_of(self.given))

    def config(self) -> TrainConfig:
        """The configuration of the run. It does not depend on the current folder.

        Raises:
            UserError: if a key is wrong.
        """
        if self.overrides not in CONFIGS:
            if len(CONFIGS) >= 100:
                CONFIGS.clear()
            CONFIGS[self.overrides] = compose_run(self.given, [SHIPPED])
        return CONFIGS[self.overrides]

    def train(self) -> Ensemble:
        """Trains the networks of the run.

        Raises:
            UserError: if a key or the table is wrong.
            RunFailed: if the loss becomes non-finite.
        """
        with process_as_before(), quiet("mlplab"):
            return train_alone(self.config(), DataCache(self.frame)).model


def training_set(
    columns: pl.DataFrame,
    target: Float64[np.ndarray, " *row_and_target"],
    weight: Float64[np.ndarray, " row"] | None,
    keys: Mapping[str, object],
    overrides: str | Sequence[str],
) -> TrainingSet:
    """The rows with their targets and weights as further columns, and the overrides of a run on them.

    Raises:
        UserError: if an override is that of another key than estimators take.
    """
    targets = target[:, None] if target.ndim == 1 else target
    wanted = [f"y{number}" for number in range(targets.shape[1])]
    *names, weight_name = unused_names([*wanted, "sample_weight"], {*columns.columns})
    named = dict(zip(names, targets.T, strict=True)) | ({} if weight is None else {weight_name: weight})
    frame = columns.with_columns(pl.Series(name, values) for name, values in named.items())
    data = {"data": "frame", "data.target": names, "data.weight": None if weight is None else weight_name}
    # Only the networks are wanted, trained on all rows.
    beside = {"baselines": [], "figures": "none", "logger": [], "test_predictions": False}
    own = {**data, "data.split.test": 0, **beside, **keys}
    further = [overrides] if isinstance(overrides, str) else overrides
    if taken := [word for word in further if key_of(word) in (*own, "data.path", "data/split")]:
        remedy = "leave it out of overrides; val, random_state and sample_weight are arguments"
        raise UserError(Fault("is set by the estimator", key_of(taken[0]), taken[0], remedy=remedy))
    return TrainingSet(frame, read_overrides(further, keywords=[*keywords_of(own)]))


class _Frames(DataCache):
    def __init__(self) -> None:
        super().__init__()
        self.caches: dict[str, DataCache] = {}

    def data(self, run: TrainConfig, like: Schema | None = None) -> RunData:
        """The table and split of a run on one of the frames."""
        assert isinstance(run.data, FrameData)
        return self.caches[run.data.fingerprint].data(run, like)


def train_together(sets: Sequence[TrainingSet]) -> list[Ensemble | Exception]:
    """The networks of training sets, in as few stacks as possible, or why they cannot be trained.

    What fails with others is trained alone, and then fails as it does alone.
    """
    networks: list[Ensemble | Exception] = []
    for each, together in zip(sets, _in_stacks(sets), strict=True):
        try:
            networks.append(together or each.train())
        except (UserError, RunFailed) as error:
            networks.append(error)
    return networks


def _in_stacks(sets: Sequence[TrainingSet]) -> list[Ensemble | None]:
    frames, groups = _Frames(), dict[str, list[PlannedRun]]()
    networks: list[Ensemble | None] = [None] * len(sets)
    with process_as_before(), quiet("mlplab"):
        for number, each in enumerate(sets):
            with suppress(UserError):
                cache = DataCache(each.frame)
                run = PlannedRun(resolved(each.config(), cache, alone=True), Path(str(number)))
                frames.caches.setdefault(str(cache.data(run.config).table.fingerprint["sha256"]), cache)
                groups.setdefault(stack_key(run, frames), []).append(run)
        for group in groups.values():
            size = training_cost(frames, group[0].config).runs(None)
            for stack in cut(group, math.ceil(len(group) / size)):
                with suppress(UserError):
                    for run, ended in zip(stack, train_in_memory(stack, frames), strict=True):
                        is_done = ended.outcome.status == "done"
                        networks[int(run.folder.name)] = ended.model if is_done else None
    return networks
