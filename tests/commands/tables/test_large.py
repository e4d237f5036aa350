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

TRAIN = (
    *("data=csv", "data.path=t.csv", "data.target=y", "data.batch_size=50", "model.hidden=[8]"),
    *("ensemble=1", "baselines=[]", "trainer.max_epochs=3"),
)


def test_a_memory_mapped_table_is_trained_and_resumed_to_the_same_bits(
    command: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).normal(size=(600, 2))
    pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": x.sum(1)}).write_csv(tmp_path / "t.csv")
    train = (*TRAIN, "data.memory_gib=1e-6")
    ended = command(*train, "name=whole")
    assert ended.status == 0, ended
    assert "too large for memory" in ended.out
    stop = StopOnSignal.on_step

    def stop_within_an_epoch(self: StopOnSignal, stack: StackTrainer) -> None:
        if stack.trainer.global_step == 12:
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
    whole, resumed = left_behind(tmp_path / "outputs/whole"), left_behind(stopped)
    for part in ("metrics", "weights"):
        assert resumed[part] == whole[part], part
