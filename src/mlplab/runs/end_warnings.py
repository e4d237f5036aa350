"""Warnings in the log of a run that has ended: lost members, epochs in vain, classes never predicted."""

import numpy as np

from mlplab.config import CsvData, chosen
from mlplab.config.metrics import BASELINES, CLASSIFICATION, REGRESSION
from mlplab.data.leaks.target_leaks import CLASS_ERRORS, UNEXPLAINED
from mlplab.errors import listed, shortened
from mlplab.runs.baselines.fitted import baseline_part_scores
from mlplab.runs.folder import Metrics
from mlplab.runs.run_test import RunTest
from mlplab.runs.stack_trainer import StackTrainer

EARLY = 0.1
"""A best epoch within this share of the epochs is early."""

FEWEST_EPOCHS = 20
"""Fewest epochs of a run whose best epoch can be early."""

FEWEST_CLASSES = 100
"""Fewest validation rows whose classes a baseline does not all predict by chance."""


def end_warnings(trainer: StackTrainer, index: int, metrics: Metrics) -> list[str]:
    """Warnings about a run that is `done`.

    Args:
        metrics: the content of its metrics.json.
    """
    warnings = excluded_members(trainer, index)
    best, epochs = metrics["best_epoch"], metrics["epochs"]
    if epochs == trainer.trainer.max_epochs:  # otherwise, early stopping has ended it
        warnings += early_best_epoch(best, epochs, metrics["seconds"])
    config = trainer.runs[index].config
    if config.test:
        warnings += exact_baselines(trainer.tested(index), metrics["seconds"])
    if config.test and (config.test_predictions or chosen(config.ensemble) > 1):  # which are only kept then
        warnings += never_predicted(trainer.tested(index))
    return warnings


def excluded_members(trainer: StackTrainer, index: int) -> list[str]:
    """A line about the members of an ensemble that diverged, if there are any."""
    members, left = trainer.members(index), trainer.sound_members(index)
    lost = len(members) - len(left)
    if not lost:
        return []
    reasons = trainer.stack.module.diverged
    first = next(reasons[member] for member in members if member in reasons)
    return [f"{lost} of the {len(members)} networks diverged; the ensemble is made of the others. {first}"]


def early_best_epoch(best: int, epochs: int, seconds: float) -> list[str]:
    """A warning if all that improved a run happened at the beginning of its epochs.

    As the best epoch is then within the patience of the remedy, that leads to the same network.
    """
    if epochs < FEWEST_EPOCHS or best > EARLY * epochs:
        return []
    wasted, patience, fewer = seconds * (1 - best / epochs), max(5, round(EARLY * epochs)), max(10, 5 * best)
    took = f" in {wasted:.0f} s" if wasted >= 1 else ""
    return [
        f"the best epoch is {best} of {epochs}; those after it brought no improvement{took}: stop such "
        f"training early (callbacks.early_stopping.patience={patience}), or plan fewer epochs "
        f"(trainer.max_epochs={fewer})"
    ]


def exact_baselines(test: RunTest, seconds: float) -> list[str]:
    """A warning if a baseline predicts the validation rows almost perfectly, and no column alone does.

    Args:
        seconds: the time that the run's training took.
    """
    data, table, run = test.data, test.data.table, test.config
    if not isinstance(run.data, CsvData) or data.bagged or data.target_leaks:  # bagged: fitted to val, too
        return []
    scores = baseline_part_scores(data, run.baselines, seconds, run.threads, "val")
    if not table.schema.classes:
        exact = [name for name, of in scores.items() if of["r2"] >= 1 - UNEXPLAINED]
    elif len(data.split.val) >= FEWEST_CLASSES and "constant" in scores:
        share = CLASS_ERRORS * (1 - scores["constant"]["accuracy"])
        exact = [name for name, of in scores.items() if 1 - of["accuracy"] < share]
    else:
        exact = []
    names = BASELINES[CLASSIFICATION if table.schema.classes else REGRESSION]
    what = (
        "predicts the validation rows almost perfectly: unless the target follows exactly from the columns, "
    )
    remedy = "one may contain it; scripts/evaluate.py with importance=true shows which columns matter"
    return [f"{names[name]} {what}{remedy}" for name in exact[:1]]


def never_predicted(test: RunTest) -> list[str]:
    """A warning if there are test rows of classes that are predicted for none of them."""
    data, classes = test.data, test.data.table.schema.classes
    if not classes:
        return []
    predicted = test.predictions().argmax(1)
    true, train, times = (
        np.bincount(numbers.astype(np.int64), minlength=len(classes))
        for numbers in (
            data.table.y[data.split.test[: len(predicted)], 0],
            data.table.y[data.split.train, 0],
            predicted,
        )
    )
    missed = np.flatnonzero((true > 0) & (times == 0))
    if not len(missed):
        return []
    named = [
        f"{shortened(classes[number])} ({true[number]:,} of the {len(predicted):,} test rows, "
        f"{100 * train[number] / train.sum():.3g}% of the training rows)"
        for number in missed
    ]
    remedy = ""
    if test.config.data.class_weights == "none" and (train[missed] < train.mean()).any():
        remedy = ": data.class_weights=balanced makes rare classes more likely, at the cost of log_loss"
    return [f"never predicted: {listed(named, 5)}{remedy}"]
