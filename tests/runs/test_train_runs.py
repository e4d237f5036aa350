import logging
import re
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from contracts import assert_close
from runs.unfinished import train_until
from support import CONCRETE, SMALL, resolved, train_into

import mlplab
from mlplab.config.allowed_classes import VARIABLE
from mlplab.data.cache import DataCache
from mlplab.data.splits.splitters import random_split
from mlplab.errors import UserError
from mlplab.runs import checkpoint
from mlplab.runs.folder import RunFolder
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.resume import resume_groups
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.run import Run
from mlplab.training.stack.build import build_stack

pytestmark = pytest.mark.usefixtures("full_speed")

QUIET = ("logger=[]", "baselines=[]")


def trained(folder: Path, *overrides: str) -> dict[str, Any]:
    [metrics] = train_into(folder, [*overrides, "baselines=[]"])
    best, last = (checkpoint.load(folder / f"0/checkpoints/{name}.ckpt") for name in ("best", "last"))
    return {"metrics": metrics, "best": best["state"], "last": last["state"]}


def test_a_folder_in_use_leaves_the_others_of_its_stack_unmade(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1/mine").touch()
    with pytest.raises(UserError, match="exists and is not empty"):
        train_into(tmp_path, SMALL, [*SMALL, "seed=1"])
    assert [path.name for path in tmp_path.rglob("*")] == ["1", "mine"]


def test_the_test_is_that_of_the_best_weights_in_target_units(tmp_path: Path) -> None:
    network = ("model.hidden=[64]", "trainer.max_epochs=12", "data.batch_size=64", "optimizer.lr=0.1")
    overrides = (*network, "scheduler=constant", "optimizer.weight_averaging=false")
    run = trained(tmp_path, *overrides)
    assert not torch.equal(run["best"]["body.output.weight"], run["last"]["body.output.weight"])
    saved = checkpoint.load(tmp_path / "0/checkpoints/best.ckpt")
    assert saved["epoch"] == run["metrics"]["best_epoch"] < 12

    run_config = resolved(*overrides)
    module, _ = build_stack([Run(run_config, DataCache().data(run_config))])
    module.network.load_state_dict(run["best"])
    frame = pl.read_csv(CONCRETE)
    x = frame.select([column["name"] for column in saved["schema"]["inputs"]]).to_numpy()
    x = x - [column["offset"] for column in saved["schema"]["inputs"]]
    y = frame["target"].to_numpy()
    with torch.no_grad():
        predicted = module.network(torch.from_numpy(x).float().unsqueeze(0))[0, :, 0].double().numpy()
    error = predicted - y
    split = random_split(np.arange(1030), val=0.15, test=0.15, seed=0)
    for part, rows in (("val", split.val), ("test", split.test)):
        mse, mae = np.mean(error[rows] ** 2), np.mean(np.abs(error[rows]))
        expected = {"rmse": mse**0.5, "loss": mse, "mae": mae, "r2": 1 - mse / np.var(y[rows])}
        found = {name: run["metrics"][f"{part}/{name}"] for name in expected}
        assert found == pytest.approx(expected, rel=1e-5)


def test_each_bin_of_an_embedding_has_the_same_share_of_the_training_rows() -> None:
    for name in ("standard", "quantile"):
        data = ("data=synthetic", "data.function=friedman1", "data.rows=500", "data.split.val=0.1")
        run_config = resolved(*data, f"model/preprocessing={name}", "model.piecewise_linear_bins=7")
        run = DataCache().data(run_config)
        network = build_stack([Run(run_config, run)])[0].network
        x = torch.from_numpy(run.table.x[run.split.train]).float()[None]
        embedding = network.body.piecewise_linear
        slope, intercept, _, _ = embedding.pieces[0, :, None, 1:].chunk(4)
        shares = network.preprocessing(x).columns[0].T[..., None] * slope + intercept
        counts = ((shares > 0) & (shares <= 1)).sum(1)
        assert (counts - len(run.split.train) / 7).abs().max() <= 2, name


def test_neither_weights_nor_schema_hold_anything_of_val_and_test_targets(tmp_path: Path) -> None:
    town = pl.Series([f"town {row % 40}" for row in range(1030)])  # whose effects are learned
    frame, runs = pl.read_csv(CONCRETE).with_columns(town=town), []
    learned = np.isin(np.arange(1030), random_split(np.arange(1030), val=0.15, test=0.15, seed=0).train)
    for shift in (0, 500):
        frame.with_columns(pl.col("target") + pl.Series(~learned * shift)).write_csv(tmp_path / "t.csv")
        data = ("data=csv", f"data.path={tmp_path / 't.csv'}", "data.target=target")
        train_into(tmp_path / f"{shift}", (*data, "trainer.max_epochs=2", "model.hidden=[8]", *QUIET))
        runs.append(checkpoint.load(tmp_path / f"{shift}/0/checkpoints/last.ckpt"))
    assert runs[0]["schema"] == runs[1]["schema"]
    assert_close(runs[0]["state"], runs[1]["state"], 0)


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    overrides = (*SMALL, "optimizer=sgd", "optimizer.lr=1e20", "model/preprocessing=none")
    [metrics] = train_into(tmp_path, overrides)
    assert metrics["status"] == "diverged"
    assert re.match(r"the loss became (nan|inf) at step [23], in epoch 1; try a lower", metrics["reason"])
    assert "test/rmse" not in metrics
    assert not list((tmp_path / "0/checkpoints").iterdir())


def beside_linear_model(folder: Path, table: pl.DataFrame, *overrides: str) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    table.write_csv(folder / "table.csv")
    data = ("data=csv", f"data.path={folder / 'table.csv'}", "data.target=y", "model.linear_path=true")
    [metrics] = train_into(folder, (*data, "trainer.max_epochs=2", *QUIET, *overrides))
    return metrics


@pytest.mark.parametrize(("numbers", "categories", "networks"), [(3, 0, 3), (1, 2, 1)])
def test_beside_a_linear_model_a_network_is_exact_where_that_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, numbers: int, categories: int, networks: int
) -> None:
    """The target is the sum of numbers and of effects of many categories; training only does harm."""
    caplog.set_level(logging.INFO, "mlplab")
    source = np.random.default_rng(0)
    values = source.normal(5, [1, 100, 1e4], (400, 3))[:, :numbers]
    codes, effects = source.integers(30, size=(400, categories)), source.normal(size=30)
    y = values.sum(1) + effects[codes].sum(1)
    columns = {f"x{place}": column for place, column in enumerate(values.T)}
    columns |= {f"c{place}": [f"c{code}" for code in column] for place, column in enumerate(codes.T)}
    if categories:  # the first category is a missing cell
        columns["c0"] = [None if text == "c0" else text for text in columns["c0"]]
    table = pl.DataFrame(columns)
    rest = ("model.hidden=[8]", "trainer.max_epochs=3", "optimizer.lr=0.3", f"ensemble={networks}")
    metrics = beside_linear_model(tmp_path, table.with_columns(y=y), *rest)
    assert metrics["linear_share"] == 1
    assert "the prediction is 100% ridge regression: the network adds nothing here" in caplog.text
    np.testing.assert_allclose(mlplab.load(tmp_path / "0").predict(table), y, atol=1e-5 * y.std())


