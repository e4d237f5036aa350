"""The command evaluate with `select=N`: chooses the networks of an ensemble on the validation rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from mlplab.commands.evaluate import EvaluationResult, own_data, score
from mlplab.commands.render import format_score, score_table
from mlplab.config.metrics import metrics_of, sign_of
from mlplab.console import print_line
from mlplab.data.cache import DataCache, RunData
from mlplab.data.splits.split import PARTS, Rows, distinct
from mlplab.errors import Fault, UserError, listed, refusal
from mlplab.runs.compare.ranking import common_monitor, without_repeats
from mlplab.runs.compare.run_result import check_one_table, read_run
from mlplab.runs.discovery import ChosenEnsemble, finished_runs
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.greedy_selection import STANDARDISED_RMSE, error_of, greedy_selection
from mlplab.runs.trained.run_stack import RunStack
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.outcome import finite
from mlplab.training.scoring.mean_predictions import HeldOut, out_of_fold, weighted_mean
from mlplab.training.scoring.scores import Scores
from mlplab.typed_commands import inside

# Names of an ensemble chosen on the validation rows, and of the run that is best there.
ENSEMBLE, BEST_RUN = "chosen ensemble", "best single run"


@dataclass(frozen=True)
class Choice:
    """A chosen ensemble.

    Attributes:
        weights: the weight of each chosen run, by name; the best single run comes first.
        metric: the name of the metric by which the runs were chosen: the one that they monitor, if possible.
        best: the score of the best single run on the validation rows; `chosen` is that of the ensemble.
        result: the scores on the test rows, if there are any; of the runs, the best single run comes first.
    """

    file: Path
    weights: dict[str, float]
    metric: str
    best: float
    chosen: float
    result: EvaluationResult | None

    @property
    def test_scores(self) -> Scores:
        """The scores of the ensemble on the test rows; empty without test rows."""
        return (self.result.ensemble or self.result.runs[0]) if self.result else {}


def select_ensemble(sweep: Path, steps: int, cache: DataCache | None = None) -> Choice:
    """Chooses runs of a sweep for an ensemble, and writes their weights to `SWEEP/ensemble-STEPS.json`.

    The runs are chosen by `greedy_selection` on the validation rows. The test rows only score the result.
    The file can be used in place of a run's folder. An earlier choice is replaced.

    Raises:
        UserError: if the folder is not a sweep's, or its runs have different tables, targets or splits.
    """
    if sweep.is_file() or finished_runs(sweep) == [sweep]:
        found = "a file" if sweep.is_file() else "a single run"
        remedy = "give the folder of a sweep, or remove select="
        raise UserError(Fault("has no runs to choose from", str(sweep), found, remedy=remedy))
    results = without_repeats([read_run(run) for run in finished_runs(sweep)])
    check_one_table(results, sweep)
    runs = [TrainedRun.read(run.folder) for run in results]
    _check_comparable(runs, sweep)
    cache = cache or DataCache()
    data = own_data(runs[0], cache)
    predicted = [_validation_predictions(run, own_data(run, cache)) for run in runs]
    rows = reduce(np.intersect1d, [validated for validated, _ in predicted])  # ensembles have more rows
    if not len(rows):
        raise refusal("the runs have no validation rows in common", sweep, "choose among runs with one split")
    predictions = np.stack([values[np.isin(validated, rows)] for validated, values in predicted])
    weight = None if data.table.weight is None else data.table.weight[rows]
    y, classes, quantiles = data.table.y[rows], len(data.table.schema.classes), runs[0].quantiles
    monitor = common_monitor(results)
    best = None  # of single runs and ensembles, which have other validation rows
    if len({run.config.get("ensemble") for run in results}) == 1:  # before probabilities are calibrated
        best = int(np.argmin([sign_of(monitor) * run.metric(monitor) for run in results]))
    metric = monitor.removeprefix("val/")
    if metric == "loss":  # which predictions alone do not determine
        metric = metrics_of(classes, quantiles)[0] if y.shape[1] == 1 else STANDARDISED_RMSE
    error, sign = error_of(metric, y, weight, classes, quantiles), sign_of(metric)
    judged = [(values, run.threshold) for values, run in zip(predictions, runs, strict=True)]
    counts = Counter(greedy_selection(judged, error, steps, best))
    chosen, weights = list(counts), [count / steps for count in counts.values()]
    ensemble = Ensemble([runs[index] for index in chosen], weights)
    choice = Choice(
        file=sweep / f"ensemble-{steps}.json",
        weights={run.folder.name: weight for run, weight in zip(ensemble.runs, weights, strict=True)},
        metric=metric,
        best=sign * error(*judged[chosen[0]]),
        chosen=sign * error(weighted_mean(predictions[chosen], ensemble.weights), ensemble.threshold),
        result=score(ensemble, cache) if len(data.split.test) else None,
    )
    scores = {f"test/{name}": value for name, value in choice.test_scores.items()}
    ChosenEnsemble(choice.weights, finite({f"val/{metric}": choice.chosen, **scores})).write(choice.file)
    return choice


def print_choice(choice: Choice, console: Console) -> None:
    """Prints the runs of a chosen ensemble, its scores, and its file."""
    weights = RichTable("chosen run", "weight")
    for name, weight in choice.weights.items():
        weights.add_row(Text(name), f"{weight:.4g}")
    validation = RichTable("validation", choice.metric.replace("_", "\n"))
    for title, value in ((ENSEMBLE, choice.chosen), (BEST_RUN, choice.best)):
        validation.add_row(title, format_score(value, choice.metric))
    console.print(weights)
    console.print(validation)
    if result := choice.result:
        test = {ENSEMBLE: choice.test_scores, BEST_RUN: result.runs[0], **result.baselines}
        console.print(score_table(test))
    print_line(console, f"ensemble: {inside(choice.file)}")


def _check_comparable(runs: Sequence[TrainedRun], sweep: Path) -> None:
    first = runs[0]
    for run in runs[1:]:
        where = f"{first.folder} and {run.folder.name}"
        differing = [key for key in ("sha256", *PARTS) if run.table.get(key) != first.table.get(key)]
        if differing:
            noun = "tables" if differing[0] == "sha256" else f"{listed(differing)} rows"
            remedy = f"choose among others, or average them all: run={sweep} runs=all data.path=…"
            raise refusal(f"the runs have different {noun}", where, remedy)
        if run.quantiles != first.quantiles:
            found = " and ".join(listed(map(str, each.quantiles or ["none"])) for each in (first, run))
            remedy = "choose among runs with one loss and its levels"
            raise UserError(Fault("the runs predict different quantiles", where, found, remedy=remedy))


def _validation_predictions(run: TrainedRun, data: RunData) -> tuple[Rows, HeldOut]:
    """The validation rows of a run and its predictions for them; of an ensemble, those out of fold."""
    held_out = [data.members[member].split.val for member in run.weights]
    rows = distinct(*held_out)
    predicted = RunStack([run])(data.table.x[rows])
    values = [values[np.isin(rows, mine)] for values, mine in zip(predicted, held_out, strict=True)]
    return out_of_fold(held_out, values)
