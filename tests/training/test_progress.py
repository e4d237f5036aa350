"""Progress on a terminal, and where there is none."""

import io
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from lightning.pytorch import Trainer
from rich.console import Console
from support import SMALL, resolved

from mlplab.data.cache import DataCache
from mlplab.runs.run import Run
from mlplab.runs.train import train_runs
from mlplab.training.loggers import progress
from mlplab.training.module import StackModule


def lines(folder: Path, *members: Sequence[str], title: str | None = None) -> list[str]:
    """The lines that a training prints."""
    cache, written = DataCache(), io.StringIO()
    configs = [resolved(*SMALL, *overrides, cache=cache) for overrides in members]
    runs = [Run(each, folder / str(index)) for index, each in enumerate(configs)]
    train_runs(runs, cache, Console(file=written), title=title)
    return written.getvalue().splitlines()


def test_a_line_tells_how_far_the_training_is(tmp_path: Path, line_at_end: None) -> None:
    line, *_ = lines(tmp_path, [])
    assert re.fullmatch(r"test scores and baselines, \d+ s", line)
    assert line not in (tmp_path / "0/train.log").read_text(encoding="utf-8")


def test_the_line_of_a_sweep_names_the_best_run_so_far(tmp_path: Path, shown: list[str]) -> None:
    members = [[f"seed={seed}", "callbacks.early_stopping.patience=null"] for seed in range(3)]
    lines(tmp_path, *members, title="stack 1 of 1  ")
    logs = [(tmp_path / str(seed) / "train.log").read_text(encoding="utf-8") for seed in range(3)]
    epochs = [float(found) for log in logs for found in re.findall(r"epoch [1-5]/5 .* mae (\S+)", log)]
    assert len(shown) == 5 * 3 + 5  # steps of 42 rows in batches of 16, and epochs
    assert shown[0] == "stack 1 of 1  epoch 1/5  7% of all steps"
    assert shown[-1] == f"stack 1 of 1  epoch 5/5  100% of all steps  best mae {min(epochs):.4g} of 3 runs"


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines about the progress after each step and epoch."""
    lines: list[str] = []
    update = progress.TrainingProgress._update

    def added(self: progress.TrainingProgress, trainer: Trainer, module: StackModule) -> None:
        update(self, trainer, module)
        lines.append(self.line)

    monkeypatch.setattr(progress, "REFRESH_SECONDS", -1.0)
    monkeypatch.setattr(progress.TrainingProgress, "_update", added)
    return lines


def frames(written: str) -> list[str]:
    """The successive lines of a bar on a terminal, without colours."""
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.replace("\x1b[2K", "\n"))
    return [line.rstrip() for line in re.split(r"[\r\n]+", plain) if line.startswith(("epoch", "stack"))]


def on_terminal(width: int) -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    return Console(file=written, width=width, force_terminal=True), written


@pytest.mark.parametrize("monitor", ["val/log_loss", "val/balanced_accuracy"])
def test_a_bar_shows_epoch_bar_time_and_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, monitor: str
) -> None:
    monkeypatch.setattr(progress, "REFRESH_SECONDS", -1.0)
    cache, (console, written) = DataCache(), on_terminal(80)
    run = resolved(*SMALL, "data.function=moons", f"monitor={monitor}", cache=cache)
    train_runs([Run(run, tmp_path / "r")], cache, console)
    last = [frame for frame in frames(written.getvalue()) if "test scores" not in frame][-1]
    name = monitor.removeprefix("val/")
    assert re.fullmatch(rf"epoch 5/5 ━+ \d\d:\d\d train 0\.\d+  val 0\.\d+  {name} 0\.\d+", last), last
    assert len(last) <= 80
