"""Experiment trackers, with the real libraries: W&B offline, and MLflow on a local database."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger
from support import ROOT, SMALL, hparams_of, process, resolved, train_into

import mlplab
from mlplab.errors import UserError
from mlplab.runs.observers.loggers import close_loggers, log_start, truncate_curves
from mlplab.runs.observers.trackers import BatchedMLFlowLogger, log_configuration

TRAIN = str(ROOT / "scripts/train.py")

READ_MLFLOW = """
import json, mlflow
client = mlflow.MlflowClient("sqlite:///mlflow.db")
[run] = client.search_runs([client.get_experiment_by_name("mlplab").experiment_id])
print(json.dumps({
    "status": run.info.status,
    "lr": run.data.params["optimizer.lr"],
    "steps": [point.step for point in client.get_metric_history(run.info.run_id, "val/loss")],
    "scores": run.data.metrics,
    "figures": [file.path for file in client.list_artifacts(run.info.run_id, "figures")],
    "model": client.download_artifacts(run.info.run_id, "model.mlplab", "."),
}))
"""


def scripted(folder: Path, *arguments: str) -> str:
    ended = process(arguments, folder, MLFLOW_LOGGING_LEVEL="ERROR")
    assert ended.status == 0, ended.err
    return ended.out


@pytest.mark.slow
def test_trackers_get_curves_configuration_figures_and_the_network_of_a_resumed_run(tmp_path: Path) -> None:
    """Whose columns have names that MLflow does not allow."""
    rows = "".join(f"{row % 7},{row % 5},{row % 3}\n" for row in range(60))
    (tmp_path / "t.csv").write_text("größe [%],y: (a),z\n" + rows, encoding="utf-8")
    table = ("data=csv", "data.path=t.csv", "data.target=['y: (a)',z]", "data.columns.größe [%]=categorical")
    both = ("logger=[tensorboard,wandb,mlflow]", "logger.wandb.offline=true", "figures=all", "ensemble=1")
    keys = ("optimizer.lr=0.01", "scheduler=constant", "trainer.max_epochs=2", "hydra.run.dir=r")
    scripted(tmp_path, TRAIN, *table, *both, *keys, *SMALL[2:5])
    ids = (tmp_path / "r/trackers.json").read_text()
    scripted(tmp_path, TRAIN, "resume=r", "trainer.max_epochs=3")
    assert (tmp_path / "r/trackers.json").read_text() == ids
    run = json.loads(scripted(tmp_path, "-c", READ_MLFLOW))
    metrics = json.loads((tmp_path / "r/metrics.json").read_text())
    assert (run["status"], run["lr"], run["steps"]) == ("FINISHED", "0.01", [1, 2, 3])
    assert run["scores"]["test/rmse"] == pytest.approx(metrics["test/rmse"])
    assert run["scores"]["test/rmse/y_ _a_"] == pytest.approx(metrics["test/rmse/y: (a)"])
    assert any("predicted_vs_actual" in figure for figure in run["figures"])
    assert mlplab.load(run["model"]).metrics["test/rmse"] == metrics["test/rmse"]
    logs = sorted((tmp_path / "r").glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime)
    assert "optimizer" in scripted(tmp_path, "-m", "wandb", "leet", "inspect", str(logs[0]))
    summary = scripted(tmp_path, "-m", "wandb", "leet", "inspect", "--summary", str(logs[-1]))
    assert f"{metrics['test/rmse']:.6f}"[:-1] in summary
    assert "figures/predicted_vs_actual" in summary


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_package_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    said = rf"logger={name}: needs {name}, .*\n.* uv sync --extra {name}, or pip install {name}"
    with pytest.raises(UserError, match=said):
        train_into(tmp_path, [*SMALL, f"logger={name}"])


def test_a_tracker_that_cannot_be_started_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: MLFlowLogger, params: Mapping[str, object]) -> None:
        raise ConnectionError(f"no server for {[*params]}")

    monkeypatch.setattr(MLFlowLogger, "__init__", lambda self: None)
    monkeypatch.setattr(MLFlowLogger, "log_hyperparams", refuse)
    said = r"logger=mlflow: cannot be started: .*no server for \['a__b_'\]\n.*MLFLOW_TRACKING_URI"
    with pytest.raises(UserError, match=said):
        log_configuration([BatchedMLFlowLogger()], tmp_path, {"a:[b]": 1})
    assert not (tmp_path / "trackers.json").exists()


def test_hparams_are_what_changes_something_about_the_network(tmp_path: Path) -> None:
    run = resolved("data=synthetic", "model.hidden=[8,4]", "name=r", "figures=none", "optimizer.lr=0.1")
    for _ in ("started", "resumed"):
        logger = TensorBoardLogger(str(tmp_path / "r"), name="", version="")
        truncate_curves([logger], epoch=0, step=0)
        log_start([logger], run)
        close_loggers([logger], success=True)
        shown = hparams_of(tmp_path / "r")
        assert (shown["optimizer.lr"], shown["model.hidden"], shown["init_from"]) == (0.1, "[8,4]", "null")
        assert not {"name", "figures", "baselines"} & {*shown}
