"""Scores the test rows of a run after it has finished with `test=false`."""

from pathlib import Path

import torch
from lightning.pytorch.loggers import TensorBoardLogger

from mlplab.data.cache import DataCache
from mlplab.runs.build import build_stack
from mlplab.runs.discovery import finished_run, has_test_scores, read_metrics
from mlplab.runs.folder import Metrics, RunFolder
from mlplab.runs.members import member_configs
from mlplab.runs.resume_state import REMEDY
from mlplab.runs.run_test import RunTest
from mlplab.runs.texts import scores_text
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.cpu_settings import cpu_settings_for_training
from mlplab.training.loggers.files import build_loggers, close_loggers
from mlplab.training.loggers.tensorboard import log_end


def test_finished(folder: Path, cache: DataCache) -> Metrics:
    """Writes what a finished run would have written with `test=true`; returns the content of metrics.json.

    These are its test scores, to the last bit if it was trained on a CPU, and those of its baselines, also
    for TensorBoard, and test_predictions.csv. A run that has test scores is left as it is.

    Args:
        cache: may have read the run's table already.

    Raises:
        UserError: if the run has not finished, if its table is not available or has changed, or if another
            process uses its folder.
    """
    metrics = read_metrics(finished_run(folder, "run"))
    if has_test_scores(metrics):
        return metrics
    trained, run = TrainedRun(folder), RunFolder(folder)
    data = cache.data(trained.config)
    data.check_unchanged(trained.table, REMEDY, order=False)
    run.lock()
    try:
        with cpu_settings_for_training(trained.config.threads):
            test = _tested(trained, cache)
            metrics |= test.metrics() | test.baseline_metrics(float(metrics["seconds"]))
        test.write_predictions(folder)
        loggers = build_loggers(trained.config, str(folder), TensorBoardLogger)  # the others are closed
        log_end(loggers, {"scores": scores_text(metrics)})
        close_loggers(loggers, success=True)
        seconds = {"seconds": metrics.pop("seconds")}  # the last, as in other runs
        return run.write_metrics("done", metrics | seconds)
    finally:
        run.unlock()


def _tested(trained: TrainedRun, cache: DataCache) -> RunTest:
    """The best weights of a run's members, tested as in training."""
    data, configs = cache.data(trained.config), member_configs(trained.config)
    members = trained.members
    stack = build_stack(
        [configs[each] for each in members], [data.members[each] for each in members], initialize=False
    )
    module = stack.module.eval()
    module.network.load_state_dict(trained.state)
    with torch.inference_mode():
        for number, batch in enumerate(stack.datamodule.test_dataloader()):
            module.test_step(batch, number)
        module.on_test_epoch_end()
    return RunTest(trained.config, data, module, range(len(members)))
