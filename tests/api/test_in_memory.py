"""Runs that are trained in memory: they write nothing, and are what they would be in a folder."""

import errno
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import polars as pl
import pytest
from support import left_behind, process

import mlplab
from mlplab.runs import draw_figures
from mlplab.runs.observers import open_run

SCRIPT = """
import sys
import mlplab, mlplab.runs.in_memory, mlplab.sklearn
from mlplab.data import synthetic

def refuse(event, arguments):
    if event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink"):
        raise PermissionError(event, *arguments)
    if event == "open":
        path, mode, flags = arguments
        if (mode and set(mode) & set("wax+")) or (not mode and flags & 3):
            raise PermissionError(path, mode, flags)

sys.addaudithook(refuse)
frame = synthetic.draw("friedman1", rows=80, features=None, noise=0.0, seed=0)
keys = {"trainer": {"max_epochs": 3}, "callbacks": {"film": True}, "model": {"hidden": [4]}, "ensemble": 2}
run = mlplab.train(frame, "target", progress=False, baselines=[], **keys)
run.predict(frame)
regressor = mlplab.sklearn.TableRegressor(hidden=(4,), max_epochs=3, ensemble=2)
regressor.fit(frame.drop("target"), frame["target"].to_numpy()).predict(frame.drop("target"))
print(sorted(run.figures))
"""

pytestmark = pytest.mark.usefixtures("full_speed", "quick_images")

SMALL: dict[str, Any] = {"model": {"hidden": [4]}, "trainer": {"max_epochs": 4}}
SMALL |= {"baselines": ["linear"], "progress": False}
CSV = {"csv": {"_target_": "lightning.pytorch.loggers.CSVLogger"}}
X = np.random.default_rng(0).normal(size=(60, 2))
FRAME = pl.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": np.where(X.sum(1) > 0, "high", "low")})


@pytest.mark.slow
def test_training_and_predicting_work_where_every_write_is_refused(tmp_path: Path) -> None:
    done = process(["-c", SCRIPT], tmp_path, PYTHONDONTWRITEBYTECODE="1")
    assert "predicted_vs_actual" in done.out, done


@pytest.mark.parametrize(
    "more",
    [
        {"ensemble": 2},
        {"callbacks": {"film": True}, "ensemble": 1},
        {"test": False, "ensemble": 1, "logger": CSV},
    ],
)
def test_a_saved_run_is_what_its_folder_would_be(tmp_path: Path, more: dict[str, Any]) -> None:
    """But for what its log says."""
    mlplab.train(FRAME, "y", **SMALL, **more).save(tmp_path / "saved")
    mlplab.train(FRAME, "y", folder=tmp_path / "trained", **SMALL, **more)
    saved, trained = (left_behind(tmp_path / name) for name in ("saved", "trained"))
    assert saved | {"log": []} == trained | {"log": []}


def test_a_full_disk_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, folder = mlplab.train(FRAME, "y", **SMALL), tmp_path / "run"
    full = Mock(side_effect=OSError(errno.ENOSPC, "full"))
    for place in ("log_start", "close_loggers"):  # the last at the start, and one at the end
        with monkeypatch.context() as patch:
            patch.setattr(open_run, place, full)
            with pytest.raises(OSError, match="full"):
                run.save(folder)
        assert not folder.exists()
    run.save(folder)
    before = left_behind(folder)
    with pytest.raises(mlplab.UserError, match="not empty"):
        run._source.write(folder)
    assert left_behind(folder) == before


@pytest.mark.usefixtures("without_script_of_charts")
def test_reports_and_callbacks_need_no_folder(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Even a callback that needs a logger; and figures that cannot be drawn take nothing else with them."""
    monitor = {"_target_": "lightning.pytorch.callbacks.LearningRateMonitor"}
    run = mlplab.train(FRAME, "y", callbacks={"lr": monitor}, figures="all", **SMALL)
    assert not [*here.iterdir()]
    assert run.report() == Path("report.html")
    page = run.report(here / "page.html").read_text(encoding="utf-8")
    assert "logistic regression" in page
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw_figures, "run_charts", lambda *_: 1 / 0)
        assert mlplab.train(FRAME, "y", figures="all", **SMALL).figures == {}
    assert "no figures of this run: ZeroDivisionError" in caplog.text
