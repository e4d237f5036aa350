"""Experiment trackers, with the real libraries: W&B offline, and MLflow on a local database."""

import json
import re
import sys
from pathlib import Path

import pytest
from support import ROOT, SMALL, process, train_into

import mlplab
from mlplab.errors import UserError

TRAIN = str(ROOT / "scripts/train.py")
BOTH = ("logger=[tensorboard,wandb,mlflow]", "logger.wandb.offline=true")

READ_MLFLOW = """
import json, mlflow
client = mlflow.MlflowClient("sqlite:///mlflow.db")
runs = client.search_runs([client.get_experiment_by_name("mlplab").experiment_id])
print(json.dumps({
    run.info.run_name: {
        "status": run.info.status,
        "lr": run.data.params["optimizer.lr"],
        "steps": [point.step for point in client.get_metric_history(run.info.run_id, "val/loss")],
        "rmse": run.data.metrics.get("test/rmse"),
        "figures": [file.path for file in client.list_artifacts(run.info.run_id, "figures")],
        "model": client.download_artifacts(run.info.run_id, "model.mlplab", "."),
    }
    for run in runs
}))
"""


def scripted(folder: Path, *arguments: str) -> str:
    ended = process(arguments, folder, MLFLOW_LOGGING_LEVEL="ERROR")
    assert ended.status == 0, ended.err
    return ended.out


@pytest.mark.slow(ci=True)
def test_trackers_get_curves_configuration_figures_and_the_network(tmp_path: Path) -> None:
    sweep = ("-m", *SMALL, *BOTH, "optimizer.lr=0.01,0.02", "figures=all", "hydra.sweep.dir=s")
    scripted(tmp_path, TRAIN, *sweep)
    tracked = json.loads(scripted(tmp_path, "-c", READ_MLFLOW))
    assert tracked.keys() == {"lr=0.01", "lr=0.02"}
    for name, run in tracked.items():
        folder = tmp_path / "s" / name
        metrics = json.loads((folder / "metrics.json").read_text())
        assert (run["status"], run["lr"], run["steps"]) == ("FINISHED", name[3:], [1, 2, 3, 4, 5])
        assert run["rmse"] == pytest.approx(metrics["test/rmse"])
        assert "figures/predicted_vs_actual.png" in run["figures"]
        assert mlplab.load(run["model"]).metrics["test/rmse"] == metrics["test/rmse"]
        [log] = folder.glob("wandb/offline-run-*/*.wandb")
        summary = scripted(tmp_path, "-m", "wandb", "leet", "inspect", "--summary", str(log))
        assert f"{metrics['test/rmse']:.6f}"[:-1] in summary
        assert "figures/predicted_vs_actual" in summary
        assert re.search(r"optimizer", scripted(tmp_path, "-m", "wandb", "leet", "inspect", str(log)))


@pytest.mark.slow(ci=True)
def test_names_of_columns_are_made_such_that_mlflow_allows_them(tmp_path: Path) -> None:
    rows = "".join(f"{row % 7},{row % 5},{row % 3}\n" for row in range(60))
    (tmp_path / "t.csv").write_text("größe [%],y: (a),z\n" + rows, encoding="utf-8")
    table = ("data=csv", "data.path=t.csv", "data.target=['y: (a)',z]", "data.columns.größe [%]=categorical")
    scripted(tmp_path, TRAIN, *table, "trainer.max_epochs=2", "logger=mlflow", "hydra.run.dir=r")
    [run] = json.loads(scripted(tmp_path, "-c", READ_MLFLOW)).values()
    assert (run["status"], run["steps"]) == ("FINISHED", [1, 2])


@pytest.mark.slow(ci=True)
def test_a_resumed_run_stays_the_same_one(tmp_path: Path) -> None:
    scripted(tmp_path, TRAIN, *SMALL, *BOTH, "scheduler=constant", "hydra.run.dir=r")
    ids = (tmp_path / "r/trackers.json").read_text()
    scripted(tmp_path, TRAIN, "resume=r", "trainer.max_epochs=7")
    assert (tmp_path / "r/trackers.json").read_text() == ids
    [run] = json.loads(scripted(tmp_path, "-c", READ_MLFLOW)).values()
    assert run["steps"] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_package_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    said = rf"logger={name}: needs {name}, .*\n.* uv sync --extra {name}, or pip install {name}"
    with pytest.raises(UserError, match=said):
        train_into(tmp_path, [*SMALL, f"logger={name}"])


@pytest.mark.slow(ci=True)
@pytest.mark.parametrize(
    ("name", "said"),
    [("wandb", ["No API key configured", "logger.wandb.offline=true"]), ("mlflow", ["MLFLOW_TRACKING_URI"])],
)
def test_a_tracker_that_cannot_be_started(tmp_path: Path, name: str, said: list[str]) -> None:
    unreachable = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    offline = {"WANDB_API_KEY": "", "HOME": str(tmp_path), "WANDB_BASE_URL": "http://127.0.0.1:1"}
    ended = process([TRAIN, *SMALL, f"logger={name}"], tmp_path, **unreachable, **offline)
    assert ended.status == 2
    for words in (f"logger={name}: cannot be started", *said):
        assert words in ended.err
    assert "Traceback" not in ended.err
