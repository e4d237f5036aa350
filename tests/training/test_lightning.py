"""The modules with a Trainer of Lightning's own, without any callback of mlplab."""

import re
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import polars as pl
import pytest
from contracts import assert_close
from lightning.pytorch.callbacks import ModelCheckpoint
from support import ROOT

import mlplab
from mlplab.errors import UserError
from mlplab.runs import checkpoint
from mlplab.training.callbacks.stack_callback import Tensors

RUN = {"model": {"hidden": [16, 16]}}
QUIET: dict[str, Any] = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
QUIET |= {"accelerator": "cpu"}

pytestmark = [
    pytest.mark.usefixtures("full_speed"),
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),
]


@pytest.fixture
def houses(here: Path) -> Path:
    size, kind, noise = np.random.default_rng(0).normal(size=(3, 700))
    columns = {"size": size, "kind": np.where(kind > 0, "flat", "house"), "price": 2 * size + noise}
    pl.DataFrame(columns).write_csv(here / "houses.csv")
    return here / "houses.csv"


@pytest.mark.parametrize(
    "keys",
    [
        {"optimizer": "sgd", "scheduler": "constant", "loss": "huber"},
        {"model": {"hidden": [16], "dropout": 0.2, "initial_weights": "data"}},
    ],
    ids=["sgd", "dropout"],
)
def test_a_bare_trainer_gives_the_bits_of_the_command(houses: Path, keys: dict[str, Any]) -> None:
    data = mlplab.TableDataModule.from_file(houses, "price")
    module = mlplab.lightning_module(data, **RUN | keys)
    saved = ModelCheckpoint("saved", monitor="val/mae")
    trainer = lightning.Trainer(max_epochs=3, callbacks=[saved], **QUIET)
    trainer.fit(module, data)
    own = RUN | keys | {"trainer": {"max_epochs": 3, "block": 1}}
    own |= {"callbacks": {"early_stopping": {"patience": None}}, "figures": "none", "progress": False}
    run = mlplab.train(houses, "price", ensemble=1, folder="run", **own)
    expected = checkpoint.load(Path("run/checkpoints/last.ckpt"))["state"]
    assert_close(module.network.state_dict(), expected, 0)
    assert np.float32(saved.best_model_score) == run.history["val/mae"].min()
    [scores] = trainer.test(module, data, verbose=False)
    error = (trainer.predict(module, data)[0][0, :, 0].numpy() - data.table.y[:, 0])[data.splits[0].test]
    assert scores["test/mae"] == pytest.approx(np.abs(error).mean())
    for path, score in ((None, run.history["val/mae"][-1]), ("best", saved.best_model_score)):
        [validated] = trainer.validate(module, data, ckpt_path=path, verbose=False)
        assert np.float32(validated["val/mae"]) == np.float32(score)
    trainer.save_checkpoint("validated.ckpt")
    with pytest.raises(UserError, match=r"has no training state\n  use one that"):
        lightning.Trainer(max_epochs=4, **QUIET).fit(module, data, ckpt_path="validated.ckpt")


@pytest.mark.parametrize("steps", [3, 2], ids=["after an epoch", "within an epoch"])
def test_a_checkpoint_is_resumed_with_the_same_bits(houses: Path, steps: int) -> None:
    def trained(folder: str, checkpoint: Path | None = None) -> Tensors:
        data = mlplab.TableDataModule.from_file(houses, "price", batch_size=200)
        module = mlplab.lightning_module(data, model={"hidden": [16], "dropout": 0.2}, scheduler="cosine")
        kept = ModelCheckpoint(folder, every_n_train_steps=steps, save_top_k=-1)
        trainer = lightning.Trainer(max_epochs=3, callbacks=[kept], **QUIET)
        trainer.fit(module, data, ckpt_path=checkpoint)
        assert trainer.global_step == 9
        return module.network.state_dict()

    expected = trained("first")
    [checkpoint] = Path("first").glob(f"*step={steps}.ckpt")
    assert_close(trained("resumed", checkpoint), expected, 0)


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        ({"check_val_every_n_epoch": 2}, "check_val_every_n_epoch=1"),
        ({"accumulate_grad_batches": 2}, "accumulate_grad_batches=1"),
        ({"val_check_interval": 1}, r"val_check_interval=1\.0"),  # after every batch
        ({"limit_val_batches": 0}, "limit_val_batches"),
        ({"gradient_clip_val": 1.0, "gradient_clip_algorithm": "value"}, 'gradient_clip_algorithm="norm"'),
    ],
)
def test_other_trainers_are_refused(houses: Path, setting: dict[str, Any], remedy: str) -> None:
    data = mlplab.TableDataModule.from_file(houses, "price")
    with pytest.raises(UserError, match=remedy):
        lightning.Trainer(max_epochs=1, **setting, **QUIET).fit(mlplab.lightning_module(data, **RUN), data)
    with pytest.raises(UserError, match=r"trainer[^|]*choose among model, optimizer"):
        mlplab.lightning_module(data, trainer={"gradient_clip_val": 1})


def test_the_page_about_lightning_runs(houses: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "docs/lightning.md").read_text(), re.DOTALL)
    exec(compile(code, "lightning.md", "exec"), {})
    assert "test/rmse" in capsys.readouterr().out


def test_a_second_fit_begins_anew_and_divergence_ends_one(houses: Path) -> None:
    data = mlplab.TableDataModule.from_file(houses, "price", test=0.0, batch_size=200)
    module = mlplab.lightning_module(data, **RUN)
    diverging = mlplab.lightning_module(data, **RUN, optimizer={"name": "sgd", "lr": 1e9})
    for each, most, epochs in ((module, 2, range(2, 3)), (module, 2, range(2, 3)), (diverging, 50, range(5))):
        trainer = lightning.Trainer(max_epochs=most, enable_checkpointing=False, **QUIET)
        trainer.fit(each, data)
        assert trainer.current_epoch in epochs
    assert module.members.epochs.tolist() == [2]
    with pytest.raises(UserError, match=r"test=0\.15"):
        trainer.test(module, data, verbose=False)
