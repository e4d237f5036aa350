"""The script train, on stacks of one and of several."""

import io
import json
import logging
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from rich.console import Console
from support import CONCRETE, SMALL, resolved, train_into

import mlplab
from mlplab.config.allowed_classes import VARIABLE
from mlplab.data.cache import DataCache
from mlplab.data.splits.splitters import random_split
from mlplab.errors import Interrupted, UserError
from mlplab.runs import checkpoint
from mlplab.runs.folder import RunFolder
from mlplab.runs.observers.training_states import resume_groups
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.train import train_runs
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.callbacks.stopping import StopOnSignal
from mlplab.training.fit import StackTrainer
from mlplab.training.run import Run
from mlplab.training.stack.build import build_stack

pytestmark = pytest.mark.usefixtures("full_speed")

QUIET = ("logger=[]", "baselines=[]")


def trained(folder: Path, *members: Sequence[str]) -> list[dict[str, Any]]:
    """Metrics, and the tensors of both checkpoints, of runs trained as one stack, without baselines."""
    return [
        {
            "metrics": {name: value for name, value in metrics.items() if name != "seconds"},
            "best": checkpoint.load(folder / f"{index}/checkpoints/best.ckpt")["state"],
            "last": checkpoint.load(folder / f"{index}/checkpoints/last.ckpt")["state"],
        }
        for index, metrics in enumerate(train_into(folder, *([*each, "baselines=[]"] for each in members)))
    ]


MEMBERS = (
    ["seed=0"],
    ["seed=1", "optimizer.lr=0.003", "data.split.seed=1"],
    ["seed=2", "optimizer.weight_decay=0", "callbacks.early_stopping.patience=1"],
)


