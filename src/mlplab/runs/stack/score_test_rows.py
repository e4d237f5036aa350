"""Scores trained networks on the test rows of their run: at the end of training, or later."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlplab.config.metrics import DEFAULT_THRESHOLD
from mlplab.cpu_settings import cpu_settings_for_training
from mlplab.data.cache import DataCache
from mlplab.runs.baselines.fit_baselines import fit_baselines
from mlplab.runs.discovery import finished_run, has_test_scores, read_metrics
from mlplab.runs.folder import TEST_PREDICTIONS, Metrics, RunFolder, finite
from mlplab.runs.predictions import Predicted, weighted_mean, write_test_predictions
from mlplab.runs.run import Run, member_configs
from mlplab.training.scoring.scores import Scores, first_class_scores, score_networks, table_scores
from mlplab.training.stack.build import Stack, build_stack
from mlplab.runs.stack.checkpoints import REMEDY
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.scoring.evaluation import Values

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoredTestRows:
    """The scores and predictions of a run's networks on its test rows.

    Attributes:
        values: the metrics of each network.
        predicted: the mean prediction.
    """

    run: Run
    values: Values
    predicted: Predicted

    def metrics(self) -> Metrics:
        """The scores of the network; of an ensemble, those of its mean prediction and of its networks."""
        run, table, rows = self.run, self.run.data.table, self.run.data.split.test
        quantiles, found, metrics = run.config.quantiles, Scores(), Metrics()
        if not (run.data.bagged or quantiles):
            found = {name: value.item() for name, value in self.values.items()}
        else:
            found = table_scores(table, rows, self.predicted, run.threshold, quantiles)
        if run.data.bagged:
            for name, value in self.values.items():
                metrics[f"members/test/{name}"] = value.double().mean().item()
            if len(self.values["loss"]) > 1:
                of_members = self.values.items()
                metrics |= {f"members/sd/test/{name}": value.std().item() for name, value in of_members}
        y, weight = table.y[rows], None if table.weight is None else table.weight[rows]
        found |= run.uncertainty.scores(self.predicted, y, weight)
        found |= first_class_scores(table.schema, self.predicted, y, weight)
        return finite({f"test/{name}": value for name, value in found.items()} | metrics)

    def baseline_metrics(self) -> Metrics:
        """The scores of the run's baselines."""
        fitted = fit_baselines(self.run.data, self.run.config).test_scores(self.run.data)
        return finite(
            {f"{key}/test/{name}": value for key, scores in fitted.items() for name, value in scores.items()}
        )

    def write_predictions(self) -> None:
        """Writes test_predictions.csv to the run's folder, if the run is to have it."""
        if self.run.config.test_predictions:
            table, rows, threshold = self.run.data.table, self.run.data.split.test, self.run.threshold
            path, quantiles = self.run.folder / TEST_PREDICTIONS, self.run.config.quantiles
            write_test_predictions(path, table, rows, self.predicted, threshold, quantiles)


def score_test_rows(stack: Stack, runs: Sequence[tuple[Run, Sequence[int]]]) -> list[ScoredTestRows]:
    """Scores the networks of a stack on the test rows of runs with these members."""
    module = stack.module
    thresholds = np.full(len(stack.configs), DEFAULT_THRESHOLD)
    for run, members in runs:
        thresholds[members] = run.threshold
    values, predicted = score_networks(
        module.network,
        module.loss,
        stack.datamodule.test_dataloader(),
        [len(member.split.test) for member in stack.data],
        module.schema,
        thresholds.tolist(),
    )
    scored = []
    for run, members in runs:
        weights = np.array(run.weights(len(members)))
        mean = weighted_mean(predicted[members, : len(run.data.split.test)], weights)
        if run.config.quantiles:
            mean = run.uncertainty.corrected(mean)
        member_values = {name: value[members].cpu() for name, value in values.items()}
        scored.append(ScoredTestRows(run, member_values, mean))
    return scored


def score_finished_run(folder: Path, cache: DataCache) -> Metrics:
    """Writes what a finished run would have written with `test=true`; returns the content of metrics.json.

    These are its test scores, to the last bit if it was trained on a CPU, those of its baselines, and
    test_predictions.csv. A run that has test scores, or no test rows, is left as it is.

    Raises:
        UserError: if the run has not finished, if its table is not available or has changed, or if another
            process uses its folder.
    """
    metrics = read_metrics(finished_run(folder, "run"))
    if has_test_scores(metrics):
        return metrics
    trained, files = TrainedRun(folder), RunFolder(folder)
    run, numbers = Run(trained.config, folder), trained.members
    run.threshold, run.member_weights = trained.threshold, trained.member_weights.tolist()
    run.residuals = trained.residuals
    run.data, configs = cache.data(run.config), member_configs(run.config)
    run.data.check_unchanged(trained.table, REMEDY, order=False)
    if not len(run.data.split.test):
        log.warning("%s has no test rows, so there are no test scores", folder.name)
        return metrics
    with files.lock.held(), cpu_settings_for_training(run.config.threads):
        data = [run.data.members[number] for number in numbers]
        stack = build_stack([configs[number] for number in numbers], data, initialize=False)
        trained.load_into(stack.module.network, trained.state)
        [scored] = score_test_rows(stack, [(run, range(len(numbers)))])
        metrics |= scored.metrics() | scored.baseline_metrics()
        scored.write_predictions()
        seconds = {"seconds": metrics.pop("seconds")}  # the last, as in other runs
        return files.write_metrics("done", metrics | seconds)
