"""Losses of the user's own."""

from pathlib import Path
from typing import Any

import pytest
from contracts import assert_close
from support import train_into

from mlplab.config.allowed_classes import VARIABLE
from mlplab.errors import UserError
from mlplab.runs.trained.trained_run import TrainedRun

pytestmark = pytest.mark.usefixtures("full_speed")

LOSSES = """
from torch import nn

class Square(nn.Module):
    degree = 2

    def forward(self, z, y):
        return (z - y).square()

class Huber(nn.HuberLoss):
    degree = 2

    def __init__(self, delta):
        super().__init__(reduction="none", delta=delta)

    def derivative(self, z, y):
        return (z - y).clamp(-self.delta, self.delta)

class Wrong(Huber):
    def derivative(self, z, y):
        return z

class Mean(nn.MSELoss):
    pass
"""


def trained(folder: Path, *overrides: str) -> dict[str, Any]:
    [metrics] = train_into(folder, [*overrides, "baselines=[]"])
    return {"metrics": metrics, "best": TrainedRun.read(folder / "0").state}


@pytest.fixture
def custom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    (tmp_path / "mylosses.py").write_text(LOSSES)
    monkeypatch.syspath_prepend(tmp_path)
    names = "Square Huber Wrong Mean Gone".split()  # noqa: SIM905
    monkeypatch.setenv(VARIABLE, ",".join(f"mylosses.{name}" for name in names))
    return ["data=synthetic", "data.rows=60", "trainer.max_epochs=3", "optimizer.lr=0.01"]


@pytest.mark.parametrize("block", ["auto", "1"])
def test_a_copy_of_a_loss_is_that_loss(tmp_path: Path, custom: list[str], block: str) -> None:
    """Its derivative is by autograd, or its own; members of a stack have their own arguments."""
    by_name = {"loss=mse": "Square", "loss=huber loss.delta=0.3": "Huber +loss.delta=0.3"}
    by_name["loss=huber loss.delta=1.5"] = "Huber +loss.delta=1.5"
    for known, copy in by_name.items():
        words = (f"loss=custom loss._target_=mylosses.{copy}".split(), known.split())
        one, other = (
            trained(tmp_path / f"{number}/{copy}", *custom, f"trainer.block={block}", *of)
            for number, of in enumerate(words)
        )
        assert_close(one["best"], other["best"], 0)
        assert one["metrics"]["val/loss"] == other["metrics"]["val/loss"]


def test_members_have_a_custom_loss_each(tmp_path: Path, custom: list[str]) -> None:
    huber = [*custom, "loss=custom", "loss._target_=mylosses.Huber"]
    deltas = [[f"+loss.delta={delta}"] for delta in (0.3, 1.5)]
    train_into(tmp_path / "s", *([*huber, *each] for each in deltas))
    for number, each in enumerate(deltas):
        alone = trained(tmp_path / f"{number}", *huber, *each)["best"]
        assert_close(TrainedRun.read(tmp_path / f"s/{number}").state, alone, 0)


MISTAKEN = {
    "Mean": "does not return a loss of each row and target .*reduction=none",
    "Wrong +loss.delta=1": "has a derivative that is not that of its values",
    "Huber": "cannot be instantiated: .*delta",
    "Gone": "cannot be imported",
}


@pytest.mark.parametrize("loss", MISTAKEN)
def test_a_custom_loss_is_checked_before_training(tmp_path: Path, custom: list[str], loss: str) -> None:
    words = f"loss=custom loss._target_=mylosses.{loss}".split()
    with pytest.raises(UserError, match=f"(?s){MISTAKEN[loss]}"):
        trained(tmp_path / "run", *custom, *words)
    assert not (tmp_path / "run").exists()
