"""The command evaluate with `select=N`: chooses the networks of an ensemble on the validation rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from rich.console import Console

from mlplab.commands.evaluate import EvaluationResult, own_data, score
from mlplab.commands.render import (
    BEST_RUN,
    ENSEMBLE,
    chosen_table,
    inside,
    score_table,
    validation_table,
)
from mlplab.config.metrics import sign_of
from mlplab.console import print_line
from mlplab.data.cache import DataCache, RunData
from mlplab.data.splits.split import PARTS, Rows
from mlplab.errors import Fault, UserError, listed
from mlplab.runs.discovery import finished_runs, is_ensemble
from mlplab.runs.folder import finite
from mlplab.runs.predictions import out_of_fold, weighted_mean
from mlplab.runs.scores import Scores
from mlplab.runs.selection import common_monitor, read_run, without_repeats
from mlplab.runs.tables import check_one_table
from mlplab.runs.trained.chosen_ensemble import check_replaceable, write_ensemble
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.greedy_selection import error_of, greedy_selection
from mlplab.runs.trained.run_stack import RunStack
from mlplab.runs.trained.trained_run import TrainedRun


@dataclass(frozen=True)
class Choice:
    """A chosen ensemble.

    Attributes:
        folder: its folder.
        weights: the weight of each chosen run, by name; the best single run comes first.
        metric: the name of the metric by which the runs were chosen: the one that they monitor, if possible.
        best: the score of the best single run on the validation rows.
        chosen: that of the ensemble.
        result: the scores on the test rows; of the members, the best single run comes first.
    """

    folder: Path
    weights: dict[str, float]
    metric: str
    best: float
    chosen: float
    result: EvaluationResult

    @property
    def test_scores(self) -> Scores:
        """The scores of the ensemble on the test rows."""
        return self.result.ensemble or self.result.members[0]


def select_ensemble(sweep: Path, steps: int, cache: DataCache | None = None) -> Choice:
    """Chooses runs of a sweep for an ensemble, and writes it to `SWEEP/ensemble-STEPS`.

    The runs are chosen by `greedy_selection` on the validation rows. The test rows only score the result.
    The folder holds copies of the chosen runs, and can be used in place of a sweep's. An earlier choice in
    it is replaced.

    Args:
        cache: may have read the tables already.

    Raises:
        UserError: if the folder is not a sweep's, if its runs have different tables, targets or splits, or if
            the folder of the ensemble contains other files.
    """
    if is_ensemble(sweep) or finished_runs(sweep) == [sweep]:
        kind = "a chosen ensemble" if is_ensemble(sweep) else "a single run"
        remedy = "give the folder of a sweep, or remove select="
        raise UserError(Fault("has no runs to choose from", str(sweep), kind, remedy=remedy))
    folder = sweep / f"ensemble-{steps}"
    check_replaceable(folder)
    results = without_repeats([read_run(run) for run in finished_runs(sweep)])
    check_one_table(results, sweep)
    runs = [TrainedRun(run.folder) for run in results]
    _check_comparable(runs, sweep)
    cache = cache or DataCache()
    data = own_data(runs[0], cache)
    predicted = [_validation_predictions(run, own_data(run, cache)) for run in runs]
    rows = reduce(np.intersect1d, [own for own, _ in predicted])  # ensembles have more than single networks
    if not len(rows):
        what, remedy = "the runs have no validation rows in common", "choose among runs with one split"
        raise UserError(Fault(what, str(sweep), remedy=remedy))
    predictions = np.stack([values[np.isin(own, rows)] for own, values in predicted])
    weight = None if data.table.weight is None else data.table.weight[rows]
    y, classes = data.table.y[rows], len(data.table.schema.classes)
    monitor = common_monitor(results)
    best = None  # of single runs and ensembles, which have other validation rows
    if len({run.config.get("ensemble") for run in results}) == 1:  # before probabilities are calibrated
        best = int(np.argmin([sign_of(monitor) * run.metric(monitor) for run in results]))
    metric = monitor.removeprefix("val/")
    if metric == "loss":  # which predictions alone do not determine
        metric = "log_loss" if classes else "rmse" if y.shape[1] == 1 else "standardised_rmse"
    error, sign = error_of(metric, y, weight, classes), sign_of(metric)
    counts = Counter(greedy_selection(predictions, error, steps, best))
    chosen, weights = list(counts), [count / steps for count in counts.values()]
    ensemble = Ensemble([runs[index] for index in chosen], weights)
    weight_of = dict(zip((run.folder for run in ensemble.members), weights, strict=True))
    choice = Choice(
        folder,
        {run.name: weight for run, weight in weight_of.items()},
        metric,
        sign * error(predictions[chosen[0]]),
        sign * error(weighted_mean(predictions[chosen], ensemble.weights)),
        score(ensemble, cache),
    )
    scores = {f"test/{name}": value for name, value in choice.test_scores.items()}
    write_ensemble(folder, weight_of, finite({f"val/{metric}": choice.chosen, **scores}))
    return choice


def print_choice(choice: Choice, console: Console) -> None:
    """Prints the runs of a chosen ensemble, its scores, and its folder."""
    console.print(chosen_table(choice.weights))
    console.print(validation_table(choice.metric, choice.best, choice.chosen))
    rows = {ENSEMBLE: choice.test_scores, BEST_RUN: choice.result.members[0], **choice.result.baselines}
    console.print(score_table(rows))
    print_line(console, f"ensemble folder: {inside(choice.folder)}")


def _check_comparable(runs: Sequence[TrainedRun], sweep: Path) -> None:
    """Checks that the tables and splits of all runs have the same content.

    Raises:
        UserError: otherwise, with the first difference.
    """
    first = runs[0]
    for run in runs[1:]:
        differing = [key for key in first.table if run.table.get(key) != first.table[key]]
        parts = [part for part in PARTS if part in differing]
        if parts or {"rows", "sha256"} & {*differing}:
            different = "tables" if {"rows", "sha256"} & {*differing} else f"{listed(parts)} rows"
            what, where = f"the runs have different {different}", f"{first.folder} and {run.folder.name}"
            remedy = "choose among runs with the same table and data.split.*, or average them all: "
            raise UserError(Fault(what, where, remedy=f"{remedy}run={sweep} runs=all data.path=…"))


def _validation_predictions(run: TrainedRun, data: RunData) -> tuple[Rows, Float64[np.ndarray, "_ output"]]:
    """The validation rows of a run and its predictions for them; of an ensemble, those out of fold."""
    held_out = [data.members[member].split.val for member in run.members]
    rows = np.unique(np.concatenate(held_out))
    predicted = RunStack([run])(data.table.x[rows])
    own = [values[np.isin(rows, of_member)] for values, of_member in zip(predicted, held_out, strict=True)]
    return out_of_fold(held_out, own)
