"""Training from a file, where the table takes more memory than it may."""

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support import Ended, left_behind, status_of

from mlplab.training.callbacks.stopping import StopOnSignal
from mlplab.training.fit import StackTrainer

ROWS = 3000
TRAIN = (
    *("data=csv", "data.path=t.csv", "data.target=y", "data.batch_size=100", "model.hidden=[16]"),
    *("optimizer.lr=0.01", "baselines=[]", "trainer.max_epochs=3"),
)


@pytest.fixture(autouse=True)
def table(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(ROWS, 3))
    y = x[:, 0] + 0.5 * x[:, 1] ** 2 + 0.1 * draw.normal(size=ROWS)
    pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y}).write_csv(tmp_path / "t.csv")


def test_it_comes_as_far_as_in_memory_and_resumes_to_the_same_bits(
    command: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = (*TRAIN, "data.memory_gib=1e-6")
    ended = command(*train, "name=whole")
    assert ended.status == 0, ended
    assert "too large for memory" in ended.out
    assert command(*TRAIN, "name=memory").status == 0
    scores = [
        left_behind(tmp_path / "outputs" / name)["metrics"]["test/rmse"] for name in ("whole", "memory")
    ]
    assert scores[0] != scores[1]  # another order of rows
    assert scores[0] == pytest.approx(scores[1], rel=0.1)
    stop = StopOnSignal.on_step

    def stop_within_an_epoch(self: StopOnSignal, stack: StackTrainer) -> None:
        if stack.trainer.global_step == 30:
            self.received = signal.SIGTERM
        stop(self, stack)

    with monkeypatch.context() as context:
        context.setattr(StopOnSignal, "on_step", stop_within_an_epoch)
        assert command(*train, "name=stopped").status == 128 + signal.SIGTERM
    stopped = tmp_path / "outputs/stopped"
    assert status_of(stopped) == "interrupted"
    refused = command("resume=outputs/stopped", "data.memory_gib=1")
    assert refused.status == 2
    assert "was memory-mapped during training and is in memory now" in refused.err
    assert "data.memory_gib=" in refused.err
    assert command("resume=outputs/stopped", "data.memory_gib=2e-6").status == 0
    whole, gone_on = left_behind(tmp_path / "outputs/whole"), left_behind(stopped)
    for part in ("metrics", "weights"):
        assert gone_on[part] == whole[part], part
