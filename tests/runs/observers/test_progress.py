import io
import re
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import Mock

import pytest
from rich.console import Console
from rich.progress import Progress
from support import SMALL, resolved

from mlplab.data.cache import DataCache
from mlplab.runs.observers import progress
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.train_runs import train_runs
from mlplab.training.fit import StackTrainer

pytestmark = pytest.mark.usefixtures("full_speed")


def lines(
    folder: Path, *members: Sequence[str], title: str | None = None, resume: bool = False, width: int = 80
) -> list[str]:
    """The lines that a training prints, on a terminal unless the title of a stack is given."""
    cache, written = DataCache(), io.StringIO()
    configs = [resolved(*SMALL, *overrides, cache=cache) for overrides in members]
    runs = [PlannedRun(each, folder / str(index), resume=resume) for index, each in enumerate(configs)]
    train_runs(runs, cache, Console(file=written, width=width, force_terminal=title is None), title=title)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.getvalue().replace("\x1b[2K", "\n"))
    return [line.rstrip() for line in re.split(r"[\r\n]+", plain)]


def test_the_line_of_a_sweep_names_the_best_run_so_far(tmp_path: Path, shown: list[str]) -> None:
    """Also if the best was before an interruption."""
    shared = ["optimizer.lr=1", "scheduler=constant", "callbacks.early_stopping.patience=null"]
    for epochs, resume in ((7, False), (8, True)):
        members = [[*shared, f"seed={seed}", f"trainer.max_epochs={epochs}"] for seed in range(2)]
        lines(tmp_path, *members, title="stack 1 of 1  ", resume=resume)
    logs = [(tmp_path / f"{seed}/train.log").read_text(encoding="utf-8") for seed in range(2)]
    *earlier, last = [[*map(float, re.findall(r"epoch ./. .* mae (\S+)", log))] for log in logs]
    best = min(map(min, (*earlier, last)))
    assert best == last[6] < last[7]
    assert len(shown) == 8 * 3 + 8  # steps of 42 rows in batches of 16, and epochs
    assert shown[0] == "stack 1 of 1  epoch 1/7  5% of all steps"
    assert shown[-1] == f"stack 1 of 1  epoch 8/8  100% of all steps  best mae {best:.4g} of 2 runs"


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    update = progress.TrainingProgress._update

    def added(self: progress.TrainingProgress, stack: StackTrainer) -> None:
        update(self, stack)
        lines.append(self.line)

    monkeypatch.setattr(progress, "REFRESH_SECONDS", -1.0)
    monkeypatch.setattr(progress.TrainingProgress, "_update", added)
    return lines


def test_the_line_after_training_names_the_run() -> None:
    shown = progress.TrainingProgress(Console(quiet=True), "stack 1 of 2  ")
    for runs, names in ((1, [""]), (2, [" of run 1 of 2", " of run 2 of 2"])):
        shown.on_stop(Mock(ended_runs=lambda runs=runs: range(runs)))
        for name in names:
            shown.ended(Mock(), Mock(error=None))
            assert shown.line == f"stack 1 of 2  test scores and baselines{name}"


@pytest.mark.parametrize(
    "words",
    [
        ["data.function=moons", "monitor=val/log_loss", "callbacks.early_stopping.patience=1"],
        ["data.function=moons", "monitor=val/balanced_accuracy"],
        ["monitor=val/mae", "ensemble=2", "callbacks.early_stopping.patience=1", "optimizer.lr=0.3"],
    ],
)
def test_a_bar_shows_epoch_bar_time_and_values(tmp_path: Path, shown: list[str], words: list[str]) -> None:
    """Of an ensemble, those of the networks that trained last."""
    frames = [line for line in lines(tmp_path, words) if line.startswith("epoch")]
    last = [frame for frame in frames if "test scores" not in frame][-1]
    [name] = (word.removeprefix("monitor=val/") for word in words if word.startswith("monitor="))
    value = r"\d+\.\d+"
    assert re.fullmatch(rf"epoch \d/5 ━.* took \d\d:\d\d {name} {value}  train {value}  val {value}", last)
    assert len(last) <= 80
    assert "nan" not in (tmp_path / "0/train.log").read_text(encoding="utf-8")


def test_a_narrow_bar_shows_the_monitored_metric(tmp_path: Path, shown: list[str]) -> None:
    """In 80 columns, a thousand epochs of some hours leave as little room."""
    words = ["data.function=moons", "monitor=val/balanced_accuracy"]
    assert any(re.search(r"balanced_accuracy 0\.\d+  t", line) for line in lines(tmp_path, words, width=62))


def test_the_values_are_those_of_the_last_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the bar was updated at the last step of each epoch, just before."""
    now, seen, update = 0.0, dict[str, str](), progress.TrainingProgress.on_step

    def step(self: progress.TrainingProgress, stack: StackTrainer) -> None:
        nonlocal now
        now += 0.2
        seen[str(stack.module.progress.epoch)] = self.values
        update(self, stack)

    monkeypatch.setattr(progress, "time", Mock(monotonic=lambda: now))
    monkeypatch.setattr(progress.TrainingProgress, "on_step", step)
    lines(tmp_path, [], title="")
    assert [*seen] == [str(epoch) for epoch in range(5)]
    assert len({*seen.values()}) == 5


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
