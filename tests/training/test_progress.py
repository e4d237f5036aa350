"""Progress where there is no terminal."""

import logging
from pathlib import Path

import pytest
from support import SMALL, train_into

from mlplab.training import progress


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_lines_tell_how_far_the_training_is(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", seconds)
    steps = 5 * 3  # epochs of 42 rows in batches of 16
    with caplog.at_level(logging.INFO, "mlplab.runs.train"):
        train_into(tmp_path, SMALL)
    lines = [line for line in caplog.messages if "of all steps" in line]
    assert len(lines) == (0 if seconds else steps)
    if lines:
        assert lines[0] == "epoch 1/5  7% of all steps"
        assert lines[-1].startswith("epoch 5/5  100% of all steps  train/loss ")
        assert "val/mae" in lines[-1]


def test_lines_of_a_sweep_name_the_best_run_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with caplog.at_level(logging.INFO, "mlplab.runs.train"):
        metrics = train_into(tmp_path, *((*SMALL, f"seed={seed}") for seed in range(3)))
    last = [line for line in caplog.messages if "of all steps" in line][-1]
    assert " of 3 runs" in last
    assert (
        float(last.split("best val/mae ")[1].split()[0]) >= min(each["val/mae"] for each in metrics) * 0.999
    )
