"""What a search leaves in its folder."""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from mlplab.errors import RunFailed
from mlplab.runs.discovery import read_metrics

Curve = list[tuple[float, float]]
"""Moments, and the lowest error until then."""


def metrics_of(sweep: Path) -> dict[str, dict[str, Any]]:
    """The metrics.json of each trial, by the name of its folder."""
    return {folder.name: read_metrics(folder) for folder in sorted(sweep.glob("trial-*"))}


def best_of(sweep: Path) -> dict[str, Any]:
    """The content of best.yaml."""
    return yaml.safe_load((sweep / "best.yaml").read_text(encoding="utf-8"))


def trials_of(sweep: Path) -> list[FrozenTrial]:
    """The trials of the study, by their numbers.

    Raises:
        RunFailed: if the journal holds another number of studies than one.
    """
    storage = JournalStorage(JournalFileBackend(str(sweep / "study.journal")))
    names = optuna.study.get_all_study_names(storage)
    if len(names) != 1:
        raise RunFailed(f"{sweep}/study.journal holds {len(names)} studies")
    return storage.get_all_trials(storage.get_study_id_from_name(names[0]))


def curve_of(trials: Sequence[FrozenTrial]) -> Curve:
    """The lowest error so far, in seconds since 1970, whenever a trial is complete."""
    ended = sorted(
        (trial.datetime_complete.timestamp(), trial.value)
        for trial in trials
        if trial.state == TrialState.COMPLETE and trial.datetime_complete and trial.value is not None
    )
    lowest = accumulate((value for _, value in ended), min)
    return [(moment, value) for (moment, _), value in zip(ended, lowest, strict=True)]
