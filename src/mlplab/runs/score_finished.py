"""Scores the test rows of a run that has finished."""

import logging
from pathlib import Path

from mlplab.cpu_settings import cpu_settings_for_training
from mlplab.data.cache import DataCache
from mlplab.runs.baselines.fit_baselines import baseline_metrics
from mlplab.runs.discovery import finished_run, has_test_scores, read_metrics
from mlplab.runs.folder import RunFolder
from mlplab.runs.observers.training_states import REMEDY
from mlplab.runs.predictions import write_test_predictions
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.outcome import Metrics
from mlplab.training.run import Run, member_configs
from mlplab.training.scoring.losses import build_loss
from mlplab.training.stack.build import build_datamodule
from mlplab.training.stack.outcomes import Calibration, score_test_rows

log = logging.getLogger(__name__)


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
    trained, files = TrainedRun.read(folder), RunFolder(folder)
    data, configs = cache.data(trained.config), member_configs(trained.config)
    data.check_unchanged(trained.table, REMEDY, order=False)
    if not len(data.split.test):
        log.warning("%s has no test rows, so there are no test scores", folder.name)
        return metrics
    run, weights = Run(trained.config, data), dict(enumerate(trained.weights.values()))
    chosen = Calibration(weights, trained.threshold, trained.residuals)
    with files.lock, cpu_settings_for_training(run.config.threads):
        networks = [configs[number] for number in trained.weights]
        splits = [data.members[number].split for number in trained.weights]
        datamodule = build_datamodule(networks, data.table, splits)
        loss = build_loss([config.loss for config in networks])
        [(found, predicted)] = score_test_rows(trained.network, loss, datamodule, [(run, chosen)])
        metrics |= found | baseline_metrics(run)
        write_test_predictions(files.path, run, predicted, trained.threshold)
        seconds = {"seconds": metrics.pop("seconds")}  # the last, as in other runs
        return files.write_metrics(metrics | seconds)
