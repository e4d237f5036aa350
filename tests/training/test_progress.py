"""Progress where there is no terminal."""

import io
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console
from support import SMALL, resolved

from mlplab.data.cache import DataCache
from mlplab.runs.train import Run, train_runs
from mlplab.training import progress


def lines(folder: Path, *members: Sequence[str], title: str | None = None) -> list[str]:
    """The lines that a training prints."""
    cache, written = DataCache(), io.StringIO()
    configs = [resolved(*SMALL, *overrides, cache=cache) for overrides in members]
    runs = [Run(each, folder / str(index)) for index, each in enumerate(configs)]
    train_runs(runs, [cache.data(each) for each in configs], Console(file=written), title=title)
    return written.getvalue().splitlines()


def test_lines_tell_how_far_the_training_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    written = lines(tmp_path, [])
    assert len(written) == 5 * 3  # steps: epochs of 42 rows in batches of 16
    assert written[0] == "epoch 1/5  7% of all steps"
    assert written[-1].startswith("epoch 5/5  100% of all steps  train ")
    assert "  mae " in written[-1]
    assert "of all steps" not in (tmp_path / "0/train.log").read_text(encoding="utf-8")


def test_there_are_no_lines_before_it_is_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 1e9)
    assert lines(tmp_path, []) == []


def test_lines_of_a_sweep_name_the_best_run_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    members = [[f"seed={seed}", "callbacks.early_stopping.patience=null"] for seed in range(3)]
    last = lines(tmp_path, *members, title="stack 1 of 1  ")[-1]
    logs = [(tmp_path / str(seed) / "train.log").read_text(encoding="utf-8") for seed in range(3)]
    epochs = [float(found) for log in logs for found in re.findall(r"epoch [1-4]/5 .* mae (\S+)", log)]
    assert last.startswith("stack 1 of 1  epoch 5/5  100% of all steps  best mae ")
    assert last.endswith(f"{min(epochs):.4g} of 3 runs")
