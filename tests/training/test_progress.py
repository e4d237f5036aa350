"""Progress on a terminal, and where there is none."""

import io
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress
from support import SMALL, resolved

from mlplab.data.cache import DataCache
from mlplab.runs.observers import progress
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.train import train_runs
from mlplab.training.fit import StackTrainer

pytestmark = pytest.mark.usefixtures("full_speed")


def lines(folder: Path, *members: Sequence[str], title: str | None = None, resume: bool = False) -> list[str]:
    """The lines that a training prints."""
    cache, written = DataCache(), io.StringIO()
    configs = [resolved(*SMALL, *overrides, cache=cache) for overrides in members]
    runs = [PlannedRun(each, folder / str(index), resume=resume) for index, each in enumerate(configs)]
    train_runs(runs, cache, Console(file=written), title=title)
    return written.getvalue().splitlines()


def test_a_line_tells_how_far_the_training_is(tmp_path: Path, line_at_end: None) -> None:
    line, *_ = lines(tmp_path, [])
    assert re.fullmatch(r"test scores and baselines, \d+ s", line)
    assert line not in (tmp_path / "0/train.log").read_text(encoding="utf-8")


def test_the_line_of_a_sweep_names_the_best_run_so_far(tmp_path: Path, shown: list[str]) -> None:
    """Also if the best was before an interruption."""
    shared = ["optimizer.lr=1", "scheduler=constant", "callbacks.early_stopping.patience=null"]
    for epochs, resume in ((7, False), (8, True)):
        members = [[*shared, f"seed={seed}", f"trainer.max_epochs={epochs}"] for seed in range(2)]
        lines(tmp_path, *members, title="stack 1 of 1  ", resume=resume)
    logs = [(tmp_path / str(seed) / "train.log").read_text(encoding="utf-8") for seed in range(2)]
    *earlier, last = [[float(mae) for mae in re.findall(r"epoch ./. .* mae (\S+)", log)] for log in logs]
    best = min(map(min, (*earlier, last)))
    assert best == last[6] < last[7]
    assert len(shown) == 8 * 3 + 8  # steps of 42 rows in batches of 16, and epochs
    assert shown[0] == "stack 1 of 1  epoch 1/7  5% of all steps"
    assert shown[-1] == f"stack 1 of 1  epoch 8/8  100% of all steps  best mae {best:.4g} of 2 runs"


def test_the_last_values_of_an_ensemble_are_those_of_the_networks_that_trained(
    tmp_path: Path, shown: list[str]
) -> None:
    patience = "callbacks.early_stopping.patience=1"
    lines(tmp_path, ["ensemble=2", patience, "optimizer.lr=0.3", "trainer.max_epochs=20"])
    assert re.search(r"epoch \d/20 .*  train \d\S+  val \d\S+  mae \d", shown[-1]), shown[-1]
    assert "nan" not in (tmp_path / "0/train.log").read_text(encoding="utf-8")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines about the progress after each step and epoch."""
    lines: list[str] = []
    update = progress.TrainingProgress._update

    def added(self: progress.TrainingProgress, stack: StackTrainer) -> None:
        update(self, stack)
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


@pytest.mark.parametrize(
    ("monitor", "more"),
    [
        ("val/log_loss", ["optimizer.lr=1", "callbacks.early_stopping.patience=1"]),
        ("val/balanced_accuracy", []),
    ],
)
def test_a_bar_shows_epoch_bar_time_and_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, monitor: str, more: list[str]
) -> None:
    monkeypatch.setattr(progress, "REFRESH_SECONDS", -1.0)
    cache, (console, written) = DataCache(), on_terminal(80)
    run = resolved(*SMALL, "data.function=moons", f"monitor={monitor}", *more, cache=cache)
    train_runs([PlannedRun(run, tmp_path / "r")], cache, console)
    last = [frame for frame in frames(written.getvalue()) if "test scores" not in frame][-1]
    name = monitor.removeprefix("val/")
    assert re.fullmatch(
        rf"epoch \d/5 ━[━╸╺ ]* took \d\d:\d\d train \d\.\d+  val 0\.\d+  {name} 0\.\d+", last
    ), last
    assert len(last) <= 80


def test_the_time_is_labelled() -> None:
    now, column = 0.0, progress.TimeColumn()
    bar = Progress(column, get_time=lambda: now)
    task = bar.add_task("", total=100, ended=False)
    shown = [column.render(bar.tasks[0]).plain]
    for now, done in ((10.0, 10), (20.0, 20)):  # noqa: B007 - the bar's clock
        bar.update(task, completed=done)
    shown.append(column.render(bar.tasks[0]).plain)
    bar.update(task, completed=20, ended=True)  # stopped early
    now = 3725.0
    assert [*shown, column.render(bar.tasks[0]).plain] == ["", "01:20 left", "took 1:02:05"]