def test_embedded_categories_have_effects_unless_ridge_is_exact_without_them(tmp_path: Path) -> None:
    """They would take over what a number says of the groups, and say nothing of new ones."""
    source = np.random.default_rng(0)
    codes, x = source.integers(30, size=300), source.normal(size=300)
    noisy = pl.DataFrame({"g": [f"c{code}" for code in codes], "x": x})
    noisy = noisy.with_columns(y=codes + 3 * x + 9 * source.normal(size=300))
    group, z = np.repeat(np.arange(40), 5), source.normal(size=200)
    x = source.normal(size=40)[group]
    y = 5 * x + z + 0.05 * source.normal(size=200)
    known = pl.DataFrame({"g": [f"g{number}" for number in group], "x": x, "z": z, "y": y})
    for name, table in (("noisy", noisy), ("exact without", known)):
        beside_linear_model(tmp_path / name, table)
        path = TrainedRun.read(tmp_path / name / "0").network.linear_path
        assert path.category_weight.any() == (name == "noisy")
        assert path.weight.all()
        assert path.residual.all() == (name != "noisy")
    metrics = beside_linear_model(tmp_path / "alone", noisy[["g", "y"]])
    assert metrics["status"] == "done"
    assert metrics["linear_share"] > 0


def test_the_linear_share_is_chosen_on_rows_that_are_held_out(tmp_path: Path) -> None:
    """Of a noisy sum, most of the prediction is that of ridge regression; of a bent function, none."""
    source, shares = np.random.default_rng(0), []
    x = source.normal(size=(300, 6))
    for name, target in (("sum", x.sum(1) + 4 * source.normal(size=300)), ("bent", np.abs(x[:, 0]))):
        rest = ("trainer.max_epochs=20", "ensemble=3", "baselines=[linear]")
        metrics = beside_linear_model(tmp_path / name, pl.DataFrame(x).with_columns(y=target), *rest)
        shares.append(metrics["linear_share"])
        found = metrics["test/rmse"] / metrics["linear/test/rmse"]
        assert found < (1.02 if name == "sum" else 0.5)
    assert shares[0] > 0.5
    assert shares[1] < 0.1


