"""Experiment trackers: W&B and MLflow, which get the trained network and its figures beside the curves."""

import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger, WandbLogger

from mlplab.config.trainer import TRACKERS_FILE
from mlplab.console import quiet
from mlplab.errors import reason_of, refusal
from mlplab.figures import warn_if_failing
from mlplab.files import Plain, read_json, write_json
from mlplab.imports import check_installed

# Variables of the environment without which trackers write to the terminal, or copy what others write.
QUIET = {"WANDB_SILENT": "true", "WANDB_CONSOLE": "off", "MLFLOW_LOGGING_LEVEL": "WARNING"}

CURVES = ("train/", "val/")
"""How the names of curves begin."""

# What MLflow calls the statuses of runs. All others have failed.
ENDINGS = {"done": "success", "pruned": "KILLED", "interrupted": "KILLED"}


class BatchedMLFlowLogger(MLFlowLogger):
    """Sends many points of curves in one request, since a request takes longer than an epoch: when the
    training state is saved, so that a run which is killed and resumed sends none twice."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._points = list[Any]()

    def log_hyperparams(self, params: Mapping[str, object]) -> None:  # type: ignore[override] # of mlplab
        """Logs them under names that MLflow allows."""
        super().log_hyperparams({_allowed(name): value for name, value in params.items()})

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keeps the values for the next request."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._points += [Metric(_allowed(name), value, now, step or 0) for name, value in metrics.items()]

    def save(self) -> None:
        """Sends the values; if that fails, warns, and sends them later."""
        with warn_if_failing(Path(self._run_name or ""), "new points of curves in MLflow"):
            for start in range(0, len(self._points), 1000):  # the most of a request
                self.experiment.log_batch(self.run_id, metrics=self._points[start : start + 1000])
            self._points.clear()

    def finalize(self, status: str = "success") -> None:
        """Sends the last values, and ends the run."""
        self.save()
        super().finalize(status)


def _allowed(name: str) -> str:
    """A name that MLflow allows: those of columns may have other characters."""
    return re.sub(r"[^\w/. -]", "_", name, flags=re.ASCII)


Tracker = WandbLogger | MLFlowLogger


def default_arguments(kind: type[Logger], folder: Path) -> Plain:
    """Arguments of a tracker for the run in a folder; none for other loggers.

    Raises:
        UserError: if the tracker's package is not installed.
    """
    if not issubclass(kind, Tracker):
        return {}
    for variable, value in QUIET.items():
        os.environ.setdefault(variable, value)
    ids = read_json(folder / TRACKERS_FILE)
    if issubclass(kind, WandbLogger):
        check_installed("logger=wandb", "wandb", "wandb")
        return {"name": folder.name, "id": ids.get("wandb"), "reinit": "create_new"}
    check_installed("logger=mlflow", "mlflow", "mlflow")
    uri = os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")  # where `mlflow ui` looks, too
    return {"run_name": folder.name, "run_id": ids.get("mlflow"), "tracking_uri": uri}


def log_configuration(trackers: Sequence[Tracker], folder: Path, values: Mapping[str, object]) -> None:
    """Logs the hyperparameters of the run in a folder, unless it is resumed.

    Raises:
        UserError: if a tracker cannot be started.
    """
    ids = read_json(folder / TRACKERS_FILE)
    for tracker in trackers:
        name = "wandb" if isinstance(tracker, WandbLogger) else "mlflow"
        if name not in ids:
            try:
                with quiet("lightning.pytorch.loggers.mlflow"):  # which warns of a new experiment
                    tracker.log_hyperparams(dict(values))
            except Exception as error:  # of many kinds
                remedy = "check MLFLOW_TRACKING_URI, or unset it for a local database"
                if name == "wandb":
                    remedy = "log in, or write files to upload later: logger.wandb.offline=true"
                raise refusal(f"cannot be started: {reason_of(error)}", f"logger={name}", remedy) from error
            ids[name] = tracker.version
            write_json(folder / TRACKERS_FILE, ids, synced=False)


def log_result(trackers: Sequence[Tracker], metrics: Plain, figures: Mapping[str, Path], model: Path) -> None:
    """Logs the scores of a finished run, its figures by name, and the file of its network."""
    numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    scores = {name: value for name, value in numbers.items() if not name.startswith(CURVES)}
    for tracker in trackers:
        if isinstance(tracker, WandbLogger):
            import wandb

            run = tracker.experiment
            run.summary.update(scores)
            run.log({f"figures/{name}": wandb.Image(os.fspath(path)) for name, path in figures.items()})
            run.log_artifact(os.fspath(model), name=f"model-{run.id}", type="model")
        else:
            tracker.log_metrics(scores, metrics["epochs"])
            for path in figures.values():
                tracker.experiment.log_artifact(tracker.run_id, os.fspath(path), "figures")
            tracker.experiment.log_artifact(tracker.run_id, os.fspath(model))


def finish(trackers: Sequence[Tracker], folder: Path, status: str) -> None:
    """Ends the run in a folder for its trackers, if it was started there."""
    for tracker in trackers if (folder / TRACKERS_FILE).exists() else ():
        with warn_if_failing(folder, "end for a tracker"):
            tracker.finalize(ENDINGS.get(status, "failed"))
            if isinstance(tracker, WandbLogger):  # which Lightning leaves open
                tracker.experiment.finish(0 if status in ENDINGS else 1)
