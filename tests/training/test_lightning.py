"""The modules with a Trainer of Lightning's own, without any callback of mlplab."""

import re
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import polars as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from support import ROOT

import mlplab
from mlplab.runs import checkpoint

RUN = {"model": {"hidden": [16, 16]}, "trainer": {"max_epochs": 3}}
QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}

pytestmark = [  # of Lightning's Trainer
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
]


@pytest.fixture
def houses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    size, kind = rng.normal(size=(2, 700))
    price = 2 * size + rng.normal(size=700)
    kinds = np.where(kind > 0, "flat", "house")
    pl.DataFrame({"size": size, "kind": kinds, "price": price}).write_csv(tmp_path / "houses.csv")
    return tmp_path / "houses.csv"


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a run after its last epoch."""
    state: dict[str, torch.Tensor] = checkpoint.load(folder / "checkpoints/last.ckpt")["state"]
    return state


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"optimizer": "sgd", "scheduler": "constant", "loss": "huber"},
        {"model": {"hidden": [16], "dropout": 0.2, "initial_weights": "data"}},
    ],
    ids=["default", "sgd", "dropout"],
)
def test_a_bare_trainer_gives_the_bits_of_the_command(houses: Path, keys: dict[str, Any]) -> None:
    data = mlplab.TableDataModule.from_file(houses, "price")
    module = mlplab.lightning_module(data, **RUN | keys)
    saved = ModelCheckpoint("saved", monitor="val/mae")
    trainer = lightning.Trainer(max_epochs=3, callbacks=[saved], **QUIET)
    trainer.fit(module, data)
    early = {"early_stopping": {"patience": None}}
    own = RUN | keys | {"trainer": {"max_epochs": 3, "block": 1}}
    run = mlplab.train(
        houses, "price", ensemble=1, callbacks=early, folder="run", figures="none", progress=False, **own
    )
    found, expected = module.network.state_dict(), weights_of(Path("run"))
    assert found.keys() == expected.keys()
    assert not [name for name, tensor in expected.items() if not torch.equal(tensor, found[name])]
    assert np.float32(trainer.callback_metrics["val/mae"]) == run.history["val/mae"][-1]
    assert np.float32(saved.best_model_score) == run.history["val/mae"].min()
    [scores] = trainer.test(module, data, verbose=False)
    [validated] = trainer.validate(module, data, verbose=False)
    assert np.float32(validated["val/mae"]) == run.history["val/mae"][-1]
    predicted = trainer.predict(module, data)
    assert predicted is not None
    [rows] = predicted
    error = (rows[0, :, 0].numpy() - data.table.y[:, 0])[data.splits[0].test]
    assert scores["test/mae"] == pytest.approx(np.abs(error).mean())


def test_the_page_about_lightning_runs(houses: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "docs/lightning.md").read_text(), re.DOTALL)
    exec(compile(code, "lightning.md", "exec"), {})
    assert "test/rmse" in capsys.readouterr().out