def test_a_golden_run(tmp_path: Path) -> None:
    """The default network's first epochs on the package's table; other machines differ in the last digits."""
    metrics = trained(tmp_path, "trainer.max_epochs=3", "trainer.precision=64")["metrics"]
    golden = {"train/loss": 67.736861724, "val/rmse": 8.069062839, "test/rmse": 8.711840594}
    assert {name: metrics[name] for name in golden} == pytest.approx(golden, rel=1e-6)


def test_a_golden_run_of_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mlplab")
    table = ("data=synthetic", "data.function=blobs", "data.noise=1", "data.rows=400")
    loss = ("loss=cross_entropy", "loss.label_smoothing=0.1", "data.class_weights={a: 2}")
    network = ("model.hidden=[16]", "model.dropout=0.2", "optimizer.lr=0.01", "optimizer.weight_decay=0.2")
    trainer = ("trainer.max_epochs=5", "trainer.precision=64")
    metrics = trained(tmp_path, *table, *loss, *network, *trainer)["metrics"]
    golden = {"train/loss": 0.626855444, "val/log_loss": 0.400403457, "test/log_loss": 0.381255115}
    golden |= {"test/auroc": 0.966666667, "temperature": 0.970801377, "linear_share": 0.9}
    assert "; the prediction is 90% logistic regression, 10% network; " in caplog.text
    assert {name: metrics[name] for name in golden} == pytest.approx(golden, rel=1e-5)


def test_a_network_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mynets.py").write_text("from mlplab.models import Linear as Small\ntext = 'no class'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(VARIABLE, "mynets.Small,mynets.text,mynets.Gone")
    own = ("data=synthetic", "data.rows=60", "trainer.max_epochs=2", "model=custom", "+model.index=6")
    run = trained(tmp_path / "run", *own, "model._target_=mynets.Small")
    assert run["best"]["body.weight"].shape == (1, 5, 1)
    for target, said in (("mynets.text", "is not a torch.nn"), ("mynets.Gone", "cannot be imported")):
        with pytest.raises(UserError, match=said):
            trained(tmp_path / "run", *own, f"model._target_={target}")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, none is present")
@pytest.mark.parametrize(
    "shared", ["model.norm=layer", "optimizer=sgd loss=huber", "data.function=blobs data.class_weights={a:2}"]
)
def test_cuda_gives_what_the_cpu_gives(tmp_path: Path, shared: str) -> None:
    cpu, cuda = (
        train_into(tmp_path / device, *([*words, "seed=0"], [*words, "seed=1"]))
        for device in ("cpu", "cuda")
        for words in [(*SMALL, *shared.split(), f"trainer.accelerator={device}")]
    )
    for one, other in zip(cpu, cuda, strict=True):
        assert one | {"seconds": 0} == pytest.approx(other | {"seconds": 0}, rel=1e-4)


def test_runs_that_train_apart_keep_the_states_of_the_others(tmp_path: Path) -> None:
    """The first is ahead, so it trains alone; the state of the second is only in the file of their stack."""
    (tmp_path / "stacks").mkdir()
    cache, file = DataCache(), tmp_path / "stacks/s.ckpt"
    configs = [resolved(*SMALL, f"seed={seed}", cache=cache) for seed in range(2)]
    runs = [PlannedRun(each, tmp_path / str(seed)) for seed, each in enumerate(configs)]
    train_until(3, runs, cache, file)
    for run in runs:
        RunFolder(run.folder).last.unlink()  # as after a kill
    runs = [replace(run, resume=True) for run in runs]
    train_until(5, runs[:1], cache, file)
    train_until(7, runs, cache, file)
    states = [state for _, state in resume_groups(runs, cache, file)]
    assert [state and state.step for state in states] == [7, 3]


@pytest.mark.slow
def test_the_default_network_on_ten_splits_of_the_concrete_table(tmp_path: Path) -> None:
    """Mean test RMSE in MPa, here 4.24 with a standard error of 0.18 over the splits."""
    splits = [[f"data.split.seed={seed}", "data.split.test=0.1", "data.split.val=0.09"] for seed in range(10)]
    each = train_into(tmp_path, *splits)
    rmse, ridge = (fmean(metrics[name] for metrics in each) for name in ("test/rmse", "linear/test/rmse"))
    assert rmse < 4.8
    assert rmse < ridge / 2
