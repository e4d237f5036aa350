"""Callbacks of the user's, which see the same steps and epochs whether the Trainer makes steps or blocks."""

import math
from pathlib import Path
from typing import Any, ClassVar

import pytest
from lightning.pytorch import Callback, LightningModule, Trainer
from support import SMALL, events_of, train_into

from mlplab.config.allowed_classes import VARIABLE
from mlplab.training.block_module import BlockModule

pytestmark = pytest.mark.usefixtures("full_speed")

RUN = (*SMALL, "data.rows=150", "model.hidden=[4]")
STEPS = 7
OWN, MONITOR = f"{__name__}.OfEpochs", "lightning.pytorch.callbacks.LearningRateMonitor"


class OfEpochs(Callback):
    """Notes what it sees after each epoch; without hooks for steps."""

    saw: ClassVar[list[tuple[int, int, float]]] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        metric = trainer.callback_metrics["val/mae"].item()
        self.saw.append((trainer.current_epoch, trainer.global_step, metric))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, float]]:
    monkeypatch.setenv(VARIABLE, OWN)
    monkeypatch.setattr(OfEpochs, "saw", [])
    return OfEpochs.saw


def test_callbacks_of_epochs_see_the_same(tmp_path: Path, seen: list[tuple[int, int, float]]) -> None:
    for block in ("1", "3", "auto"):
        added = (f"+callbacks.own._target_={OWN}", "trainer.max_epochs=3", f"trainer.block={block}")
        train_into(tmp_path / block, [*RUN, *added])
    assert [row[:2] for row in seen[:3]] == [(0, STEPS), (1, 2 * STEPS), (2, 3 * STEPS)]
    assert seen[3:6] == seen[6:] == seen[:3]


def test_a_learning_rate_monitor_logs_the_rates_of_steps_or_epochs(tmp_path: Path) -> None:
    rates, logged = {}, ("trainer.log_every_n_steps=2", "trainer.max_epochs=2", "optimizer.lr=0.01")
    for interval in ("step", "epoch"):
        added = (f"+callbacks.rates._target_={MONITOR}", f"+callbacks.rates.logging_interval={interval}")
        train_into(tmp_path / interval, [*RUN, *added, *logged, "optimizer=adam"])
        points = events_of(tmp_path / interval / "0").Scalars("lr-MemberOptimizer")
        rates[interval] = {point.step: point.value for point in points}
    cosine = [0.01 * (1 + math.cos(math.pi * step / (2 * STEPS))) / 2 for step in range(2 * STEPS)]
    assert rates["step"] == pytest.approx({step: cosine[step] for step in range(1, 2 * STEPS, 2)})
    assert [*rates["epoch"].values()] == pytest.approx(cosine[::STEPS])


@pytest.mark.parametrize(("added", "spans"), [((), True), ((f"+callbacks.own._target_={OWN}",), False)])
@pytest.mark.usefixtures("seen")
def test_blocks_span_epochs_if_no_callback_sees_these(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, added: tuple[str, ...], *, spans: bool
) -> None:
    step, blocks = BlockModule.training_step, list[int]()

    def training_step(module: BlockModule, batch: Any, batch_idx: int) -> Any:
        blocks.append(batch.x.shape[1])
        return step(module, batch, batch_idx)

    monkeypatch.setattr(BlockModule, "training_step", training_step)
    train_into(tmp_path, [*RUN, *added, "trainer.max_epochs=5", "logger=[]"])
    assert blocks == ([5 * STEPS] if spans else [STEPS] * 5)