def test_a_folder_in_use_leaves_the_others_of_its_stack_unmade(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1/mine").touch()
    with pytest.raises(UserError, match="exists and is not empty"):
        train_into(tmp_path, SMALL, [*SMALL, "seed=1"])
    assert [path.name for path in tmp_path.rglob("*")] == ["1", "mine"]


def test_the_test_is_that_of_the_best_weights_in_target_units(tmp_path: Path) -> None:
    network = ("model.hidden=[64]", "trainer.max_epochs=12", "data.batch_size=64", "optimizer.lr=0.1")
    overrides = (*network, "scheduler=constant", "optimizer.weight_averaging=false")
    (run,) = trained(tmp_path, overrides)
    assert run["metrics"]["best_epoch"] < 12
    assert not torch.equal(run["best"]["body.output.weight"], run["last"]["body.output.weight"])
    saved = checkpoint.load(tmp_path / "0/checkpoints/best.ckpt")
    assert saved["epoch"] == run["metrics"]["best_epoch"]
    run_config = resolved(*overrides)

    stack = build_stack([Run(run_config, DataCache().data(run_config))])
    stack.module.network.load_state_dict(run["best"])
    frame = pl.read_csv(CONCRETE)
    x = frame.select([column["name"] for column in saved["schema"]["inputs"]]).to_numpy()
    x = x - [column["offset"] for column in saved["schema"]["inputs"]]
    y = frame["target"].to_numpy()
    with torch.no_grad():
        predicted = stack.module.network(torch.from_numpy(x).float().unsqueeze(0))[0, :, 0].double().numpy()
    error = predicted - y
    split = random_split(np.arange(1030), val=0.15, test=0.15, seed=0)
    for part, rows in (("val", split.val), ("test", split.test)):
        rmse = np.sqrt(np.mean(error[rows] ** 2))
        assert run["metrics"][f"{part}/rmse"] == pytest.approx(rmse, rel=1e-5)
        assert run["metrics"][f"{part}/loss"] == pytest.approx(rmse**2, rel=1e-5)  # MSE, in target units
        assert run["metrics"][f"{part}/mae"] == pytest.approx(np.mean(np.abs(error[rows])), rel=1e-5)
        assert run["metrics"][f"{part}/r2"] == pytest.approx(1 - rmse**2 / np.var(y[rows]), rel=1e-5)


def test_each_bin_of_an_embedding_has_the_same_share_of_the_training_rows() -> None:
    for name in ("standard", "robust_clip", "quantile", "none"):
        data = ("data=synthetic", "data.function=friedman1", "data.rows=500", "data.split.val=0.1")
        run_config = resolved(*data, f"model/preprocessing={name}", "model.piecewise_linear_bins=7")
        run = DataCache().data(run_config)
        network = build_stack([Run(run_config, run)]).module.network
        x = torch.from_numpy(run.table.x[run.split.train]).float()[None]
        embedding = network.body.piecewise_linear
        slope, intercept, _, _ = embedding.pieces[0, :, None, 1:].chunk(4)
        shares = network.preprocessing(x).columns[0].T[..., None] * slope + intercept
        counts = ((shares > 0) & (shares <= 1)).sum(1)
        assert (counts - len(run.split.train) / 7).abs().max() <= 2, name


def test_neither_weights_nor_schema_hold_anything_of_val_and_test_targets(tmp_path: Path) -> None:
    frame = pl.read_csv(CONCRETE)
    split = random_split(np.arange(1030), val=0.15, test=0.15, seed=0)
    elsewhere = np.zeros(1030, dtype=bool)
    elsewhere[split.train] = True
    runs, quick = [], ("trainer.max_epochs=2", "model.hidden=[8]", *QUIET)
    for name, shift in (("same", 0.0), ("other", 500.0)):
        target = np.where(elsewhere, frame["target"].to_numpy(), frame["target"].to_numpy() + shift)
        frame.with_columns(target=target).write_csv(tmp_path / f"{name}.csv")
        data = ("data=csv", f"data.path={tmp_path / name}.csv", "data.target=target", *quick)
        train_into(tmp_path / name, data)
        runs.append(checkpoint.load(tmp_path / name / "0/checkpoints/last.ckpt"))
    assert runs[0]["schema"] == runs[1]["schema"]
    assert all(torch.equal(runs[0]["state"][name], runs[1]["state"][name]) for name in runs[0]["state"])


def test_the_targets_unit_does_not_matter(tmp_path: Path) -> None:
    frame, unit = pl.read_csv(CONCRETE), 1e25
    results = []
    for name, factor in (("one", 1.0), ("unit", unit)):
        frame.with_columns(target=frame["target"] * factor).write_csv(tmp_path / f"{name}.csv")
        data = ("data=csv", f"data.path={tmp_path / name}.csv", "data.target=target", "trainer.max_epochs=3")
        results.append(trained(tmp_path / name, data)[0]["metrics"])
    one, other = results
    assert one["best_epoch"] == other["best_epoch"]
    assert other["test/rmse"] == pytest.approx(one["test/rmse"] * unit, rel=1e-3)
    assert other["val/loss"] == pytest.approx(one["val/loss"] * unit**2, rel=1e-3)


def test_early_stopping_ends_the_run_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    (run,) = trained(
        tmp_path,
        (*SMALL, "trainer.max_epochs=200", "optimizer.lr=0.1", "callbacks.early_stopping.patience=4"),
    )
    metrics = run["metrics"]
    assert metrics["epochs"] == metrics["best_epoch"] + 4 < 200
    assert not torch.equal(run["best"]["body.output.weight"], run["last"]["body.output.weight"])
    stopping = ("callbacks.early_stopping.patience=2", "callbacks.early_stopping.min_delta=1e9")
    assert trained(tmp_path / "delta", (*SMALL, *stopping))[0]["metrics"]["epochs"] == 3


def test_a_run_stops_at_the_end_of_a_stage_that_made_it_worse(tmp_path: Path) -> None:
    """Of four cycles, two end in epochs 6 and 14 of 30. Nothing tells of the classes in the first table."""
    source, path = np.random.default_rng(0), tmp_path / "table.csv"
    frame = pl.DataFrame(source.normal(size=(600, 8)))
    frame.with_columns(y=source.choice(["a", "b"], 600)).write_csv(path)
    schedule = ("scheduler=coslog", "callbacks.early_stopping.patience=auto", "trainer.max_epochs=30")
    rest = ("optimizer.lr=0.01", "model.dropout=0", "ensemble=3", *QUIET)
    rest = (*rest, "model.piecewise_linear_bins=0")
    noise = ("data=csv", f"data.path={path}", "data.target=y")
    smooth = ("data=synthetic", "data.function=friedman1", "data.rows=400")
    stopped, trained_on = (
        train_into(tmp_path / data[0], (*data, *schedule, *rest))[0] for data in (noise, smooth)
    )
    assert stopped["best_epoch"] < stopped["epochs"]
    assert stopped["epochs"] in (6, 14)
    assert trained_on["epochs"] == 30


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    overrides = (*SMALL, "optimizer=sgd", "optimizer.lr=1e20", "model/preprocessing=none")
    (metrics,) = train_into(tmp_path, overrides)
    assert metrics == json.loads((tmp_path / "0/metrics.json").read_text())
    assert metrics["status"] == "diverged"
    assert re.match(r"the loss became (nan|inf) at step [23], in epoch 1; try a lower", metrics["reason"])
    assert "test/rmse" not in metrics
    assert not list((tmp_path / "0/checkpoints").iterdir())


def beside_linear_model(folder: Path, table: pl.DataFrame, *overrides: str) -> dict[str, Any]:
    """The metrics of a run on this table whose network has a linear model beside it."""
    table.write_csv(folder / "table.csv")
    data = ("data=csv", f"data.path={folder / 'table.csv'}", "data.target=y", "model.linear_path=true")
    [metrics] = train_into(folder, (*data, "trainer.max_epochs=2", *QUIET, *overrides))
    return metrics


@pytest.mark.parametrize(("numbers", "categories", "networks"), [(3, 0, 3), (3, 1, 3), (1, 2, 1)])
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
    table = pl.DataFrame(columns)
    rest = ("model.hidden=[8]", "trainer.max_epochs=3", "optimizer.lr=0.3", f"ensemble={networks}")
    metrics = beside_linear_model(tmp_path, table.with_columns(y=y), *rest)
    assert metrics["linear_share"] == 1
    said = "the prediction is 100% ridge regression: the network adds nothing here"
    assert said in (tmp_path / "0/train.log").read_text()
    assert metrics["test/rmse"] < 1e-6 * y.std()
    np.testing.assert_allclose(mlplab.load(tmp_path / "0").predict(table), y, atol=1e-5 * y.std())


def test_embedded_categories_are_in_the_linear_model_only_where_it_is_exact(tmp_path: Path) -> None:
    """Those of groups would take over what a number says of the groups, and say nothing of new ones."""
    source = np.random.default_rng(0)
    codes, x = source.integers(30, size=300), source.normal(size=300)
    noisy = pl.DataFrame({"g": [f"c{code}" for code in codes], "x": x})
    noisy = noisy.with_columns(y=codes + 3 * x + 9 * source.normal(size=300))
    group, z = np.repeat(np.arange(40), 5), source.normal(size=200)
    x = source.normal(size=40)[group]
    known = pl.DataFrame({"g": [f"g{number}" for number in group], "x": x, "z": z, "y": 5 * x + z})
    known = known.with_columns(pl.col("y") + 0.05 * pl.Series(source.normal(size=200)))
    for name, table in (("noisy", noisy), ("exact without", known)):
        (tmp_path / name).mkdir()
        beside_linear_model(tmp_path / name, table)
        path = TrainedRun.read(tmp_path / name / "0").network.linear_path
        assert path is not None
        assert path.category_weight.shape[1:] == (table["g"].n_unique(), 1)
        assert not path.category_weight.any()
        assert path.weight.all()
    assert path.residual.all()


def test_embedded_categories_alone_leave_a_linear_model_nothing(tmp_path: Path) -> None:
    rows = range(90)
    table = pl.DataFrame({"item": [f"i{row % 30}" for row in rows], "y": [row % 7 / 3 for row in rows]})
    metrics = beside_linear_model(tmp_path, table, "model.linear_path=auto", "ensemble=2")
    assert metrics["status"] == "done"
    assert "linear_share" not in metrics


def test_the_linear_share_is_chosen_on_rows_that_are_held_out(tmp_path: Path) -> None:
    """Of a noisy sum, most of the prediction is that of ridge regression; of a bent function, none."""
    source, shares = np.random.default_rng(0), []
    x = source.normal(size=(300, 6))
    for target in (x.sum(1) + 4 * source.normal(size=300), np.abs(x[:, 0])):
        (folder := tmp_path / str(len(shares))).mkdir()
        rest = ("trainer.max_epochs=20", "ensemble=3", "baselines=[linear]")
        metrics = beside_linear_model(folder, pl.DataFrame(x).with_columns(y=target), *rest)
        shares.append(metrics["linear_share"])
        found = metrics["test/rmse"] / metrics["linear/test/rmse"]
        assert found < (1.02 if len(shares) == 1 else 0.5)
    assert shares[0] > 0.5
    assert shares[1] < 0.1


def test_checkpoints_hold_averaged_weights(tmp_path: Path) -> None:
    (run,) = trained(tmp_path / "cpu", SMALL)
    state = checkpoint.load(tmp_path / "cpu/0/checkpoints/last.ckpt")["training"]["parts"]
    of_last_step = state["optimizer"]["weights"].flatten()
    output = run["last"]["body.output.bias"].flatten()
    assert torch.equal(output, state["network"]["body.output.bias"].flatten())
    assert not (of_last_step.unsqueeze(0) == output.unsqueeze(1)).any()


def test_a_golden_run(tmp_path: Path) -> None:
    """The default network's first epochs on the package's table; other machines differ in the last digits."""
    (run,) = trained(tmp_path, ("trainer.max_epochs=3", "trainer.precision=64"))
    golden = {"train/loss": 67.736861724, "val/rmse": 8.069062839, "test/rmse": 8.711840594}
    assert {name: run["metrics"][name] for name in golden} == pytest.approx(golden, rel=1e-6)


def test_a_golden_run_of_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mlplab")
    table = ("data=synthetic", "data.function=blobs", "data.noise=1", "data.rows=400")
    loss = ("loss=cross_entropy", "loss.label_smoothing=0.1", "data.class_weights={a: 2}")
    network = ("model.hidden=[16]", "model.dropout=0.2", "optimizer.lr=0.01", "optimizer.weight_decay=0.2")
    trainer = ("trainer.max_epochs=5", "trainer.precision=64")
    (run,) = trained(tmp_path, (*table, *loss, *network, *trainer))
    golden = {
        "train/loss": 0.626855444,
        "val/log_loss": 0.400403457,
        "test/log_loss": 0.381255115,
        "test/auroc": 0.966666667,
        "temperature": 0.970801377,
        "linear_share": 0.9,
    }
    said = f"(best: {run['metrics']['best_epoch']}); the prediction is 90% logistic regression, 10% network; "
    assert said in caplog.text
    assert {name: run["metrics"][name] for name in golden} == pytest.approx(golden, rel=1e-5)
    assert TrainedRun.read(tmp_path / "0").network.linear_path is not None


def test_a_network_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mynets.py").write_text(
        "from mlplab.models import Linear\n"
        "from torch import nn\n"
        "class Wide(nn.Sequential):\n"
        "    def __init__(self, in_features, out_features, seeds, width):\n"
        "        super().__init__(Linear(in_features, width, seeds, 0), nn.Tanh(),\n"
        "                         Linear(width, out_features, seeds, 1))\n"
        "text = 'no class'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(VARIABLE, "mynets.Wide,mynets.text,mynets.Gone")
    own = ("data=synthetic", "data.rows=60", "trainer.max_epochs=2", "model=custom", "+model.width=6")
    (run,) = trained(tmp_path / "run", (*own, "model._target_=mynets.Wide"))
    assert run["best"]["body.0.weight"].shape == (1, 5, 6)
    for target, said in (("mynets.text", "is not a torch.nn"), ("mynets.Gone", "cannot be imported")):
        with pytest.raises(UserError, match=said):
            trained(tmp_path / "run", (*own, f"model._target_={target}"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_is_refused_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="torch finds no CUDA device"):
        trained(tmp_path, ("trainer.accelerator=cuda",))
    assert not (tmp_path / "0").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, none is present")
@pytest.mark.parametrize(
    "shared",
    [
        ["model.norm=layer"],
        ["optimizer=sgd", "loss=huber"],
        ["data.function=blobs", "data.class_weights={a: 2}"],
    ],
    ids=" ".join,
)
def test_cuda_gives_what_the_cpu_gives(tmp_path: Path, shared: list[str]) -> None:
    members = [[*SMALL, *shared, *own] for own in MEMBERS[:2]]
    cpu, cuda = (
        trained(tmp_path / device, *([*member, f"trainer.accelerator={device}"] for member in members))
        for device in ("cpu", "cuda")
    )
    for one, other in zip(cpu, cuda, strict=True):
        assert one["metrics"] == pytest.approx(other["metrics"], rel=1e-4)


def test_runs_that_train_apart_keep_the_states_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is ahead, so it trains alone; the state of the second is only in the file of their stack."""
    (tmp_path / "stacks").mkdir()
    cache, file, on_step = DataCache(), tmp_path / "stacks/s.ckpt", StopOnSignal.on_step
    configs = [resolved(*SMALL, f"seed={seed}", cache=cache) for seed in range(2)]

    def train_to(step: int, *numbers: int, resume: bool = True) -> list[PlannedRun]:
        def stop(self: StopOnSignal, stack: StackTrainer) -> None:
            if stack.trainer.global_step == step:
                self.received = signal.SIGTERM
            on_step(self, stack)

        monkeypatch.setattr(StopOnSignal, "on_step", stop)
        runs = [PlannedRun(configs[number], tmp_path / str(number), resume=resume) for number in numbers]
        with pytest.raises(Interrupted):
            train_runs(runs, cache, Console(file=io.StringIO()), title="s ", stack_file=file)
        return runs

    for run in train_to(3, 0, 1, resume=False):
        RunFolder(run.folder).last.unlink()  # as after a kill
    train_to(5, 0)
    runs = train_to(7, 0, 1)
    states = [state for _, state in resume_groups(runs, cache, file)]
    assert [state and state.step for state in states] == [7, 3]
