"""What peers share: a search by Optuna, one trial at a time, until an error is reached.

It runs in a process of its own and prints its curve: moments, and the lowest validation error until then.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import time
from typing import Literal, NamedTuple

import numpy as np
import optuna
from optuna.pruners import MedianPruner, NopPruner, SuccessiveHalvingPruner

from benchmarks.rows import Rows

Pruner = Literal["none", "median", "halving"]

PRUNERS = {"none": NopPruner, "median": MedianPruner, "halving": SuccessiveHalvingPruner}


class Task(NamedTuple):
    """What is searched, beside what `command` says.

    Args:
        rows: the file of the rows, which are standardised.
        unit: the standard deviation of the target.
        target: the RMSE that ends the search, in the target's own unit.
        end: the moment that ends it otherwise, in seconds since 1970.
    """

    rows: str
    unit: float
    target: float
    end: float
    epochs: int
    seed: int
    pruner: Pruner


Train = Callable[[Task, Rows, optuna.Trial, Callable[[float], None]], None]
"""Trains the network of a trial, and passes on its RMSE on the validation rows after each epoch."""


def search(train: Train) -> None:
    """Searches as the command line tells."""
    task = Task(**json.loads(sys.argv[1]))
    rows, curve = Rows.load(Path(task.rows)), list[tuple[float, float]]()

    def objective(trial: optuna.Trial) -> float:
        errors: list[float] = []

        def report(rmse: float) -> None:
            errors.append(rmse * task.unit)
            trial.report(errors[-1], len(errors))
            if trial.should_prune():
                raise optuna.TrialPruned

        train(task, rows, trial, report)
        return float(np.nanmin(errors))

    def ended(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if trial.state == optuna.trial.TrialState.COMPLETE:
            curve.append((time(), study.best_value))
        if time() >= task.end or (curve and curve[-1][1] <= task.target):
            study.stop()

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=task.seed)
    study = optuna.create_study(sampler=sampler, pruner=PRUNERS[task.pruner]())
    study.optimize(objective, callbacks=[ended], catch=(ValueError,))  # of weights that are no longer finite
    print(json.dumps({"curve": curve, "trials": len(study.trials)}))
